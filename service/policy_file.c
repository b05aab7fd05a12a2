/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy file through libcyaml: the tables below are its grammar, and say which keys there are, which
 * may be absent and of what kind their values are. An unknown key, a key that stands twice, an alias or
 * anything else that libcyaml warns of (a second document in the file) refuses it: a policy is read as a
 * whole or not at all.
 *
 * A list may be empty here, so that policy_build.c can say what that would mean.
 *
 * Booleans are words of an enumeration here. libcyaml's own booleans take every word but a few for true,
 * "flase" and "none" among them, and all_databases is no place for that.
 *
 * Add a key: a member in policy_file.h, a row here, and its judgement in policy_build.c.
 */
#include "service/policy_file.h"

#include <cyaml/cyaml.h>
#include <stdlib.h>

#include "service/base/dsse.h"
#include "service/base/yamldoc.h"
#include "service/policy_lines.h"
#include "service/request.h"

#define FILE_BYTES_MOST (4 * 1024 * 1024)
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define REQUIRED CYAML_FLAG_DEFAULT

/* libcyaml's macros, with the structure that a table is about named once. */
#define TEXT(key, optional, member) CYAML_FIELD_STRING_PTR(key, optional, struct STRUCTURE, member, 1, CYAML_UNLIMITED)
#define NUMBER(key, optional, member) CYAML_FIELD_UINT_PTR(key, optional, struct STRUCTURE, member)
#define WORD(key, optional, member, words) \
	CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT | (optional), struct STRUCTURE, member, words, CYAML_ARRAY_LEN(words))
#define WORDS(key, optional, member, words) \
	CYAML_FIELD_FLAGS(key, CYAML_FLAG_STRICT | (optional), struct STRUCTURE, member, words, CYAML_ARRAY_LEN(words))
#define LIST(key, optional, member, of, least) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | (optional), struct STRUCTURE, member, \
	    &(of), least, CYAML_UNLIMITED)

static const cyaml_strval_t booleans[] = { { "false", POLICY_FILE_FALSE }, { "true", POLICY_FILE_TRUE } };
static const cyaml_strval_t actions[] = { { "read", POLICY_FILE_READ }, { "write", POLICY_FILE_WRITE } };
static const cyaml_strval_t suites[] = { { "sealedbox-x25519", SUITE_SEALEDBOX } };

static const cyaml_schema_value_t glob = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED) };

#define STRUCTURE policy_file_key
static const cyaml_schema_field_t signing_key_fields[] = {
	TEXT("id", REQUIRED, id),
	TEXT("ed25519", REQUIRED, key),
	TEXT("not_before", OPTIONAL, not_before),
	TEXT("not_after", OPTIONAL, not_after),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t recipient_key_fields[] = {
	TEXT("id", REQUIRED, id),
	WORD("suite", REQUIRED, suite, suites),
	TEXT("key", REQUIRED, key),
	TEXT("not_before", OPTIONAL, not_before),
	TEXT("not_after", OPTIONAL, not_after),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t signing_key = {
	CYAML_VALUE_MAPPING(REQUIRED, struct STRUCTURE, signing_key_fields)
};
static const cyaml_schema_value_t recipient_key = {
	CYAML_VALUE_MAPPING(REQUIRED, struct STRUCTURE, recipient_key_fields)
};
#undef STRUCTURE

#define STRUCTURE policy_file_grant
static const cyaml_schema_field_t grant_fields[] = {
	LIST("clusters", REQUIRED, clusters, glob, 0),
	LIST("databases", OPTIONAL, databases, glob, 0),
	WORD("all_databases", OPTIONAL, all_databases, booleans),
	WORDS("actions", REQUIRED, actions, actions),
	TEXT("max_ttl", OPTIONAL, max_ttl),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t grant = { CYAML_VALUE_MAPPING(REQUIRED, struct STRUCTURE, grant_fields) };
#undef STRUCTURE

#define STRUCTURE policy_file_limits
static const cyaml_schema_field_t limits_fields[] = {
	NUMBER("per_minute", OPTIONAL, per_minute),
	NUMBER("per_day", OPTIONAL, per_day),
	CYAML_FIELD_END
};
#undef STRUCTURE

#define STRUCTURE policy_file_principal
static const cyaml_schema_field_t principal_fields[] = {
	TEXT("name", REQUIRED, name),
	LIST("signing_keys", REQUIRED, signing_keys, signing_key, 0),
	LIST("recipient_keys", OPTIONAL, recipient_keys, recipient_key, 0),
	WORD("allow_inline_key", OPTIONAL, allow_inline_key, booleans),
	LIST("grants", OPTIONAL, grants, grant, 0),
	CYAML_FIELD_MAPPING("limits", OPTIONAL, struct STRUCTURE, limits, limits_fields),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t principal = { CYAML_VALUE_MAPPING(REQUIRED, struct STRUCTURE, principal_fields) };
#undef STRUCTURE

#define STRUCTURE policy_file
static const cyaml_schema_field_t file_fields[] = {
	CYAML_FIELD_UINT("version", REQUIRED, struct STRUCTURE, version),
	LIST("principals", REQUIRED, principals, principal, 0),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t file = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct STRUCTURE, file_fields) };
#undef STRUCTURE

struct policy_file *
policy_file_load(const char *path, unsigned char ret_digest[32], struct err *ret_err)
{
	struct policy_file *f;
	size_t bytes;
	unsigned char *text = yamldoc_read(path, FILE_BYTES_MOST, &bytes, ret_err);

	if (text == NULL)
		return NULL;
	f = yamldoc_parse(path, text, bytes, &file, ret_err);
	if (f != NULL) {
		dsse_sha256(span_of(text, bytes), ret_digest);
		policy_lines_fill(f, span_of(text, bytes));
	}
	free(text);
	return f;
}

void
policy_file_free(struct policy_file *f)
{
	yamldoc_free(&file, f);
}
