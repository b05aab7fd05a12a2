/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values may come from a serializer that speaks Schema Registry:
 *
 *   00 | schema id, 4 bytes big-endian | message index | protobuf
 *
 * No protobuf message begins with a zero byte (there is no field 0), so the first byte tells. The index is
 * a path into the schema's file: how many numbers, then each of them, all as zigzag varints; the path [0],
 * the first message, is written as one zero byte. The schema id is not looked at: what the bytes mean is
 * settled by the method and the signature, not by a registry that we would have to ask.
 */
#include "service/frame.h"

#include <stdint.h>

#include "service/base/arena.h"

#define SCHEMA_ID_BYTES 4

/* A zigzag varint of at most 32 bits; moves *rest past it. */
static int
take_number(struct span *rest, int64_t *ret)
{
	uint64_t raw = 0;

	for (unsigned i = 0; i < 5 && i < rest->bytes; i++) {
		raw |= (uint64_t)(rest->data[i] & 0x7f) << (7 * i);
		if ((rest->data[i] & 0x80) != 0)
			continue;
		*rest = span_of(rest->data + i + 1, rest->bytes - i - 1);
		*ret = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
		return 0;
	}
	return -1;
}

/* The path to the message. Whoever sends one longer than the value could hold is not a serializer. */
static int
take_index(struct span *rest, long *ret_index)
{
	int64_t length, first = 0, number;

	if (take_number(rest, &length) != 0 || length < 0 || length > (int64_t)rest->bytes)
		return -1;
	for (int64_t i = 0; i < length; i++) {
		if (take_number(rest, &number) != 0 || number < 0)
			return -1;
		if (i == 0)
			first = number;
	}
	*ret_index = length <= 1 ? (long)first : -1;
	return 0;
}

int
frame_open(struct span value, struct frame *ret_frame)
{
	struct frame f = { .present = true };

	if (value.bytes == 0 || value.data[0] != 0) {
		*ret_frame = (struct frame){ .body = value };
		return 0;
	}
	if (value.bytes < 1 + SCHEMA_ID_BYTES)
		return -1;
	f.body = span_of(value.data + 1 + SCHEMA_ID_BYTES, value.bytes - 1 - SCHEMA_ID_BYTES);
	if (take_index(&f.body, &f.message_index) != 0)
		return -1;
	*ret_frame = f;
	return 0;
}

static unsigned char *
put_number(unsigned char *at, uint32_t number)
{
	uint64_t zigzag = (uint64_t)number << 1;

	for (; zigzag >= 0x80; zigzag >>= 7)
		*at++ = (unsigned char)(zigzag | 0x80);
	*at++ = (unsigned char)zigzag;
	return at;
}

struct span
frame_close(uint32_t schema_id, unsigned message_index, struct span body, struct arena *a)
{
	unsigned char *value = arena_alloc(a, FRAME_BYTES_MOST + body.bytes), *at = value;

	*at++ = 0;
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (unsigned char)(schema_id >> shift);
	if (message_index == 0)
		*at++ = 0;
	else
		at = put_number(put_number(at, 1), message_index);
	if (body.bytes > 0)
		memcpy(at, body.data, body.bytes);
	return span_of(value, (size_t)(at - value) + body.bytes);
}
