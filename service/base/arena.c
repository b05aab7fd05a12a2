/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator: blocks in a list, the newest first, and one cursor in the newest.
 *
 * A request of 400 bytes becomes a hundred small pieces with one life. Handing them out of a block
 * costs an addition, giving them back costs one free a block, and nothing can be forgotten or freed
 * twice. Blocks double up to BLOCK_MOST: most tickets fit into the first, and one with a thousand
 * permissions does not need fifty. What is large gets a block of its own, behind the newest, so that
 * the room left in that is not lost.
 *
 * Not for secrets: nothing is wiped. Those live in base/secret.c's memory.
 */
#include "service/base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_FIRST ((size_t)4096)
#define BLOCK_MOST ((size_t)65536)

struct arena_block {
	struct arena_block *next;
	size_t room_bytes, used_bytes;
	alignas(max_align_t) unsigned char bytes[];
};

void
arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

static struct arena_block *
block_new(size_t room_bytes)
{
	struct arena_block *b = calloc(1, sizeof(*b) + room_bytes);

	if (b == NULL)
		abort();
	b->room_bytes = room_bytes;
	return b;
}

/* Enough room for bytes in the newest block? Otherwise a new one. */
static struct arena_block *
block_with_room(struct arena *a, size_t bytes)
{
	struct arena_block *newest = a->blocks;
	size_t block_bytes = BLOCK_FIRST;
	struct arena_block *b;

	if (newest != NULL && newest->room_bytes - newest->used_bytes >= bytes)
		return newest;
	if (newest != NULL && newest->room_bytes >= BLOCK_FIRST / 2)
		block_bytes = newest->room_bytes < BLOCK_MOST / 2 ? 2 * (newest->room_bytes + sizeof(*b)) : BLOCK_MOST;
	if (bytes <= block_bytes / 4) {
		b = block_new(block_bytes - sizeof(*b));
		b->next = newest;
		a->blocks = b;
		return b;
	}
	b = block_new(bytes);
	if (newest == NULL) {
		a->blocks = b;
	} else {
		b->next = newest->next;
		newest->next = b;
	}
	return b;
}

void *
arena_alloc(struct arena *a, size_t bytes)
{
	struct arena_block *b;
	void *p;

	if (bytes > SIZE_MAX / 2)       /* a bug's arithmetic, not a size */
		abort();
	bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (bytes == 0)
		bytes = alignof(max_align_t);
	b = block_with_room(a, bytes);
	p = b->bytes + b->used_bytes;
	b->used_bytes += bytes;
	a->used_bytes += bytes;
	return p;
}

struct span
arena_copy(struct arena *a, struct span bytes)
{
	unsigned char *copy = arena_alloc(a, bytes.bytes + 1);

	if (bytes.bytes > 0)
		memcpy(copy, bytes.data, bytes.bytes);
	return span_of(copy, bytes.bytes);
}

char *
arena_text(struct arena *a, const char *format, ...)
{
	va_list args, again;
	char *text;
	int length;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	if (length < 0)
		abort();
	text = arena_alloc(a, (size_t)length + 1);
	(void)vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

void
arena_free(struct arena *a)
{
	struct arena_block *b = a->blocks, *next;

	for (; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	arena_init(a);
}
