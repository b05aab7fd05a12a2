/* SPDX-License-Identifier: Apache-2.0 */
/* An open-addressing table of numbers, and the entries that they name.
 *
 * A table of the entries themselves would pay for its empty places, and at a doubling for all of it twice:
 * 96 to 192 bytes for 72. So the table holds 32-bit numbers, at most three quarters full, and entries lie
 * densely in chunks, from which they never move: 72 bytes, 5 to 11 for the table, 16 while it doubles.
 *
 * It is keyed by 8 bytes of the key's hash; a collision of two requests' keys would need as many of them as
 * nobody sends, and a principal that seeks one finds it among its own IDs only. Dropping moves later numbers
 * back into the gap instead of leaving a mark, so that a table whose entries come and go stays as fast as it was.
 *
 * Who leaves when there are too many: the oldest of those that may, a share at once, since finding them is a look
 * at all. What is not here: what an entry means, and what its absence does (journal.c). */
#include "service/index.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/dsse.h"
#include "service/base/durations.h"

#define CHUNK 4096u
#define ROOM_FIRST 64u
#define AGES 256u

_Static_assert(sizeof(struct index_entry) == 72, "an index entry grew: 96 bytes a request are promised");

struct index {
	struct index_entry **chunks;
	size_t n_chunks;
	uint32_t handed;                /* entries ever taken out of the chunks: numbers 1 to this */
	uint32_t vacant;                /* the number of a dropped one, linked by key_hash; 0: none */
	size_t used;

	uint32_t *slots;                /* numbers; 0: empty */
	size_t room;                    /* a power of two, or 0 */
};

static struct index_entry *
entry(const struct index *x, uint32_t number)
{
	return &x->chunks[(number - 1) / CHUNK][(number - 1) % CHUNK];
}

static size_t
home(const struct index *x, uint64_t key_hash)
{
	return key_hash & (x->room - 1);
}

static size_t
after(const struct index *x, size_t slot)
{
	return (slot + 1) & (x->room - 1);
}

struct index *
index_new(void)
{
	struct index *x = calloc(1, sizeof *x);

	if (x == NULL)
		abort();
	return x;
}

void
index_free(struct index *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->n_chunks; i++)
		free(x->chunks[i]);
	free(x->chunks);
	free(x->slots);
	free(x);
}

struct index_entry *
index_find(const struct index *x, uint64_t key_hash)
{
	if (x->room == 0)
		return NULL;
	for (size_t i = home(x, key_hash); x->slots[i] != 0; i = after(x, i))
		if (entry(x, x->slots[i])->key_hash == key_hash)
			return entry(x, x->slots[i]);
	return NULL;
}

static void
put(struct index *x, uint64_t key_hash, uint32_t number)
{
	size_t i = home(x, key_hash);

	while (x->slots[i] != 0)
		i = after(x, i);
	x->slots[i] = number;
}

static void
widen(struct index *x)
{
	uint32_t *old = x->slots;
	size_t old_room = x->room;

	x->room = old_room != 0 ? 2 * old_room : ROOM_FIRST;
	if ((x->slots = calloc(x->room, sizeof *x->slots)) == NULL)
		abort();
	for (size_t i = 0; i < old_room; i++)
		if (old[i] != 0)
			put(x, entry(x, old[i])->key_hash, old[i]);
	free(old);
}

/* The number of an entry that is nobody's. */
static uint32_t
take(struct index *x)
{
	uint32_t number = x->vacant;

	if (number != 0) {
		x->vacant = (uint32_t)entry(x, number)->key_hash;
		return number;
	}
	if (x->handed == x->n_chunks * CHUNK) {
		if ((x->chunks = realloc(x->chunks, (x->n_chunks + 1) * sizeof *x->chunks)) == NULL ||
		    (x->chunks[x->n_chunks] = malloc(CHUNK * sizeof **x->chunks)) == NULL)
			abort();
		x->n_chunks++;
	}
	return ++x->handed;
}

struct index_entry *
index_insert(struct index *x, uint64_t key_hash)
{
	struct index_entry *e = index_find(x, key_hash);
	uint32_t number;

	if (e != NULL)
		return e;
	if ((x->used + 1) * 4 > x->room * 3)
		widen(x);
	number = take(x);
	e = entry(x, number);
	memset(e, 0, sizeof *e);
	e->key_hash = key_hash;
	e->cluster = INDEX_NO_CLUSTER;
	put(x, key_hash, number);
	x->used++;
	return e;
}

/* Empty that slot, and let those behind it that would have stood there, had it been empty, move up. */
static void
close_gap(struct index *x, size_t gap)
{
	for (size_t i = after(x, gap); x->slots[i] != 0; i = after(x, i)) {
		size_t way = (i - home(x, entry(x, x->slots[i])->key_hash)) & (x->room - 1);

		if (way < ((i - gap) & (x->room - 1)))
			continue;
		x->slots[gap] = x->slots[i];
		gap = i;
	}
	x->slots[gap] = 0;
}

void
index_drop(struct index *x, struct index_entry *e)
{
	size_t i = home(x, e->key_hash);
	uint32_t number;

	while (entry(x, x->slots[i]) != e)
		i = after(x, i);
	number = x->slots[i];
	close_gap(x, i);
	e->state = INDEX_FREE;
	e->key_hash = x->vacant;
	x->vacant = number;
	x->used--;
}

size_t
index_used(const struct index *x)
{
	return x->used;
}

struct index_entry *
index_each(const struct index *x, size_t *at)
{
	while (*at < x->handed) {
		struct index_entry *e = entry(x, (uint32_t)++*at);

		if (e->state != INDEX_FREE)
			return e;
	}
	return NULL;
}

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

static int64_t
seconds(enum duration which)
{
	return (int64_t)(duration_ms(which) / 1000);
}

static bool
may_leave(const struct index_entry *e, int64_t now)
{
	return e->state == INDEX_DONE && e->deadline + seconds(DURATION_SKEW) <= now &&
	    e->last_not_after + seconds(DURATION_SWEEP_FOR) <= now;
}

size_t
index_age(struct index *x, int64_t now, int64_t floor)
{
	struct index_entry *e;
	size_t at = 0, n = 0;

	while ((e = index_each(x, &at)) != NULL)
		if (may_leave(e, now) && e->deadline + seconds(DURATION_SKEW) <= floor) {
			index_drop(x, e);
			n++;
		}
	return n;
}

/* The deadlines of those that may leave, counted in buckets, so that the oldest are found without sorting. */
struct ages {
	uint32_t first, width;
	size_t n[AGES];
};

static unsigned
bucket(const struct ages *a, const struct index_entry *e)
{
	return (e->deadline - a->first) / a->width;
}

static size_t
count_ages(const struct index *x, int64_t now, struct ages *ret)
{
	uint32_t last = 0;
	struct index_entry *e;
	size_t found = 0;

	*ret = (struct ages){ .first = UINT32_MAX };
	for (size_t at = 0; (e = index_each(x, &at)) != NULL;)
		if (may_leave(e, now)) {
			ret->first = e->deadline < ret->first ? e->deadline : ret->first;
			last = e->deadline > last ? e->deadline : last;
			found++;
		}
	if (found == 0)
		return 0;
	ret->width = (last - ret->first) / AGES + 1;
	for (size_t at = 0; (e = index_each(x, &at)) != NULL;)
		if (may_leave(e, now))
			ret->n[bucket(ret, e)]++;
	return found;
}

size_t
index_shed(struct index *x, size_t most, int64_t now, int64_t *floor)
{
	struct ages ages;
	struct index_entry *e;
	size_t left = count_ages(x, now, &ages), whole = 0, n = 0;
	unsigned border = 0;            /* of the buckets below it all leave; of its own, what is still wanted */

	if (left > most)
		left = most;
	while (left > 0 && whole + ages.n[border] < left)
		whole += ages.n[border++];
	for (size_t at = 0; n < left && (e = index_each(x, &at)) != NULL;) {
		if (!may_leave(e, now) || bucket(&ages, e) > border)
			continue;
		if (bucket(&ages, e) == border && whole == left)
			continue;
		whole += bucket(&ages, e) == border;
		if (e->deadline + seconds(DURATION_SKEW) > *floor)
			*floor = e->deadline + seconds(DURATION_SKEW);
		index_drop(x, e);
		n++;
	}
	return n;
}

uint32_t
index_token(const char *token_id)
{
	unsigned char hash[DSSE_HASH_BYTES];
	uint32_t first;

	if (token_id[0] == '\0')
		return 0;
	dsse_sha256(span_str(token_id), hash);
	memcpy(&first, hash, sizeof first);
	return first;
}

uint32_t
index_seconds(int64_t unix_seconds)
{
	if (unix_seconds < 0)
		return 0;
	return unix_seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)unix_seconds;
}
