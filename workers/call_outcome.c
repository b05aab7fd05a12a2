/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call came to: the verdict, and what the job brings home.
 *
 * An answer counts when it arrived whole; then its status decides and, for a success, whether its body is what was
 * asked for. Of one that did not, not even the status is believed: it may be a proxy's about a request that went on.
 */
#include "workers/call_private.h"

#include "service/base/clock.h"
#include "service/base/durations.h"
#include "service/base/text.h"
#include "workers/answer.h"
#include "workers/backoff.h"
#include "workers/bodies.h"
#include "workers/call_message.h"
#include "workers/credential.h"
#include "workers/job.h"
#include "workers/list_scan.h"
#include "workers/upstream.h"
#include "workers/verdict.h"

int
call_outcome_status(const struct call *c)
{
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* NULL: the answer to the create is a token that is what was asked for. Otherwise why it is not. */
static const char *
read_created(struct call *c)
{
	if (c->body == NULL)
		return "the answer is empty";
	if (c->body->overlong)
		return "the answer is longer than what was asked for can be";
	return answer_read_created(upstream_cluster(c->upstream), c->body->data, c->body->bytes, c->job);
}

/* The same for a list, which the job takes over. */
static const char *
read_listed(struct call *c)
{
	struct job *job = c->job;

	if (list_scan_end(c->scan) != 0 || list_scan_take(c->scan, &job->listed, &job->n_listed) != 0)
		return list_scan_why(c->scan);
	job->n_tokens = list_scan_tokens(c->scan);
	return NULL;
}

/* What the API did is told by status and body; NULL: what was asked for, or nothing of the kind is in the answer. */
static const char *
read_success(struct call *c)
{
	int status = c->job->http_status;

	if (c->job->verb == JOB_CREATE && (status == 200 || status == 201))
		return read_created(c);
	if (c->job->verb == JOB_LIST && status == 200)
		return read_listed(c);
	return NULL;
}

/* A header of the answer; NULL: there is no answer, or it has no such header. */
static const char *
header(const struct call *c, const char *name)
{
	struct curl_header *h;

	if (c->job->http_status == 0 || curl_easy_header(c->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

static void
read_retry_after(struct call *c)
{
	const char *value = header(c, "Retry-After");

	if (value != NULL)
		c->job->retry_after_ms = backoff_retry_after_ms(span_str(value), clock_wall_ms() / 1000,
		    duration_ms(DURATION_RETRY_AFTER_MOST));
}

/* Date says when the API began to answer, which was when the first byte came; it is cut to the second, so half of one
 * is right on average. */
static void
read_skew(struct call *c)
{
	const char *value = header(c, "Date");
	curl_off_t first_us = 0, whole_us = 0;
	int64_t now_ms = clock_wall_ms(), date;

	if (value == NULL || !backoff_http_date(span_str(value), now_ms / 1000, &date))
		return;
	(void)curl_easy_getinfo(c->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
	(void)curl_easy_getinfo(c->easy, CURLINFO_TOTAL_TIME_T, &whole_us);
	c->job->skew_ms = date * 1000 + 500 - (now_ms - (whole_us - first_us) / 1000);
}

/* A whole answer came. */
static void
read_answer(struct call *c)
{
	struct job *job = c->job;
	struct exchange e = { .verb = job->verb, .left = job->left, .whole = true, .http_status = job->http_status };
	const char *wrong = read_success(c);
	char text[ANSWER_TEXT_ROOM] = "";

	e.as_asked = wrong == NULL;
	job->verdict = verdict_of(&e);
	if (job->verdict == VERDICT_REDIRECTED)
		wrong = answer_elsewhere(header(c, "Location"), credential_token(c->credential), text);
	else if (wrong == NULL && job->http_status >= 300 && c->body != NULL && !c->body->overlong)
		wrong = answer_error_text(c->body->data, c->body->bytes, credential_token(c->credential), text);
	call_message_answer(job, wrong);
}

/* None came, or not all of it: we ended it, or libcurl had to. */
static void
note_failure(struct call *c, CURLcode code)
{
	struct exchange e = { .verb = c->job->verb, .left = c->job->left, .whole = false };
	const char *curl_says = c->curl_says[0] != '\0' ? c->curl_says : curl_easy_strerror(code);
	char shown[TEXT_SHOWN_ROOM];

	c->job->verdict = verdict_of(&e);
	if (c->scan != NULL && c->why == list_scan_why(c->scan))
		call_message_answer(c->job, c->why);
	else
		call_message_failure(c->job, c->why != NULL ? c->why : text_shown(span_str(curl_says), shown));
}

void
call_outcome_read(struct call *c, int curl_code)
{
	c->job->http_status = call_outcome_status(c);
	read_retry_after(c);
	if (c->job->verb == JOB_LIST)
		read_skew(c);
	if (curl_code == CURLE_OK)
		read_answer(c);
	else
		note_failure(c, (CURLcode)curl_code);
}
