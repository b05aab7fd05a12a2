/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign bytes, judged and shown.
 *
 * Whatever a requester, a file or a library gives us may end up in a log line, a terminal or a signed
 * reply. text_shown is the only way there: control bytes cannot move a cursor, a line break cannot
 * forge a log line, and marks that reverse the reading direction cannot make one name look like
 * another. The rules for names stand here, once, and are exact: ASCII sets, lengths in bytes.
 *
 * Times and durations are in text_time.c.
 */
#include "service/base/text.h"

#include <stdio.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

const char TEXT_REQUEST_ID[] = UPPER LOWER DIGITS "._:-";
const char TEXT_PRINCIPAL[] = LOWER DIGITS "._-";
const char TEXT_SERVICE_ID[] = LOWER DIGITS "-";
const char TEXT_DATABASE[] = UPPER LOWER DIGITS "_/-";

static bool
continues(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Unicode's table 3-7: the second byte's range is what keeps out overlong forms, surrogates and what
 * lies above U+10FFFF. */
size_t
text_character(struct span value)
{
	const unsigned char *p = value.data;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (value.bytes == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		length = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		length = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (value.bytes < length || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (!continues(p[i]))
			return 0;
	return length;
}

static struct span
skip(struct span value, size_t bytes)
{
	return span_of(value.data + bytes, value.bytes - bytes);
}

/* C0, DEL and C1. */
static bool
is_control(const unsigned char *p, size_t length)
{
	return (length == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (length == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

/* U+2028..202E and U+2066..2069: they break lines, or turn the direction in which one reads. */
static bool
misleads(const unsigned char *p, size_t length)
{
	return length == 3 && p[0] == 0xe2 &&
	    ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

bool
text_is_printable(struct span character)
{
	size_t length = text_character(character);

	return length > 0 && !is_control(character.data, length) && !misleads(character.data, length);
}

const char *
text_shown(struct span value, char room[TEXT_SHOWN_ROOM])
{
	struct span left = text_cut(value, TEXT_SHOWN_BYTES);
	bool cut = left.bytes < value.bytes;
	char *to = room;

	while (left.bytes > 0) {
		size_t length = text_character(left);
		bool as_is = text_is_printable(left) && left.data[0] != '"' && left.data[0] != '\\';

		if (length == 0)
			length = 1;
		for (size_t i = 0; i < length; i++) {
			if (as_is)
				*to++ = (char)left.data[i];
			else
				to += sprintf(to, "\\x%02x", left.data[i]);
		}
		left = skip(left, length);
	}
	(void)strcpy(to, cut ? "…" : "");
	return room;
}

bool
text_is_utf8(struct span value)
{
	while (value.bytes > 0) {
		size_t length = text_character(value);

		if (length == 0 || value.data[0] == '\0')
			return false;
		value = skip(value, length);
	}
	return true;
}

struct span
text_cut(struct span value, size_t max_bytes)
{
	size_t end = max_bytes;

	if (value.bytes <= max_bytes)
		return value;
	for (int i = 0; i < 3 && end > 0 && continues(value.data[end]); i++)
		end--;
	if (continues(value.data[end]))         /* no UTF-8 anyway */
		end = max_bytes;
	return span_of(value.data, end);
}

const char *
text_hex(struct span value, char *room)
{
	static const char digits[] = "0123456789abcdef";
	char *to = room;

	for (size_t i = 0; i < value.bytes; i++) {
		*to++ = digits[value.data[i] >> 4];
		*to++ = digits[value.data[i] & 0xf];
	}
	*to = '\0';
	return room;
}

bool
text_is_uuid(struct span value)
{
	if (value.bytes != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (!text_only(span_of(value.data + i, 1), dash ? "-" : DIGITS "abcdef"))
			return false;
	}
	return true;
}

const char *
text_uuid(const unsigned char uuid[16], char room[37])
{
	static const unsigned char groups[] = { 4, 2, 2, 2, 6 };
	char *to = room;

	for (size_t g = 0, from = 0; g < sizeof(groups); from += groups[g++]) {
		if (g > 0)
			*to++ = '-';
		(void)text_hex(span_of(uuid + from, groups[g]), to);
		to += 2 * groups[g];
	}
	return room;
}

bool
text_only(struct span value, const char *set)
{
	for (size_t i = 0; i < value.bytes; i++)
		if (value.data[i] == '\0' || strchr(set, value.data[i]) == NULL)
			return false;
	return true;
}

static bool
name(struct span value, size_t max_bytes, const char *set)
{
	return value.bytes >= 1 && value.bytes <= max_bytes && text_only(value, set);
}

bool
text_is_request_id(struct span value)
{
	return name(value, 128, TEXT_REQUEST_ID);
}

bool
text_is_principal(struct span value)
{
	return name(value, 64, TEXT_PRINCIPAL);
}

bool
text_is_service_id(struct span value)
{
	return name(value, 32, TEXT_SERVICE_ID);
}

bool
text_is_database(struct span value)
{
	return name(value, 64, TEXT_DATABASE);
}

/* "[tokend/" begins the marker by which we find our own tokens again: nobody else may write one. */
bool
text_is_description(struct span value)
{
	static const char marker[] = "[tokend/";

	if (value.bytes < 1 || value.bytes > 200 || !text_is_utf8(value))
		return false;
	if (value.data[0] == ' ' || value.data[value.bytes - 1] == ' ')
		return false;
	if (memmem(value.data, value.bytes, marker, strlen(marker)) != NULL)
		return false;
	while (value.bytes > 0) {
		size_t length = text_character(value);

		if (is_control(value.data, length))
			return false;
		value = skip(value, length);
	}
	return true;
}
