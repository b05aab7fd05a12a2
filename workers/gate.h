/* SPDX-License-Identifier: Apache-2.0 */
/* Permits per cluster: how many calls at once (AIMD), not before when (Retry-After), and whether at all (breaker).
 * No threads, no clock of its own: the loop drives it and passes the time.
 *
 * The breaker's way back: open, until its time is over and the last call of the old days is back; then a probe, the
 * harmless list; then, half open, one POST, on whose verdict it depends. So whoever asks for permits asks about the
 * probe first, whether anybody waits for a permit or not:
 *
 *     if (gate_probe(g, now_ms, &retry_ms))
 *             start a list of the cluster's tokens; gate_probed when it is back
 *     else if (gate_acquire(g, now_ms, &retry_ms))
 *             start a call; gate_release when it is back
 *     else
 *             ask again at retry_ms, or when something comes back */
#ifndef TOKEND_WORKERS_GATE_H
#define TOKEND_WORKERS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/job.h"

struct gate_options {
	unsigned start, most;                          /* calls at once: 4, max_concurrency */
	uint64_t breaker_first_ms, breaker_most_ms;    /* open for 5 s, doubling to 60 s */
	unsigned breaker_failures;                     /* in a row: 5 */
};

struct gate {
	struct gate_options options;
	double limit;                  /* the AIMD window, 1 .. most */
	unsigned in_flight;
	unsigned failures;             /* in a row */
	uint64_t not_before_ms;        /* Retry-After; boot clock */
	enum { GATE_CLOSED, GATE_OPEN, GATE_PROBING, GATE_HALF_OPEN } breaker;   /* closed: calls flow */
	uint64_t open_since_ms;        /* since when it has not been closed, with somebody asking; meaningful while
	                                * it is not */
	uint64_t open_until_ms, open_for_ms;
	uint64_t asked_ms;             /* when a permit or a probe was last given, or a probe came back */
	unsigned strained;             /* calls still to come back of those in flight when the window was halved: it is
	                                * halved at most once per round trip's worth of failures */
};

void gate_init(struct gate *g, const struct gate_options *o);

/* A permit, or false; then *ret_retry_ms is when to ask again (boot clock), UINT64_MAX: when a permit or the probe
 * comes back. Not later than now: a probe is due, and gate_probe will say so. */
bool gate_acquire(struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms);

/* The permit back unused: nothing was called. Half open, the one POST is still to be made, by the next permit. */
void gate_cancel(struct gate *g);
/* The permit back, with what the call came to. */
void gate_release(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms);

/* Is it time to try a list? True once, and gate_probed or gate_probe_cancel must follow; until then there are no
 * permits. False: *ret_retry_ms as above; UINT64_MAX when the breaker is closed, too. The list takes no permit. */
bool gate_probe(struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms);
/* The list is back. LISTED: half open. Anything else: open again, twice as long. */
void gate_probed(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms);
/* The list was never started: the next gate_probe is true again. */
void gate_probe_cancel(struct gate *g);

/* Has it not been closed for longer than this, with somebody asking? Not while it is half open and its one POST is
 * still to be made: then nobody waits, or not for long. */
bool gate_stalled(const struct gate *g, uint64_t now_ms, uint64_t for_ms);

/* May a list be begun that is not the breaker's own? False: *ret_retry_ms is when to ask again; UINT64_MAX: when
 * something comes back (while the breaker is open its own list comes first). */
bool gate_may_list(const struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms);
/* Such a list is back. One that failed counts as a call that did: a gateway that lost what is behind it answers each
 * POST with 404, and no list. */
void gate_listed(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms);

/* A call without a permit, whose fate says nothing of what others would come to, brought a Retry-After (0: none). */
void gate_patience(struct gate *g, uint64_t now_ms, uint64_t retry_after_ms);

#endif
