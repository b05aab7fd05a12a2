/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A traceparent is 55 characters: "00-" 32 hex digits of trace id "-" 16 of the parent span's id "-" 2 of
 * flags, in lower case; an id of zeros is none. A version above 00 may append more behind a dash, of which
 * we keep nothing: what we write is version 00.
 *
 * This is not a tracer: we export no spans. The reply carries the trace on, so that whoever reads it can
 * hang its work below the request's.
 */
#include "service/trace.h"

#include <stdint.h>

#include "service/base/arena.h"
#include "service/base/random.h"
#include "service/base/text.h"

#define VERSION_AT 0
#define TRACE_AT 3
#define SPAN_AT 36
#define FLAGS_AT 53
#define PARENT_BYTES 55
#define TRACE_DIGITS 32
#define SPAN_DIGITS 16
#define STATE_BYTES_MOST 512

static bool
is_hex(struct span s, size_t at, size_t digits)
{
	return text_only(span_of(s.data + at, digits), "0123456789abcdef");
}

static bool
is_id(struct span s, size_t at, size_t digits)
{
	return is_hex(s, at, digits) && !text_only(span_of(s.data + at, digits), "0");
}

bool
trace_parent_valid(struct span p)
{
	if (p.bytes < PARENT_BYTES || p.data[TRACE_AT - 1] != '-' || p.data[SPAN_AT - 1] != '-' ||
	    p.data[FLAGS_AT - 1] != '-')
		return false;

	struct span version = span_of(p.data + VERSION_AT, 2);

	if (!is_hex(p, VERSION_AT, 2) || span_is(version, "ff"))
		return false;
	if (p.bytes > PARENT_BYTES && (span_is(version, "00") || p.data[PARENT_BYTES] != '-'))
		return false;
	return is_id(p, TRACE_AT, TRACE_DIGITS) && is_id(p, SPAN_AT, SPAN_DIGITS) && is_hex(p, FLAGS_AT, 2);
}

bool
trace_state_valid(struct span s)
{
	if (s.bytes == 0 || s.bytes > STATE_BYTES_MOST)
		return false;
	for (size_t i = 0; i < s.bytes; i++)
		if (s.data[i] < 0x20 || s.data[i] > 0x7e)
			return false;
	return true;
}

struct span
trace_continue(struct span parent, struct arena *a)
{
	const char *p = (const char *)parent.data;
	unsigned char id[SPAN_DIGITS / 2];
	char digits[SPAN_DIGITS + 1];

	random_bytes(id, sizeof(id));
	id[0] |= 1;     /* an id of zeros would be none */
	(void)text_hex(span_of(id, sizeof(id)), digits);
	return span_str(arena_text(a, "00-%.*s-%s-%.2s", TRACE_DIGITS, p + TRACE_AT, digits, p + FLAGS_AT));
}
