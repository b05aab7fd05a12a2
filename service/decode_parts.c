/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both halves of decoding (decode.c, decode_values.c) need: a refusal that names its field, and the
 * rules for times, which are refused about the RECORD for two methods and as the OUTCOME of the third.
 */
#include "service/decode_parts.h"

#include <stdarg.h>
#include <stdio.h>

#include "service/base/config.h"

#define FIELD_ROOM 80                            /* what a detail of a status holds */
#define TIMESTAMP_LEAST INT64_C(-62135596800)    /* 0001-01-01T00:00:00Z, as google.protobuf.Timestamp has it */
#define TIMESTAMP_MOST INT64_C(253402300799)     /* 9999-12-31T23:59:59Z */

int
decode_refuse(struct status *ret_refusal, enum status_cause cause, const char *field, const char *format, ...)
{
	char sentence[STATUS_MESSAGE_BYTES - FIELD_ROOM];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	(void)status_set(ret_refusal, cause, "%s: %s", field, sentence);
	status_detail(ret_refusal, "field", "%s", field);
	return -1;
}

/* The same bounds for every time, so that no later sum of them can overflow. */
int
decode_check_seconds(const char *field, const Google__Protobuf__Timestamp *t, enum status_cause cause,
    struct status *ret_refusal)
{
	if (t == NULL)
		return 0;
	if (t->seconds < TIMESTAMP_LEAST || t->seconds > TIMESTAMP_MOST)
		return decode_refuse(ret_refusal, cause, field, "%lld seconds is no time between the years 1 and 9999",
		    (long long)t->seconds);
	if (t->nanos != 0)
		return decode_refuse(ret_refusal, cause, field, "times are whole seconds, but nanos is %d",
		    (int)t->nanos);
	return 0;
}

int
decode_check_deadline(const struct config *c, int64_t issued_at, const Google__Protobuf__Timestamp *t,
    enum status_cause cause, struct status *ret_refusal)
{
	int64_t most = (int64_t)(c->deadline_most_ms / 1000);

	if (t == NULL)
		return 0;
	if (decode_check_seconds("deadline", t, cause, ret_refusal) != 0)
		return -1;
	if (t->seconds < issued_at)
		return decode_refuse(ret_refusal, cause, "deadline", "lies %lld seconds before issued_at",
		    (long long)(issued_at - t->seconds));
	if (t->seconds - issued_at > most) {
		(void)decode_refuse(ret_refusal, cause, "deadline",
		    "lies %lld seconds after issued_at; at most %lld are allowed",
		    (long long)(t->seconds - issued_at), (long long)most);
		status_detail(ret_refusal, "limit", "%lld", (long long)most);
		return -1;
	}
	return 0;
}
