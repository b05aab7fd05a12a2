/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of tickets by due time; each ticket knows its place, so that clearing needs no search. */
#include "service/timers.h"

#include <stdlib.h>

#include "service/ticket.h"

struct timers {
	struct ticket **heap;
	size_t count, room;
};

struct timers *
timers_new(void)
{
	struct timers *h = calloc(1, sizeof *h);

	if (h == NULL)
		abort();
	return h;
}

void
timers_free(struct timers *h)
{
	if (h == NULL)
		return;
	free(h->heap);
	free(h);
}

static void
put(struct timers *h, size_t at, struct ticket *t)
{
	h->heap[at] = t;
	t->timer = (int)at;
}

static void
rise(struct timers *h, size_t at, struct ticket *t)
{
	while (at > 0 && h->heap[(at - 1) / 2]->due_boot_ms > t->due_boot_ms) {
		put(h, at, h->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(h, at, t);
}

static void
sink(struct timers *h, size_t at, struct ticket *t)
{
	size_t child;

	while ((child = 2 * at + 1) < h->count) {
		if (child + 1 < h->count && h->heap[child + 1]->due_boot_ms < h->heap[child]->due_boot_ms)
			child++;
		if (h->heap[child]->due_boot_ms >= t->due_boot_ms)
			break;
		put(h, at, h->heap[child]);
		at = child;
	}
	put(h, at, t);
}

void
timers_set(struct timers *h, struct ticket *t, uint64_t due_boot_ms)
{
	timers_clear(h, t);
	if (h->count == h->room) {
		h->room = h->room != 0 ? 2 * h->room : 64;
		if ((h->heap = realloc(h->heap, h->room * sizeof(struct ticket *))) == NULL)
			abort();
	}
	t->due_boot_ms = due_boot_ms;
	rise(h, h->count++, t);
}

void
timers_clear(struct timers *h, struct ticket *t)
{
	size_t at = (size_t)t->timer;
	struct ticket *last;

	if (t->timer < 0)
		return;
	t->timer = -1;
	last = h->heap[--h->count];
	if (last == t)
		return;
	if (at > 0 && h->heap[(at - 1) / 2]->due_boot_ms > last->due_boot_ms)
		rise(h, at, last);
	else
		sink(h, at, last);
}

uint64_t
timers_next(const struct timers *h)
{
	return h->count > 0 ? h->heap[0]->due_boot_ms : UINT64_MAX;
}

struct ticket *
timers_take(struct timers *h, uint64_t now_boot_ms)
{
	struct ticket *t = h->count > 0 ? h->heap[0] : NULL;

	if (t == NULL || t->due_boot_ms > now_boot_ms)
		return NULL;
	timers_clear(h, t);
	return t;
}
