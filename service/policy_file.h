/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a policy file, as they stand in it: the right keys with values of the right kind, but
 * nothing judged yet. For policy_build.c. Any thread. */
#ifndef TOKEND_POLICY_FILE_H
#define TOKEND_POLICY_FILE_H

#include <stdint.h>

#define POLICY_FILE_READ 1u          /* actions of a grant, or-ed */
#define POLICY_FILE_WRITE 2u

struct err;

enum policy_file_bool { POLICY_FILE_FALSE, POLICY_FILE_TRUE };

/* Of signing_keys (no suite) and recipient_keys. Times are RFC 3339, or NULL. */
struct policy_file_key {
	char *id, *key, *not_before, *not_after;
	uint32_t suite;
	unsigned line;                       /* in which it begins */
};

struct policy_file_grant {
	char **clusters; unsigned clusters_count;
	char **databases; unsigned databases_count;
	enum policy_file_bool all_databases;
	unsigned actions;
	char *max_ttl;                       /* a duration, or NULL */
	unsigned line;
};

struct policy_file_limits { uint32_t *per_minute, *per_day; };      /* NULL: none */

struct policy_file_principal {
	char *name;
	struct policy_file_key *signing_keys; unsigned signing_keys_count;
	struct policy_file_key *recipient_keys; unsigned recipient_keys_count;
	enum policy_file_bool allow_inline_key;
	struct policy_file_grant *grants; unsigned grants_count;
	struct policy_file_limits limits;
	unsigned line;
};

struct policy_file {
	unsigned version;
	struct policy_file_principal *principals; unsigned principals_count;
};

/* NULL and a sentence that names the file, the key and the line, when it cannot be read or is not of this
 * form. ret_digest: SHA-256 of its bytes. */
struct policy_file *policy_file_load(const char *path, unsigned char ret_digest[32], struct err *ret_err);
void policy_file_free(struct policy_file *f);

#endif
