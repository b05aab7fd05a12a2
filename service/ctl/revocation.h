/* SPDX-License-Identifier: Apache-2.0 */
/* Is this record the answer to our RevokeToken, and what does it say? Pure: a function of buffers. */
#ifndef TOKEND_CTL_REVOCATION_H
#define TOKEND_CTL_REVOCATION_H

#include "service/record.h"
#include "service/ctl/genuine.h"

enum revocation_verdict {
	REVOCATION_OTHERS,              /* another request's */
	REVOCATION_IGNORED,             /* bears our ID and does not verify: whoever wrote it, go on waiting */
	REVOCATION_REFUSED,             /* genuine; message->status says no */
	REVOCATION_DONE                 /* genuine: the token of token_id was deleted at revoked_at */
};

struct revocation {
	enum revocation_verdict verdict;
	const char *why;                                 /* of REVOCATION_IGNORED: a constant sentence */
	Tokend__V1__RevokeTokenReply *message;           /* REFUSED, DONE; NULL otherwise */
};

/* Fills *ret_revocation; the caller gives it to revocation_free. */
void revocation_judge(const struct signed_request *sent, const struct genuine_keys *service,
    const struct record *record, struct revocation *ret_revocation);
void revocation_free(struct revocation *r);

#endif
