/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of a cluster's tokens: for tickets whose answer's status alone does not tell (404, 409), for a breaker that
 * wants to know whether anybody is there, and for the sweep. One list at a time per cluster, whoever waits, since a
 * list may be 100 MB. Loop thread only. */
#ifndef TOKEND_LISTS_H
#define TOKEND_LISTS_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct job;
struct lists;
struct pool;
struct ticket;

struct lists *lists_new(const struct config *c, struct pool *pool);
/* The pool has been stopped. */
void lists_free(struct lists *l);

/* The cluster's breaker asks. */
void lists_probe(struct lists *l, int cluster);
/* The sweep asks, unless a list that keeps markers is under way: when that is back, it knows whether it asks again. */
void lists_sweep(struct lists *l, int cluster);
/* t, LOOKING, asks what its last answer meant; a list that was begun before does not count. Or it asks no more. */
void lists_wait(struct lists *l, struct ticket *t);
void lists_withdraw(struct lists *l, struct ticket *t);

/* Does a ticket, or the sweep, wait for a list that is still to begin, and might begin now but for the breaker? */
bool lists_wanted(const struct lists *l, int cluster, uint64_t now_boot_ms);
/* No list but the breaker's own before then (boot clock). */
void lists_hold(struct lists *l, int cluster, uint64_t until_boot_ms);

/* Hand over what is asked for, may begin, and is not under way yet. Returns when to come again; UINT64_MAX: when one
 * is back. */
uint64_t lists_flush(struct lists *l, uint64_t now_boot_ms);

/* A list is back: on whose account was it begun, the first of these that asked? Then each ticket that it answers,
 * until NULL. When the job looked for something, it has all live tokens of the last days that bear this service's
 * marker. The caller gives it to pool_return. */
enum lists_for { LISTS_BREAKER, LISTS_TICKETS, LISTS_SWEEP };
enum lists_for lists_returned(struct lists *l, struct job *job);
struct ticket *lists_served(struct lists *l, struct job *list);

#endif
