/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's message says.
 *
 * It ends up in replies, so it is written for a requester or an operator who has nothing else: the status in
 * words, because numbers alone are for those who know them by heart, then what the API said or what we found wrong;
 * and a requester who reads of an unauthorized token must not look for the fault in his own.
 * The phrase is ours, not the answer's, which need not have one and may hold anything.
 */
#include "workers/call_message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/base/text.h"
#include "workers/job.h"

static const char *
phrase(int status)
{
	static const struct { int status; const char *phrase; } phrases[] = {
		{ 200, "OK" }, { 201, "Created" }, { 204, "No Content" }, { 301, "Moved Permanently" },
		{ 302, "Found" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" },
		{ 413, "Content Too Large" }, { 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Content" }, { 425, "Too Early" }, { 429, "Too Many Requests" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "(an unusual status)";
}

__attribute__((format(printf, 2, 3)))
static void
say(struct job *job, const char *format, ...)
{
	char whole[JOB_MESSAGE_BYTES + TEXT_SHOWN_ROOM];
	struct span cut;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(whole, sizeof(whole), format, args);
	va_end(args);
	cut = text_cut(span_str(whole), sizeof(job->message) - 1);
	memcpy(job->message, cut.data, cut.bytes);
	job->message[cut.bytes] = '\0';
}

void
call_message_answer(struct job *job, const char *detail)
{
	const char *text = detail != NULL ? detail : "";
	const char *whose = job->verdict == VERDICT_CREDENTIAL ? " (tokend's own management token)" : "";

	say(job, "%d %s%s%s%s", job->http_status, phrase(job->http_status), whose, *text != '\0' ? ": " : "", text);
}

void
call_message_failure(struct job *job, const char *trouble)
{
	say(job, "%s", trouble);
}
