/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of the pool's. All but the thread's own work belongs to one owner, the pool. */
#ifndef TOKEND_WORKERS_WORKER_H
#define TOKEND_WORKERS_WORKER_H

#include <stddef.h>

struct bodies;
struct err;
struct mail;
struct mailbox;
struct upstream;
struct worker;                          /* opaque */

/* What all workers share. It outlives them and does not change. */
struct workshop {
	struct mailbox *outcomes;       /* where jobs come back */
	struct upstream **upstreams; size_t n_upstreams;         /* by a job's cluster */
	struct bodies *bodies;
};

/* The thread runs. NULL: there is none, and *ret_err says why. */
struct worker *worker_new(const struct workshop *shop, size_t number, struct err *ret_err);

/* Jobs to begin, a chain; any thread. */
void worker_hand(struct worker *w, struct mail *jobs);

/* Read all management tokens again, on the worker's thread; asked twice before it began, it does so once. Any
 * thread. */
void worker_reload(struct worker *w);

/* Behind the jobs it was handed it stops: what is in flight is cut and comes back. The first does not wait, the second
 * does. */
void worker_ask_to_stop(struct worker *w);
void worker_join(struct worker *w);

/* It has stopped. NULL does nothing. */
void worker_free(struct worker *w);

#endif
