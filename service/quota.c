/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of the clock's minute and of UTC's day, one pair for each (principal, partition).
 *
 * Windows are fixed: a principal may spend one window's limit at its end and the next one's at its
 * beginning. Quotas keep a runaway client from filling a cluster with tokens; they are not a price list,
 * and are lost at a restart anyway. That is why they are neither exact nor stored.
 *
 * An open hash table of at most four times a day's principals times the partitions, at 96 bytes each. A
 * name gets in by a signature that verified, and so out of the policy: nobody else can make it grow. When
 * it is half full, counters of past days are left behind.
 */
#include "service/quota.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/text.h"

#define MINUTE 60
#define DAY 86400
#define SLOTS_FIRST 64                  /* a power of two */
#define PRINCIPAL_ROOM 65

struct slot {
	char principal[PRINCIPAL_ROOM]; /* "": free */
	int32_t partition;
	int64_t minute, day;            /* since the epoch: to which the counts belong */
	uint32_t in_minute, in_day;
};

struct quota {
	struct slot *slots;
	size_t n_slots, n_used;
};

static struct slot *
new_slots(size_t n)
{
	struct slot *slots = calloc(n, sizeof(*slots));

	if (slots == NULL)
		abort();        /* as the arena does: there is nothing better to do than to start anew */
	return slots;
}

struct quota *
quota_new(void)
{
	struct quota *q = calloc(1, sizeof(*q));

	if (q == NULL)
		abort();
	q->n_slots = SLOTS_FIRST;
	q->slots = new_slots(q->n_slots);
	return q;
}

void
quota_free(struct quota *q)
{
	if (q == NULL)
		return;
	free(q->slots);
	free(q);
}

/* FNV-1a. */
static size_t
hash(const char *principal, int32_t partition)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)(uint32_t)partition;

	for (; *principal != '\0'; principal++)
		h = (h ^ (unsigned char)*principal) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 32);
}

/* Its slot, or the free one where it belongs. */
static struct slot *
find(struct slot *slots, size_t n_slots, const char *principal, int32_t partition)
{
	size_t i = hash(principal, partition) & (n_slots - 1);

	while (slots[i].principal[0] != '\0' &&
	    (slots[i].partition != partition || strcmp(slots[i].principal, principal) != 0))
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

/* Make room for one more: at most half of the slots are used. */
static void
make_room(struct quota *q, int64_t today)
{
	size_t n_slots, n_used = 0;
	struct slot *slots;

	if (2 * (q->n_used + 1) <= q->n_slots)
		return;
	for (size_t i = 0; i < q->n_slots; i++)
		n_used += q->slots[i].principal[0] != '\0' && q->slots[i].day >= today;
	for (n_slots = SLOTS_FIRST; n_slots < 4 * (n_used + 1);)
		n_slots *= 2;

	slots = new_slots(n_slots);
	for (size_t i = 0; i < q->n_slots; i++) {
		const struct slot *s = &q->slots[i];

		if (s->principal[0] != '\0' && s->day >= today)
			*find(slots, n_slots, s->principal, s->partition) = *s;
	}
	free(q->slots);
	q->slots = slots;
	q->n_slots = n_slots;
	q->n_used = n_used;
}

static struct slot *
obtain(struct quota *q, const char *principal, int32_t partition, int64_t today)
{
	struct slot *s = find(q->slots, q->n_slots, principal, partition);

	if (s->principal[0] != '\0')
		return s;
	make_room(q, today);
	s = find(q->slots, q->n_slots, principal, partition);
	memcpy(s->principal, principal, strlen(principal) + 1);
	s->partition = partition;
	q->n_used++;
	return s;
}

enum quota_verdict
quota_take(struct quota *q, const char *principal, int32_t partition, uint32_t per_minute, uint32_t per_day,
    int64_t now)
{
	int64_t minute = now / MINUTE, day = now / DAY;
	struct slot *s;

	assert(text_is_principal(span_str(principal)));     /* the policy has no other, and a slot no more room */
	if (per_minute == 0 && per_day == 0)
		return QUOTA_TAKEN;
	s = obtain(q, principal, partition, day);
	if (s->minute != minute) {
		s->minute = minute;
		s->in_minute = 0;
	}
	if (s->day != day) {
		s->day = day;
		s->in_day = 0;
	}
	if (per_minute != 0 && s->in_minute >= per_minute)
		return QUOTA_MINUTE_FULL;
	if (per_day != 0 && s->in_day >= per_day)
		return QUOTA_DAY_FULL;
	s->in_minute++;
	s->in_day++;
	return QUOTA_TAKEN;
}
