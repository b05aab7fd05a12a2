/* Whose signature is it? A pure function of buffers and of a policy snapshot, so that it can run on any thread. */
#ifndef TOKEND_VERIFY_H
#define TOKEND_VERIFY_H

#include "service/request.h"

struct policy;
struct policy_key;
struct status;

struct verification {
	/* in */
	const struct metadata *metadata;
	const struct policy *policy;
	/* out */
	unsigned char fingerprint[32];           /* always */
	unsigned char digest[32];                /* always */
	/* the key that verified; NULL on refusal. An expired one verifies, too */
	const struct policy_key *key;
};

/* Fills the out part. 0, or -1 and *ret_refusal: UNKNOWN_KEY, BAD_SIGNATURE. */
int verify_signature(struct verification *v, struct status *ret_refusal);

#endif
