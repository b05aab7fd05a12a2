/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarded memory for answers.
 *
 * A growing buffer leaves its former selves in the heap, tokens and all; so an answer gets one buffer, once,
 * of the size that the largest legal answer to its request can have. Guarded memory costs 27 us and three
 * pages of mapping to make, so buffers are kept for the next call and wiped in between.
 *
 * There are two sizes, because memory that must not be swapped is scarce (RLIMIT_MEMLOCK is 8 MiB by default)
 * and nearly every request asks for a few permissions: a window of 32 ordinary calls locks half a mebibyte.
 * The large size is for a thousand permissions, each with a database name of 64 characters, written by the
 * most wasteful encoder.
 *
 * The stock is as large as the most calls there ever were at once, which the gates bound.
 */
#include "workers/bodies.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/secret.h"

/* Indented, the slashes of the name escaped, one permission takes up to 206 bytes; the rest of the answer, with a
 * description of 200 bytes all escaped and the marker, stays below 3 KiB. */
#define PERMISSION_BYTES 256
#define FRAME_BYTES 4096
#define SMALL_ROOM (FRAME_BYTES + 47 * PERMISSION_BYTES)
#define LARGE_ROOM (FRAME_BYTES + 1000 * PERMISSION_BYTES)

struct bodies {
	pthread_mutex_t lock;
	struct body *small, *large;     /* not lent out */
};

struct bodies *
bodies_new(void)
{
	struct bodies *all = calloc(1, sizeof(*all));

	if (all != NULL)
		(void)pthread_mutex_init(&all->lock, NULL);
	return all;
}

static void
free_list(struct body *list)
{
	while (list != NULL) {
		struct body *b = list;

		list = b->next;
		secret_guarded_free(b->data);
		free(b);
	}
}

void
bodies_free(struct bodies *all)
{
	if (all == NULL)
		return;
	free_list(all->small);
	free_list(all->large);
	(void)pthread_mutex_destroy(&all->lock);
	free(all);
}

static struct body *
new_body(size_t room)
{
	struct body *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	if ((b->data = secret_guarded_new(room + 1)) == NULL) {
		free(b);
		return NULL;
	}
	b->room = room;
	b->data[0] = '\0';
	return b;
}

static struct body **
stock_of(struct bodies *all, size_t room)
{
	return room == SMALL_ROOM ? &all->small : &all->large;
}

struct body *
bodies_take(struct bodies *all, size_t n_permissions)
{
	size_t room = n_permissions <= (SMALL_ROOM - FRAME_BYTES) / PERMISSION_BYTES ? SMALL_ROOM : LARGE_ROOM;
	struct body **stock = stock_of(all, room), *b;

	(void)pthread_mutex_lock(&all->lock);
	if ((b = *stock) != NULL)
		*stock = b->next;
	(void)pthread_mutex_unlock(&all->lock);
	if (b == NULL)
		return new_body(room);
	b->next = NULL;
	return b;
}

void
bodies_append(struct body *b, const void *data, size_t bytes)
{
	if (bytes > b->room - b->bytes) {
		bytes = b->room - b->bytes;
		b->overlong = true;
	}
	memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	b->data[b->bytes] = '\0';
}

void
bodies_give_back(struct bodies *all, struct body *b)
{
	struct body **stock;

	if (b == NULL)
		return;
	assert(b->next == NULL);
	secret_wipe(b->data, b->bytes);
	b->bytes = 0;
	b->data[0] = '\0';
	b->overlong = false;
	stock = stock_of(all, b->room);
	(void)pthread_mutex_lock(&all->lock);
	b->next = *stock;
	*stock = b;
	(void)pthread_mutex_unlock(&all->lock);
}
