/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that somebody else owns.  Any thread; nothing here allocates. */
#ifndef TOKEND_BASE_SPAN_H
#define TOKEND_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const unsigned char *data;   /* may be NULL when bytes is 0 */
	size_t bytes;
};

static inline struct span
span_of(const void *data, size_t bytes)
{
	return (struct span){ data, bytes };
}

/* The characters of a C string, without its NUL; NULL gives the empty span. */
static inline struct span
span_str(const char *text)
{
	return span_of(text, text != NULL ? strlen(text) : 0);
}

static inline bool
span_equal(struct span a, struct span b)
{
	return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static inline bool
span_is(struct span a, const char *text)
{
	return span_equal(a, span_str(text));
}

#endif
