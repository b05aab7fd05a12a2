/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May it be done, now? Here a request meets what changes under it: the clock, the policy, the quotas.
 *
 * It is asked when a request is admitted and again before each attempt, for a policy may have been reloaded
 * while the request waited. Each time the recipient's key is taken from the policy anew: what is sealed
 * last is sealed to the key that is valid last. The quota is counted once, after all else was granted: what
 * is denied costs nothing.
 */
#include "service/authorize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/boxkey.h"
#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/durations.h"
#include "service/base/text.h"
#include "service/policy.h"
#include "service/quota.h"
#include "service/request.h"
#include "service/status.h"

#define INLINE_ID_DIGITS 16

_Static_assert(BOXKEY_BYTES == RECIPIENT_KEY_BYTES, "a recipient's key is an X25519 key");

struct authorize {
	const struct config *config;
	struct quota *quota;
};

struct authorize *
authorize_new(const struct config *c)
{
	struct authorize *a = calloc(1, sizeof(*a));

	if (a == NULL)
		abort();
	a->config = c;
	a->quota = quota_new();
	return a;
}

void
authorize_free(struct authorize *a)
{
	if (a == NULL)
		return;
	quota_free(a->quota);
	free(a);
}

int
authorize_record(const struct policy_key *key, const struct request *r, int64_t now, struct status *ret_refusal)
{
	int64_t skew = (int64_t)(duration_ms(DURATION_SKEW) / 1000);
	char moment[TEXT_RFC3339_ROOM], issued[TEXT_RFC3339_ROOM];

	if (now > key->not_after)
		return status_set(ret_refusal, STATUS_KEY_EXPIRED, "signing key \"%s\" expired at %s", key->id,
		    text_time(key->not_after, -1, moment));
	if (now < key->not_before)
		return status_set(ret_refusal, STATUS_KEY_EXPIRED, "signing key \"%s\" is not valid before %s", key->id,
		    text_time(key->not_before, -1, moment));
	if (r->issued_at - now > skew) {
		(void)status_set(ret_refusal, STATUS_CLOCK_SKEW,
		    "issued_at: %s lies in the future; by this service's clock it is %s",
		    text_time(r->issued_at, -1, issued), text_time(now, -1, moment));
		status_detail(ret_refusal, "service_time", "%s", moment);
		return -1;
	}
	return 0;
}

static int
refuse_field(struct status *ret_refusal, const char *field, const char *why, const char *value)
{
	char shown[TEXT_SHOWN_ROOM];

	(void)status_set(ret_refusal, STATUS_INVALID_FIELD, "%s: \"%s\" %s", field,
	    text_shown(span_str(value), shown), why);
	status_detail(ret_refusal, "field", "%s", field);
	return -1;
}

static int
check_expiry(const struct request *r, int64_t now, struct status *ret_refusal)
{
	char moment[TEXT_RFC3339_ROOM];

	if (!r->has_expires_at || r->expires_at > now)
		return 0;
	return refuse_field(ret_refusal, "expires_at", "lies in the past", text_time(r->expires_at, -1, moment));
}

static int
take_registered(const struct policy *p, struct request *r, int64_t now, struct status *ret_refusal)
{
	const struct policy_recipient *to = policy_recipient(p, r->principal, r->recipient_key_id);

	if (to == NULL)
		return refuse_field(ret_refusal, "recipient.key_id", "is not registered for this principal",
		    r->recipient_key_id);
	if (now > to->not_after)
		return refuse_field(ret_refusal, "recipient.key_id", "has expired", r->recipient_key_id);
	if (now < to->not_before)
		return refuse_field(ret_refusal, "recipient.key_id", "is not valid yet", r->recipient_key_id);
	r->suite = to->suite;
	memcpy(r->recipient, to->public_key, RECIPIENT_KEY_BYTES);
	(void)snprintf(r->recipient_id, sizeof(r->recipient_id), "%s", to->id);
	return 0;
}

/* The id of a key that came along: the hash of its bytes, behind a prefix that no registered id can have. */
static void
name_inline(const unsigned char key[RECIPIENT_KEY_BYTES], char ret_id[RECIPIENT_KEY_ID_ROOM])
{
	unsigned char hash[DSSE_HASH_BYTES];
	char digits[INLINE_ID_DIGITS + 1];

	dsse_sha256(span_of(key, RECIPIENT_KEY_BYTES), hash);
	(void)text_hex(span_of(hash, INLINE_ID_DIGITS / 2), digits);
	(void)snprintf(ret_id, RECIPIENT_KEY_ID_ROOM, "sha256:%s", digits);
}

static int
take_inline(const struct policy *p, struct request *r, struct status *ret_refusal)
{
	char digits[2 * RECIPIENT_KEY_BYTES + 1];

	if (!policy_inline_allowed(p, r->principal)) {
		(void)status_set(ret_refusal, STATUS_POLICY_DENIED,
		    "recipient.inline_key: principal %s may not bring keys along; name a registered one", r->principal);
		status_detail(ret_refusal, "field", "recipient.inline_key");
		return -1;
	}
	if (!boxkey_usable(r->inline_public_key.data))
		return refuse_field(ret_refusal, "recipient.inline_key.public_key",
		    "is a point of low order: anybody could open what is sealed to it",
		    text_hex(r->inline_public_key, digits));
	r->suite = r->inline_suite;
	memcpy(r->recipient, r->inline_public_key.data, RECIPIENT_KEY_BYTES);
	name_inline(r->recipient, r->recipient_id);
	return 0;
}

/* decode_values has seen to it that there is one of the two, and that an inline key has a suite we know and
 * that suite's length. */
static int
take_recipient(const struct policy *p, struct request *r, int64_t now, struct status *ret_refusal)
{
	return r->inline_key ? take_inline(p, r, ret_refusal) : take_registered(p, r, now, ret_refusal);
}

static int
check_quota(struct authorize *a, const struct policy *p, int32_t partition, const struct request *r, int64_t now,
    struct status *ret_refusal)
{
	struct policy_limits limits = policy_limits(p, r->principal);
	enum quota_verdict v = quota_take(a->quota, r->principal, partition, limits.per_minute, limits.per_day, now);
	uint32_t limit = v == QUOTA_MINUTE_FULL ? limits.per_minute : limits.per_day;

	if (v == QUOTA_TAKEN)
		return 0;
	(void)status_set(ret_refusal, STATUS_QUOTA, "principal %s has used up its %u requests a %s on partition %d",
	    r->principal, limit, v == QUOTA_MINUTE_FULL ? "minute" : "day", (int)partition);
	status_detail(ret_refusal, "limit", "%u", limit);
	return -1;
}

int
authorize_request(struct authorize *a, const struct policy *p, int32_t partition, struct request *r, int64_t now,
    int count, struct status *ret_refusal)
{
	const struct cluster *cluster = &a->config->clusters[r->cluster];

	if (check_expiry(r, now, ret_refusal) != 0 || take_recipient(p, r, now, ret_refusal) != 0)
		return -1;
	if (cluster->retiring)
		return status_set(ret_refusal, STATUS_TARGET_RETIRED,
		    "cluster %s is being retired and takes no new tokens", cluster->name);
	if (policy_allows(p, r->principal, cluster->name, r->permissions, r->n_permissions, r->has_expires_at,
	    r->expires_at, now, ret_refusal) != 0)
		return -1;
	return count ? check_quota(a, p, partition, r, now, ret_refusal) : 0;
}
