/* SPDX-License-Identifier: Apache-2.0 */
/* First the permit, then the intent, then the job: so an intent never queues behind a slow API. Loop thread
 * only. */
#ifndef TOKEND_DISPATCH_H
#define TOKEND_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct dispatch;
struct job;
struct pool;
struct ticket;

struct dispatch *dispatch_new(const struct config *c, struct pool *pool);
void dispatch_free(struct dispatch *d);

/* t waits for a permit of its cluster, first come first served; or waits no more. */
void dispatch_queue(struct dispatch *d, struct ticket *t);
void dispatch_withdraw(struct dispatch *d, struct ticket *t);

/* The next ticket that may go, holding a permit; NULL when none may: then *ret_retry_boot_ms is when to ask
 * again (UINT64_MAX: when something comes back). */
struct ticket *dispatch_next(struct dispatch *d, uint64_t now_boot_ms, uint64_t *ret_retry_boot_ms);

/* Does the cluster's breaker want a list tried before it lets a POST through? Once; dispatch_probed must follow. Only
 * while somebody waits: in the line, or (wanted) for a list. */
bool dispatch_probe(struct dispatch *d, int cluster, bool wanted, uint64_t now_boot_ms);
void dispatch_probed(struct dispatch *d, const struct job *list, uint64_t now_boot_ms);
/* When may a list be begun that tickets wait for? UINT64_MAX: not while the breaker is open. And when it is back: */
uint64_t dispatch_list_at(const struct dispatch *d, int cluster, uint64_t now_boot_ms);
void dispatch_listed(struct dispatch *d, const struct job *list, uint64_t now_boot_ms);
/* A call that no request waits for is back: only the API's wish to be left alone counts. */
void dispatch_patience(struct dispatch *d, const struct job *job, uint64_t now_boot_ms);

/* Has the cluster's breaker not been closed for so long, with somebody asking, that its requests must not hold up
 * others? Asked after dispatch_probe. A cluster that is shut holds them up from the first. */
bool dispatch_stalled(const struct dispatch *d, int cluster, uint64_t now_boot_ms);

/* Begin an attempt: its uuid, number and window are in t->attempts, ready for the intent. */
void dispatch_begin(struct dispatch *d, struct ticket *t);
/* A RevokeToken's DELETE of t->token_id: it can be repeated at will, so no intent comes before it. */
void dispatch_delete(struct dispatch *d, struct ticket *t);
/* Its intent is committed: a job for the workers. commit_began_boot_ms is what the lease counts from (R3).
 * Handed over by dispatch_flush, in one batch. */
void dispatch_call(struct dispatch *d, struct ticket *t, uint64_t commit_began_boot_ms);
void dispatch_flush(struct dispatch *d);

/* The permit comes back: unused, or with what the call came to (t->job). */
void dispatch_unused(struct dispatch *d, struct ticket *t);
void dispatch_returned(struct dispatch *d, struct ticket *t, uint64_t now_boot_ms);

/* A marker did not come back intact: the cluster makes no further tokens, for a sweep would be blind there. What it
 * made may be deleted. */
void dispatch_shut(struct dispatch *d, int cluster);
bool dispatch_is_shut(const struct dispatch *d, int cluster);

#endif
