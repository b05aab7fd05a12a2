/* SPDX-License-Identifier: Apache-2.0 */
/* When is a cluster's list of tokens wanted?  Pure: the time, on the boot clock, is an argument. */
#ifndef TOKEND_SWEEP_PLAN_H
#define TOKEND_SWEEP_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define SWEEP_PLAN_SLOTS 1024

struct sweep_plan {
	uint64_t slot_ms, every_ms, for_ms;
	uint64_t slots[SWEEP_PLAN_SLOTS / 64];  /* a bit each: a list is wanted when its time has come */
	uint64_t first;                         /* slot that is wanted; UINT64_MAX: none is */
	uint64_t wanted_ms, served_ms;          /* the latest time that has come, and what has been served: a list is
	                                         * due while the first is later */
	uint64_t until_ms, next_ms;             /* attempts are young until then; the next of their lists */
};

/* A list every so often while an attempt is younger than for_ms. */
void sweep_plan_init(struct sweep_plan *p, uint64_t slot_ms, uint64_t every_ms, uint64_t for_ms);

/* An attempt was made whose call has ended by not_after_ms (it may lie in the past, or ahead). unknown: nobody knows
 * whether it made a token. */
void sweep_plan_attempt(struct sweep_plan *p, uint64_t now_ms, int64_t not_after_ms, bool unknown);
/* A list is wanted then, whatever for. */
void sweep_plan_at(struct sweep_plan *p, uint64_t now_ms, uint64_t at_ms);

/* When is the next one wanted? Not later than now: at once. UINT64_MAX: no more. */
uint64_t sweep_plan_next(struct sweep_plan *p, uint64_t now_ms);
/* One was begun at began_ms and is back: whatever was wanted by then is served. */
void sweep_plan_served(struct sweep_plan *p, uint64_t began_ms);

#endif
