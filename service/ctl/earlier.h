/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked about an earlier request, by its ID: a GetOutcome, or a RevokeToken, signed. */
#ifndef TOKEND_CTL_EARLIER_H
#define TOKEND_CTL_EARLIER_H

#include <stdint.h>

#include "service/ctl/request.h"

struct err;
struct profile;

/* Who asks about what, and for how long the service may work on it. */
struct earlier {
	const char *request_id;
	const struct profile *profile;
	int64_t now, life_s;            /* Unix seconds; seconds */
};

/* How long the service may wait for what is in flight, when we wait that long for its answer. Whole seconds, >= 1. */
int64_t earlier_life_s(uint64_t timeout_ms);

/* A GetOutcome, in the arena. create: the CreateToken under that ID as it is stored, NULL: its bytes are lost. */
void earlier_outcome(const struct earlier *e, const struct signed_request *create,
    const unsigned char secret[DSSE_SECRET_BYTES], struct arena *a, struct signed_request *ret_request);

/* A RevokeToken, in the arena. reason may be "". */
void earlier_revocation(const struct earlier *e, const char *reason, const unsigned char secret[DSSE_SECRET_BYTES],
    struct arena *a, struct signed_request *ret_request);

/* Does the service take that reason? Fails (ERR_REFUSE) with a sentence. */
int earlier_check_reason(const char *reason, struct err *ret_err);

#endif
