/* SPDX-License-Identifier: Apache-2.0 */
/* Written and read in one place, because what is written today is read back by a sweep in a year.
 *
 * A marker leads to a token's deletion, so it is read to its last byte: whoever edits a description, or appends to it,
 * makes the token his own. */
#include "service/marker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/text.h"

#define UUID_TEXT 36

const char *
marker_prefix(const char *service_id, char room[MARKER_PREFIX_ROOM])
{
	(void)snprintf(room, MARKER_PREFIX_ROOM, "[tokend/1:%s:", service_id);
	return room;
}

const char *
marker_describe(struct arena *a, const char *text, const char *service_id, const char *principal,
    const struct marker *m)
{
	char prefix[MARKER_PREFIX_ROOM], uuid[UUID_TEXT + 1];

	return arena_text(a, "%s %s%s:%" PRId32 ":%s]", text, marker_prefix(service_id, prefix), principal,
	    m->partition, text_uuid(m->uuid, uuid));
}

const char *
marker_of(const char *description)
{
	return strrchr(description, '[');
}

/* text_is_uuid has looked at it. */
static void
parse_uuid(const char *text, unsigned char ret[16])
{
	for (size_t i = 0; i < 16; i++, text += 2) {
		text += *text == '-';
		ret[i] = (unsigned char)strtoul((const char[]){ text[0], text[1], '\0' }, NULL, 16);
	}
}

bool
marker_read(const char *text, const char *service_id, struct marker *ret)
{
	char prefix[MARKER_PREFIX_ROOM], *end;
	size_t n = strlen(marker_prefix(service_id, prefix));
	const char *colon;
	unsigned long partition;

	if (strncmp(text, prefix, n) != 0 || (colon = strchr(text + n, ':')) == NULL ||
	    !text_is_principal(span_of(text + n, (size_t)(colon - text) - n)))
		return false;
	text = colon + 1;
	if (*text < '0' || *text > '9' || (partition = strtoul(text, &end, 10)) > INT32_MAX || *end != ':')
		return false;
	text = end + 1;
	if (strlen(text) != UUID_TEXT + 1 || text[UUID_TEXT] != ']' || !text_is_uuid(span_of(text, UUID_TEXT)))
		return false;
	ret->partition = (int32_t)partition;
	parse_uuid(text, ret->uuid);
	return true;
}
