/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64, strictly: one text for each sequence of bytes. A decoder that ignored blanks, missing padding
 * or stray low bits would let the same signature travel as many different headers. For public bytes;
 * the time it takes depends on them.
 */
#include "service/base/text.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
digit(unsigned char c)
{
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

long
text_parse_base64(struct span value, unsigned char *ret_bytes, size_t max_bytes)
{
	size_t padding = 0, bytes, out = 0;
	uint32_t bits = 0;
	int n_bits = 0;

	if (value.bytes % 4 != 0)
		return -1;
	while (padding < 2 && padding < value.bytes && value.data[value.bytes - 1 - padding] == '=')
		padding++;
	bytes = value.bytes / 4 * 3 - padding;
	if (bytes > max_bytes)
		return -1;
	for (size_t i = 0; i < value.bytes - padding; i++) {
		int d = digit(value.data[i]);

		if (d < 0)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			ret_bytes[out++] = (unsigned char)(bits >> n_bits);
		}
	}
	return (bits & ((1u << n_bits) - 1)) == 0 ? (long)bytes : -1;
}

const char *
text_base64(struct span value, char *room)
{
	char *to = room;

	for (size_t i = 0; i < value.bytes; i += 3) {
		size_t have = value.bytes - i < 3 ? value.bytes - i : 3;
		uint32_t bits = (uint32_t)value.data[i] << 16;

		if (have > 1)
			bits |= (uint32_t)value.data[i + 1] << 8;
		if (have > 2)
			bits |= value.data[i + 2];
		*to++ = alphabet[bits >> 18];
		*to++ = alphabet[bits >> 12 & 63];
		*to++ = have > 1 ? alphabet[bits >> 6 & 63] : '=';
		*to++ = have > 2 ? alphabet[bits & 63] : '=';
	}
	*to = '\0';
	return room;
}
