/* SPDX-License-Identifier: Apache-2.0 */
/* Outcome -> what next, and what the requester is told. Loop thread; pure but for the ticket. */
#ifndef TOKEND_CONCLUDE_H
#define TOKEND_CONCLUDE_H

#include <stdint.h>

#include "service/base/span.h"

struct ticket;

enum conclude_step {
	CONCLUDE_DELIVER,               /* a token came back: seal it */
	CONCLUDE_RETRY,                 /* the attempt is settled; wait *ret_wait_ms, then another */
	CONCLUDE_END                    /* t->status says why it ends */
};

/* A job came back in t->job: settle its attempt, unless it delivers, and say what next. dice: for the jitter. */
enum conclude_step conclude_outcome(struct ticket *t, uint32_t dice, uint64_t *ret_wait_ms);

/* The deadline has passed while it waited: fill t->status by what its last attempt came to. */
void conclude_deadline(struct ticket *t);

/* t->status (and the box, when it delivers) -> t->stored, the reply as it is journaled, and t->code. */
void conclude_reply(struct ticket *t, struct span box);

#endif
