/* SPDX-License-Identifier: Apache-2.0 */
/* Records in: the group's consumer, its assignments, one unread queue a partition. Loop thread only; nothing
 * blocks but intake_free, and intake_seek for a moment. */
#ifndef TOKEND_INTAKE_H
#define TOKEND_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/err.h"
#include "service/record.h"

struct arena;
struct config;
struct generation;
struct intake;

/* Join the group. */
struct intake *intake_new(const struct config *c, struct err *ret_err);
/* Leave the group and close; what was assigned must have been given up. Blocks for a round trip or two. */
void intake_free(struct intake *in);

/* Readable when there is an event or a record: for the loop's epoll. */
int intake_fd(const struct intake *in);
/* Clear the fd and mark every partition as worth a read; returns whether it was set. */
bool intake_woken(struct intake *in);

enum intake_event_kind { INTAKE_ASSIGNED, INTAKE_REVOKED, INTAKE_LOST, INTAKE_FATAL };
struct intake_event {
	enum intake_event_kind kind;
	struct generation *generation;  /* ASSIGNED: captured now; the receiver owns it */
	int32_t *partitions;            /* ASSIGNED: which; valid until the next call */
	size_t n_partitions;
	struct err err;                 /* FATAL */
};

/* Serve the group; true when there is an event. To be called at least every few seconds. REVOKED: the group
 * asks everything back: end what is under way, then call intake_give_up. LOST: it is gone already. */
bool intake_poll(struct intake *in, struct intake_event *ret);
void intake_give_up(struct intake *in);
/* Leave the group and join again: a revocation comes, and after it an assignment. */
void intake_begin_anew(struct intake *in);

/* Read on from there, whatever was read already. Waits for librdkafka's own thread, a second at most; fails when it
 * does not say that it did. */
int intake_seek(struct intake *in, int32_t partition, int64_t offset, struct err *ret_err);
/* The next record of an assigned partition, copied into the arena; false when there is none now: then its
 * queue is dry until the fd wakes again. */
bool intake_read(struct intake *in, int32_t partition, struct arena *a, struct record *ret);
/* Records between what was read last and the end that the last fetch told; 0 when that is not known. */
int64_t intake_lag(const struct intake *in, int32_t partition);

#endif
