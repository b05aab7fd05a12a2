/* SPDX-License-Identifier: Apache-2.0 */
/* A #loss record: what came before in this journal may be incomplete, and an operator said to go on (R11). Pure. */
#ifndef TOKEND_CTL_LOSS_H
#define TOKEND_CTL_LOSS_H

#include <stdint.h>

#include "service/journal.h"

struct arena;

struct loss {
	unsigned char journal_id[JOURNAL_ID_BYTES];        /* from now on */
	unsigned char replaced_id[JOURNAL_ID_BYTES];       /* zero: none is known */
	uint64_t seq;                                   /* above all that was ever seen of the partition */
	int64_t moment;                                 /* Unix seconds */
};

/* Its value. In the arena. */
struct span loss_value(const struct loss *l, struct arena *a);

#endif
