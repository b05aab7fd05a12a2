/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of causes, as rows to look up, and the two ways to fill a status in. Which cause it is, is
 * the rooms' judgement; what the cause means on the wire is the table's, and nobody else's.
 */
#include "service/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "service/base/text.h"

#undef status_set       /* what status.h tells an analyzer is no way to define it */

/* google.rpc.Code, whole: a cluster or a client may speak of one that we never send. */
static const char *const code_names[] = {
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"
};

static const struct status_row rows[STATUS_COUNT] = {
#define ROW(cause, code, reason, about, retry, when) \
	[STATUS_##cause] = { #cause, CODE_##code, #code, reason, when, ABOUT_##about, RETRY_##retry },
	STATUSES(ROW)
#undef ROW
};

const struct status_row *
status_row(enum status_cause cause)
{
	assert(cause < STATUS_COUNT);
	return &rows[cause];
}

const char *
status_code_name(int32_t code)
{
	bool known = code >= 0 && (size_t)code < sizeof(code_names) / sizeof(code_names[0]);

	return known ? code_names[code] : "UNKNOWN";
}

/* A text that does not fit ends where a character does: protobuf's strings are UTF-8. */
static void
format_cut(char *room, size_t room_bytes, const char *format, va_list args)
{
	int length = vsnprintf(room, room_bytes, format, args);

	if (length < 0)
		room[0] = '\0';
	else if ((size_t)length >= room_bytes)
		room[text_cut(span_str(room), room_bytes - 4).bytes] = '\0';
}

int
status_set(struct status *ret_status, enum status_cause cause, const char *format, ...)
{
	va_list args;

	*ret_status = (struct status){ .cause = cause };
	va_start(args, format);
	format_cut(ret_status->message, sizeof(ret_status->message), format, args);
	va_end(args);
	return -1;
}

void
status_detail(struct status *s, const char *key, const char *format, ...)
{
	va_list args;

	assert(s->n_details < STATUS_DETAILS_MOST);
	s->details[s->n_details].key = key;
	va_start(args, format);
	format_cut(s->details[s->n_details].value, sizeof(s->details[0].value), format, args);
	va_end(args);
	s->n_details++;
}
