/* SPDX-License-Identifier: Apache-2.0 */
/* Is this record the answer to our request, and what does it say? Pure: a function of buffers,
 * without Kafka or a clock. */
#ifndef TOKEND_CTL_REPLY_H
#define TOKEND_CTL_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "service/record.h"
#include "service/ctl/keys.h"
#include "service/ctl/request.h"

struct profile_service_key;

/* What a reply is held against. */
struct reply_expected {
	const struct signed_request *request;            /* that was sent: the CreateToken, or a GetOutcome about it */
	const struct profile_service_key *service_keys;  /* pinned: nobody else is believed */
	size_t n_service_keys;
	const struct keys *box;                          /* of request->message->recipient */
	int32_t partitions;                              /* of each topic, >= 1: the box names the request's home */
};

enum reply_verdict {
	REPLY_OTHERS,                   /* another request's */
	REPLY_IGNORED,                  /* bears our ID and does not verify: whoever wrote it, go on waiting */
	REPLY_REFUSED,                  /* genuine; message->status says no. A box beside it is never opened */
	REPLY_OPENED                    /* genuine, opened, and every word of its context is ours, that we know */
};

struct reply {
	enum reply_verdict verdict;
	const char *why;                                 /* of REPLY_IGNORED: a constant sentence */
	Tokend__V1__CreateTokenReply *message;           /* REFUSED, OPENED; NULL otherwise */
	const Tokend__V1__TokenSecret *secret;           /* OPENED; in guarded memory */
	unsigned char *guarded;                          /* where it lies */
};

/* Fills *ret_reply; the caller gives it to reply_wipe. When there is no guarded memory the record
 * counts as ignored, and says so. */
void reply_judge(const struct reply_expected *e, const struct record *record, struct reply *ret_reply);
void reply_wipe(struct reply *r);

#endif
