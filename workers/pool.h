/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that call InfluxDB's Management API: each runs one curl multi over epoll. */
#ifndef TOKEND_WORKERS_POOL_H
#define TOKEND_WORKERS_POOL_H

#include <stddef.h>

struct cluster;
struct err;
struct job;
struct mailbox;
struct pool;                          /* opaque */

struct pool_options {
	unsigned threads;             /* 0: one per CPU */
	const struct cluster *clusters; size_t n_clusters;    /* outlive the pool */
	struct mailbox *outcomes;     /* where jobs come back; outlives the pool */
};

/* Reads the management tokens (base/config.h names the files) and starts the threads. curl_global_init_mem is
 * called here. Fails naming the cluster and the file. */
struct pool *pool_new(const struct pool_options *o, struct err *ret_err);

/* Hand over a chain of jobs (mail.next). One thread (the loop) only; never blocks for long. Jobs of a chain
 * spread over the threads. */
void pool_submit(struct pool *p, struct job *chain);

/* What the job brought back is no longer needed: the access token is wiped and its memory given back, a list freed;
 * job->leased and job->listed become NULL. Any thread; a job that brought nothing may be returned, too. */
void pool_return(struct pool *p, struct job *job);

/* Read the clusters' management tokens again (SIGHUP, or a file that changed), on a worker's thread: never blocks.
 * Calls in flight keep the token they began with. The log and the metrics say what came of it. Any thread, until
 * pool_stop. */
void pool_reload(struct pool *p);

/* Stop: calls in flight are cut, their jobs come back (AMBIGUOUS when they may have left). Then the threads end.
 * Nothing is submitted any more, pool_return still works. */
void pool_stop(struct pool *p);

/* Stop, if that was not done, and give everything back. Leases that were not returned stay valid until the
 * process ends. */
void pool_free(struct pool *p);

#endif
