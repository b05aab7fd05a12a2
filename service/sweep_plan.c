/* SPDX-License-Identifier: Apache-2.0 */
/* Two kinds of lists. After an attempt of unknown fate several, soon and then later and later, because what it may have
 * made is live, and a list may lag. And while any attempt is younger than a day one now and then, because a gateway may
 * execute a request late, or twice.
 *
 * However many attempts there are, a cluster needs one list for all of them: so what is kept is not who asked, but a
 * bit for each slot of time in which somebody wants one. The ring reaches far beyond the last of an attempt's lists;
 * what lies beyond it none the less goes into its last slot. */
#include "service/sweep_plan.h"

#include <stddef.h>

/* Of an attempt of unknown fate, in slots (of 5 s) after its not_after: 0, 5, 30, 120, 300 s. */
static const unsigned after[] = { 0, 1, 6, 24, 60 };
#define N_AFTER (sizeof after / sizeof after[0])

#define NONE UINT64_MAX

void
sweep_plan_init(struct sweep_plan *p, uint64_t slot_ms, uint64_t every_ms, uint64_t for_ms)
{
	*p = (struct sweep_plan){ .slot_ms = slot_ms, .every_ms = every_ms, .for_ms = for_ms, .first = NONE,
	    .next_ms = UINT64_MAX };
}

static uint64_t
first_from(const struct sweep_plan *p, uint64_t slot)
{
	for (uint64_t end = slot + SWEEP_PLAN_SLOTS; slot < end; slot++)
		if (p->slots[slot % SWEEP_PLAN_SLOTS / 64] >> slot % 64 & 1)
			return slot;
	return NONE;
}

static void
want(struct sweep_plan *p, uint64_t at_ms)
{
	if (at_ms > p->wanted_ms)
		p->wanted_ms = at_ms;
}

/* Slots whose time has come leave the ring. */
static void
advance(struct sweep_plan *p, uint64_t now_ms)
{
	while (p->first <= now_ms / p->slot_ms) {
		want(p, p->first * p->slot_ms);
		p->slots[p->first % SWEEP_PLAN_SLOTS / 64] &= ~(1ull << p->first % 64);
		p->first = first_from(p, p->first);
	}
}

void
sweep_plan_at(struct sweep_plan *p, uint64_t now_ms, uint64_t at_ms)
{
	uint64_t slot = (at_ms + p->slot_ms - 1) / p->slot_ms;  /* never earlier than was asked */
	uint64_t last = now_ms / p->slot_ms + SWEEP_PLAN_SLOTS;

	advance(p, now_ms);
	if (at_ms <= now_ms) {
		want(p, at_ms);
		return;
	}
	if (slot > last)
		slot = last;
	p->slots[slot % SWEEP_PLAN_SLOTS / 64] |= 1ull << slot % 64;
	if (slot < p->first)
		p->first = slot;
}

void
sweep_plan_attempt(struct sweep_plan *p, uint64_t now_ms, int64_t not_after_ms, bool unknown)
{
	int64_t until_ms = not_after_ms + (int64_t)p->for_ms;

	for (size_t i = 0; unknown && i < N_AFTER; i++) {
		int64_t at_ms = not_after_ms + (int64_t)(after[i] * p->slot_ms);

		sweep_plan_at(p, now_ms, at_ms > 0 ? (uint64_t)at_ms : 1);
	}
	if (until_ms > (int64_t)p->until_ms)
		p->until_ms = (uint64_t)until_ms;
	if (p->next_ms == UINT64_MAX && now_ms < p->until_ms)
		p->next_ms = now_ms + p->every_ms;
}

uint64_t
sweep_plan_next(struct sweep_plan *p, uint64_t now_ms)
{
	advance(p, now_ms);
	if (p->wanted_ms > p->served_ms)
		return now_ms;
	if (p->first != NONE && p->first * p->slot_ms < p->next_ms)
		return p->first * p->slot_ms;
	return p->next_ms;
}

void
sweep_plan_served(struct sweep_plan *p, uint64_t began_ms)
{
	p->served_ms = began_ms;
	p->next_ms = began_ms >= p->until_ms ? UINT64_MAX :
	    began_ms + p->every_ms < p->until_ms ? began_ms + p->every_ms : p->until_ms;
}
