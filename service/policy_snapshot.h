/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy is in memory: for policy.c, which answers from it, and policy_build.c, which makes it.
 * Immutable once built. */
#ifndef TOKEND_POLICY_SNAPSHOT_H
#define TOKEND_POLICY_SNAPSHOT_H

#include <stdatomic.h>

#include "service/base/arena.h"
#include "service/policy.h"

struct policy_file;

struct policy_grant {
	const char **clusters; size_t n_clusters;        /* globs */
	const char **databases; size_t n_databases;      /* globs */
	bool all_databases, may_read, may_write;
	bool has_max_ttl;
	int64_t max_ttl;                                 /* seconds */
	unsigned line;                                   /* of the file, in which it begins */
};

struct policy_principal {
	const char *name;
	struct policy_recipient *recipients; size_t n_recipients;
	bool allow_inline_key;
	struct policy_grant *grants; size_t n_grants;    /* in the file's order */
	struct policy_limits limits;
	unsigned line;
};

struct policy {
	atomic_uint owners;
	struct arena arena;                              /* all that is below */
	unsigned char digest[32];
	struct policy_principal *principals; size_t n_principals;    /* by name */
	struct policy_key *keys; size_t n_keys;                      /* by id, over all principals */
};

/* Judge a file's words and fill p, whose arena is empty. -1 and a sentence that names the principal and the
 * key or grant, and its line, otherwise. */
int policy_build(const struct policy_file *f, const struct config *c, struct policy *p, struct err *ret_err);

#endif
