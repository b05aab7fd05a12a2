/* SPDX-License-Identifier: Apache-2.0 */
/* Permits per cluster: how many calls at once (AIMD), not before when (Retry-After), and whether at all (breaker).
 * No threads, no clock of its own: the loop drives it and passes the time. */
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
	enum { GATE_CLOSED, GATE_OPEN, GATE_HALF_OPEN } breaker;   /* closed: calls flow */
	uint64_t open_until_ms, open_for_ms;
	unsigned strained;             /* calls still to come back of those in flight when the window was halved: it is
	                                * halved at most once per round trip's worth of failures */
};

void gate_init(struct gate *g, const struct gate_options *o);

/* A permit, or false; then *ret_retry_ms is when to ask again (boot clock), UINT64_MAX: when a permit comes back. */
bool gate_acquire(struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms);

/* The permit back unused: nothing was called. */
void gate_cancel(struct gate *g);
/* The permit back, with what the call came to. */
void gate_release(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms);

#endif
