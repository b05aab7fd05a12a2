/* SPDX-License-Identifier: Apache-2.0 */
/* The queue before the publisher, and what a transaction's end means for the partitions it touched.
 *
 * A transaction never mixes generations, holds at most 1,000 items or 1 MiB, and commits for each partition
 * it touches the watermark as it will be when all its answers count. Time and offsets are settled here,
 * before it begins. */
#include "service/batch.h"

#include <stdlib.h>

#include "service/base/clock.h"
#include "service/generation.h"
#include "service/journal.h"
#include "service/ticket.h"
#include "service/watermark.h"

struct batch {
	const char *transactional_id;
	struct item *first, **last;
	bool busy;
};

struct batch *
batch_new(const char *transactional_id)
{
	struct batch *b = calloc(1, sizeof *b);

	if (b == NULL)
		abort();
	b->transactional_id = transactional_id;
	b->last = &b->first;
	return b;
}

void
batch_free(struct batch *b)
{
	free(b);
}

void
batch_add(struct batch *b, struct item *it)
{
	it->next = NULL;
	it->queued = true;
	*b->last = it;
	b->last = &it->next;
}

void
batch_withdraw(struct batch *b, struct item *it)
{
	struct item **at = &b->first;

	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	if (*at == NULL)
		b->last = at;
	it->queued = false;
}

bool
batch_busy(const struct batch *b)
{
	return b->busy;
}

bool
batch_empty(const struct batch *b)
{
	return b->first == NULL;
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

/* Take what fits, and is of the first one's generation, off the queue. */
static struct item *
take(struct batch *b, size_t *ret_count)
{
	struct generation *g = b->first->assignment->generation;
	struct item *items = b->first, **at = &b->first;
	size_t count = 0, bytes = 0;

	while (*at != NULL && (*at)->assignment->generation == g && count < TRANSACTION_ITEMS_MOST &&
	    (count == 0 || bytes + (*at)->bytes <= TRANSACTION_BYTES_MOST)) {
		bytes += (*at)->bytes;
		(*at)->queued = false;
		count++;
		at = &(*at)->next;
	}
	b->first = *at;
	*at = NULL;
	if (b->first == NULL)
		b->last = &b->first;
	*ret_count = count;
	return items;
}

static struct touched *
touch(struct transaction *x, struct assignment *a)
{
	struct touched *t;

	for (size_t i = 0; i < x->n_touched; i++)
		if (x->touched[i].assignment == a)
			return &x->touched[i];
	t = &x->touched[x->n_touched++];
	*t = (struct touched){ .assignment = a, .partition = a->partition,
	    .claim = a->claim.metadata[0] != '\0' ? &a->claim : NULL,
	    .journal_least = journal_least(a->journal), .journal_last = -1 };
	a->in_transactions++;
	return t;
}

struct transaction *
batch_next(struct batch *b)
{
	struct transaction *x;
	size_t count;

	if (b->busy || b->first == NULL)
		return NULL;
	if ((x = calloc(1, sizeof *x)) == NULL)
		abort();
	x->items = take(b, &count);
	if ((x->touched = calloc(count, sizeof *x->touched)) == NULL)
		abort();
	x->generation = generation_hold(x->items->assignment->generation);
	for (struct item *it = x->items; it != NULL; it = it->next) {
		touch(x, it->assignment);
		if (it->answers >= 0)
			watermark_stage(it->assignment->watermark, it->answers);
	}
	for (size_t i = 0; i < x->n_touched; i++) {
		struct touched *t = &x->touched[i];
		uint64_t seq = 0;

		for (struct item *it = x->items; it != NULL; it = it->next)
			if (it->assignment == t->assignment && it->seq > seq)
				seq = it->seq;
		t->offset = watermark_staged(t->assignment->watermark);
		journal_metadata(t->assignment->journal, seq, clock_wall_ms(), b->transactional_id, t->metadata);
	}
	b->busy = true;
	return x;
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

/* Does the partition go on after this transaction's abort? */
static bool
goes_on(const struct touched *t)
{
	return t->assignment->state != ASSIGNMENT_LOST && !t->too_low && !t->unreported;
}

/* After a certain abort the same items go to the front again, in their order; those of partitions that do not
 * go on stay the caller's. */
static void
requeue(struct batch *b, struct transaction *x)
{
	struct item *again = NULL, **again_last = &again, *dropped = NULL, **dropped_last = &dropped, *next;

	for (struct item *it = x->items; it != NULL; it = next) {
		size_t i = 0;

		next = it->next;
		while (x->touched[i].assignment != it->assignment)
			i++;
		if (goes_on(&x->touched[i])) {
			it->queued = true;
			*again_last = it;
			again_last = &it->next;
		} else {
			*dropped_last = it;
			dropped_last = &it->next;
		}
	}
	*dropped_last = NULL;
	x->items = dropped;
	if (again == NULL)
		return;
	if (b->first == NULL)
		b->last = again_last;
	*again_last = b->first;
	b->first = again;
}

void
batch_settle(struct batch *b, struct transaction *x)
{
	bool committed = x->result == TRANSACTION_COMMITTED;

	for (struct item *it = x->items; it != NULL; it = it->next)
		if (it->answers >= 0)
			watermark_settle(it->assignment->watermark, it->answers, committed);
	for (size_t i = 0; i < x->n_touched; i++) {
		struct touched *t = &x->touched[i];

		t->assignment->in_transactions--;
		if (t->journal_last >= 0)
			journal_delivered(t->assignment->journal, t->journal_last);
		if (committed) {
			t->assignment->claim.metadata[0] = '\0';
			journal_passed(t->assignment->journal, watermark_lowest(t->assignment->watermark));
		}
	}
	b->busy = false;
	if (x->result == TRANSACTION_ABORTED)
		requeue(b, x);
}

void
batch_done(struct transaction *x)
{
	generation_release(x->generation);
	free(x->touched);
	free(x);
}
