/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for orphans (R9): when a cluster's list is wanted, which of its tokens is looked at, and the DELETEs that
 * come of it. Whether a token may be deleted is asked elsewhere (evidence.h). Loop thread only. */
#ifndef TOKEND_SWEEP_H
#define TOKEND_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "service/evidence.h"

struct config;
struct job;
struct job_listed;
struct pool;
struct sweep;

struct sweep *sweep_new(const struct config *c, struct pool *pool);
/* The pool has been stopped. */
void sweep_free(struct sweep *s);

/* ---- when -------------------------------------------------------------------------------------------------------- */

/* An attempt was made there, whose call has ended by then (Unix milliseconds). unknown: nobody knows whether it made a
 * token. */
void sweep_after(struct sweep *s, int cluster, int64_t not_after_ms, bool unknown);
/* Others made attempts there, and may have looked at nothing since. */
void sweep_soon(struct sweep *s, int cluster);
/* When is a list wanted? UINT64_MAX: not before one that is being gone through is done with, or not at all. */
uint64_t sweep_wants(struct sweep *s, int cluster, uint64_t now_boot_ms);

/* ---- what a list found ------------------------------------------------------------------------------------------- */

/* A list is back, for whomever. What it found is the sweep's from then on. */
void sweep_listed(struct sweep *s, struct job *list);

/* The token that is to be looked at now. */
struct sweep_token {
	const struct job_listed *listed;        /* until it is judged */
	bool alone;                     /* no other in the list has its marker */
	int64_t skew_ms;                /* what the API's clock was ahead of ours */
};
/* False: there is none, or not now: one is being asked about, or DELETEs come first. */
bool sweep_token(const struct sweep *s, int cluster, struct sweep_token *ret);
/* A question about it is under way: no token until it is judged. And which it was: */
void sweep_ask(struct sweep *s, int cluster);
struct sweep_token sweep_asked(const struct sweep *s, int cluster);
/* Delete it, or keep it; on to the next. */
void sweep_judged(struct sweep *s, int cluster, enum evidence_clause clause);

/* ---- DELETEs ----------------------------------------------------------------------------------------------------- */

/* A token that was in no list. Both texts are copied; the marker is for the log. */
void sweep_delete(struct sweep *s, int cluster, const char *token_id, const char *marker, enum evidence_clause clause);
/* Does one wait? Then begin those that may. */
bool sweep_deletes(const struct sweep *s, int cluster);
void sweep_flush(struct sweep *s, int cluster);
/* One is back. */
void sweep_deleted(struct sweep *s, struct job *job);

#endif
