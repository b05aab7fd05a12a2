/* Who may ask for what: the policy file as an immutable snapshot (YAML, default deny; its form stands in the README).
 * Reading it is for any thread; a snapshot is counted, so that a request in flight keeps the one it was judged by. */
#ifndef TOKEND_POLICY_H
#define TOKEND_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/permission.h"
#include "service/base/span.h"

struct config;
struct err;
struct status;
struct request;
struct policy;                          /* opaque */

struct policy_key {                     /* a signing key */
	const char *id, *principal;
	unsigned char public_key[32];
	int64_t not_before, not_after;  /* Unix seconds; INT64_MIN, INT64_MAX where the file has none */
};

struct policy_recipient {
	const char *id;
	uint32_t suite;
	unsigned char public_key[32];
	int64_t not_before, not_after;
};

/* Load and check. Refused: empty, unknown keys, duplicate ids or names, malformed keys, low-order recipient keys, a grant for a cluster that the
 * configuration does not know, a database `*` that is not a glob, durations that are none. c may be NULL (then clusters are not looked up). */
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

/* May the request's principal have all that it asks for, on that cluster, for that long? All or nothing: each permission must be covered by
 * some grant, and the expiry must satisfy that grant (max_ttl counts from now). 0, or -1 and a POLICY_DENIED that names the first permission that no
 * grant covers and the grant that came nearest, by its line's number in the file's order ("grant 2 of principal telemetry"). Pure. */
int policy_allows(const struct policy *p, const char *principal, const char *cluster_name, const struct permission *permissions,
    size_t n_permissions, bool has_expires_at, int64_t expires_at, int64_t now, struct status *ret_refusal);

/* Does the glob match? `*` is any run of characters, `/` too; nothing else is special. Pure. */
bool policy_glob(const char *glob, const char *name);

#endif
