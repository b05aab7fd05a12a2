/* SPDX-License-Identifier: Apache-2.0 */
/* Outcome -> what next, and what the requester is told. Loop thread; pure but for the ticket. */
#ifndef TOKEND_CONCLUDE_H
#define TOKEND_CONCLUDE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

struct job;
struct ticket;

enum conclude_step {
	CONCLUDE_DELIVER,               /* a token came back: seal it */
	CONCLUDE_RETRY,                 /* the attempt is settled; wait *ret_wait_ms, then another */
	CONCLUDE_LOOK,                  /* the status alone does not tell: a list of the cluster's tokens does */
	CONCLUDE_END                    /* t->status says why it ends */
};

/* A job came back in t->job: settle its attempt, unless it delivers, and say what next. dice: for the jitter. */
enum conclude_step conclude_outcome(struct ticket *t, uint32_t dice, uint64_t *ret_wait_ms);

/* After CONCLUDE_LOOK: a list came back, which was begun after the answer and has the tokens with our marker if
 * that was a 409. Settle the attempt, and say what next. */
enum conclude_step conclude_looked(struct ticket *t, const struct job *list, uint32_t dice, uint64_t *ret_wait_ms);
/* After CONCLUDE_LOOK: there is no time for a list. Settle the attempt as what it may have been. */
void conclude_unlooked(struct ticket *t);

/* A DELETE came back in t->job. END: the token is gone, since now (t->status, t->revoked_at). Else RETRY. */
enum conclude_step conclude_deleted(struct ticket *t, int64_t now, uint32_t dice, uint64_t *ret_wait_ms);

/* The deadline has passed while it waited: fill t->status by what its last attempt came to. */
void conclude_deadline(struct ticket *t);
/* Has it had all the attempts that it may have: too many of unknown fate (R10), or as many as are remembered? Then
 * t->status says so. */
bool conclude_spent(struct ticket *t);
/* A RevokeToken's deadline has passed, and its token is not known to be deleted. */
void conclude_unrevoked(struct ticket *t);
/* It is one too many that waits for a cluster that does not answer. */
void conclude_backlog(struct ticket *t, const char *cluster);

/* t->status (and the box, when it delivers) -> t->stored, the reply as it is journaled, and t->code. */
void conclude_reply(struct ticket *t, struct span box);

#endif
