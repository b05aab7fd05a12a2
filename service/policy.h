/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask for what: the policy file as an immutable snapshot (YAML, default deny; its form stands in the
 * README). Reading it is for any thread; a snapshot is counted, so that a request in flight keeps the one it
 * was judged by. */
#ifndef TOKEND_POLICY_H
#define TOKEND_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/permission.h"
#include "service/base/span.h"

#define POLICY_WHY_ROOM 160

struct config;
struct err;
struct status;
struct request;
struct policy;                          /* opaque */

struct policy_key {                     /* a signing key */
	const char *id, *principal;
	unsigned char public_key[32];
	int64_t not_before, not_after;  /* Unix seconds; INT64_MIN, INT64_MAX where the file has none */
	unsigned line;                  /* of the file, in which it begins */
};

struct policy_recipient {
	const char *id;
	uint32_t suite;
	unsigned char public_key[32];
	int64_t not_before, not_after;
};

/* Load and check. Refused, with the principal, the key or grant, its line and the offending value: an empty
 * file or list, unknown keys, ids or names that stand twice, keys that are malformed, of low order or another
 * principal's, a validity that ends before it begins, a grant that can match nothing, a cluster that the
 * configuration does not know, durations that are none. What stands in a key's place is not shown: it may be
 * the secret one. c may be NULL: then clusters are not looked up. */
struct policy *policy_load(const char *path, const struct config *c, struct err *ret_err);
struct policy *policy_hold(struct policy *p);         /* one more owner */
void policy_release(struct policy *p);                /* one less */

/* SHA-256 of the file, for the audit line. */
const unsigned char *policy_digest(const struct policy *p);

/* The signing key of that id, NULL when unknown. Ids are unique over all principals. */
const struct policy_key *policy_key(const struct policy *p, struct span key_id);
/* The registered recipient key of that principal, NULL when unknown. */
const struct policy_recipient *policy_recipient(const struct policy *p, const char *principal, const char *key_id);
bool policy_inline_allowed(const struct policy *p, const char *principal);

struct policy_limits { uint32_t per_minute, per_day; };      /* 0: none */
struct policy_limits policy_limits(const struct policy *p, const char *principal);

/* May the request's principal have all that it asks for, on that cluster, for that long? All or nothing: each
 * permission must be covered by some grant, and the expiry must satisfy that grant (max_ttl counts from now).
 * A grant with all_databases: true covers every database and also each single one; the glob * covers each
 * single one and never every database. 0, or -1 and a POLICY_DENIED that names the first permission that no
 * grant covers and the grant that came nearest, by its number in the file's order ("grant 2 of principal
 * telemetry"). Pure. */
int policy_allows(const struct policy *p, const char *principal, const char *cluster_name,
    const struct permission *permissions, size_t n_permissions, bool has_expires_at, int64_t expires_at, int64_t now,
    struct status *ret_refusal);

/* Why that one grant (its index in the file's order) does not cover the permission, by the comparison that
 * policy_allows makes; NULL when it does. The principal must exist. Pure. */
const char *policy_grant_denies(const struct policy *p, const char *principal, size_t grant, const char *cluster_name,
    const struct permission *wanted, bool has_expires_at, int64_t expires_at, int64_t now, char room[POLICY_WHY_ROOM]);

/* Does the glob match? `*` is any run of characters, `/` too; nothing else is special. Pure. */
bool policy_glob(const char *glob, const char *name);

#endif
