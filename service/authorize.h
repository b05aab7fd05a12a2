/* SPDX-License-Identifier: Apache-2.0 */
/* May it be done, now? Clock, the key's validity, the policy's answer, the quota. Loop thread only (it counts
 * quotas). */
#ifndef TOKEND_AUTHORIZE_H
#define TOKEND_AUTHORIZE_H

#include <stdint.h>

struct policy;
struct policy_key;
struct request;
struct status;
struct config;
struct authorize;                       /* opaque: the quotas' counters */

struct authorize *authorize_new(const struct config *c);
void authorize_free(struct authorize *a);

/* What must hold for a record that the journal does not know, before its values are looked at; about the
 * RECORD: the key is valid now (KEY_EXPIRED), issued_at is not in the future by more than the skew
 * (CLOCK_SKEW, with service_time). now: Unix seconds. */
int authorize_record(const struct policy_key *key, const struct request *r, int64_t now, struct status *ret_refusal);

/* The request's OUTCOME: recipient known and allowed (fills suite, recipient, recipient_id; refuses low-order
 * keys), cluster not retiring (TARGET_RETIRED), policy (POLICY_DENIED), and, when count is set, the quota of
 * this principal on this partition (QUOTA). count is set once, at admission; later calls, before each further
 * attempt, only ask the policy again. */
int authorize_request(struct authorize *a, const struct policy *p, int32_t partition, struct request *r, int64_t now,
    int count, struct status *ret_refusal);

#endif
