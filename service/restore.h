/* SPDX-License-Identifier: Apache-2.0 */
/* The restorer: a thread that reads journals back, whole at an assignment (R2), one record for a stored reply or the
 * sweep. */
#ifndef TOKEND_RESTORE_H
#define TOKEND_RESTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/base/err.h"
#include "service/base/mailbox.h"
#include "service/base/span.h"
#include "service/journal.h"
#include "service/ticket.h"

struct config;
struct restore;

enum restore_kind { RESTORE_JOURNAL, RESTORE_REPLY, RESTORE_RECORD };

/* A question, which comes back as its own answer. */
struct restoration {
	struct mail mail;               /* first */
	enum restore_kind kind;
	int32_t partition;
	struct assignment *assignment;  /* the loop's; not looked at by the thread */
	atomic_bool unwanted;           /* set by the loop: the partition is lost, do not go on */

	/* RESTORE_JOURNAL, out */
	bool onlooker;                  /* in: who asks does not hold the partition: nobody's transaction is ended */
	bool newcomer;                  /* in: nor while others may be about to join the group again, as we just did */
	int64_t judged_high;            /* in: with the journal's end there it was judged already; -1: judge it */
	int64_t journal_high;           /* the journal's end */
	struct journal *journal;        /* filled and opened; the receiver's */
	int64_t start, request_high;    /* where reading begins; the request log's end */
	struct journal_past past;       /* also when it cannot be trusted */
	struct claim claim;             /* to be committed before anything else is */

	/* RESTORE_REPLY, in: the journal offset and the key that must stand there; out: the record's value, malloced.
	 * RESTORE_RECORD: whatever stands there; the key is out, too */
	struct ticket *ticket;          /* RESTORE_REPLY: who asks */
	int cluster;                    /* RESTORE_RECORD: for the sweep of which */
	int64_t offset;
	struct span key;
	struct span value;

	bool failed;
	/* ERR_RETRY: ask again later; ERR_REFUSE: the journal cannot be trusted (R11) */
	struct err err;
};

struct restore *restore_new(const struct config *c, struct mailbox *answers, struct err *ret_err);
/* r is the thread's until it comes back. Loop thread. */
void restore_ask(struct restore *r, struct restoration *q);
/* End the thread. What it did not come to goes back as failed. */
void restore_free(struct restore *r);

#endif
