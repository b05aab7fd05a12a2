/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokend.yaml's grammar for libcyaml, made from the tables of config_file.h: which keys there are,
 * where, and which may be absent. What their values mean is not known here.
 */
#include "service/base/config_file.h"

#include <cyaml/cyaml.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/yamldoc.h"

#define FILE_BYTES_MOST ((size_t)1024 * 1024)
#define CLUSTERS_MOST 100
#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL

#define TEXT(structure, key, presence) CYAML_FIELD_STRING_PTR(#key, presence, structure, key, 1, CYAML_UNLIMITED),

static const cyaml_schema_field_t topics_fields[] = {
#define ROW(key, presence, standard, meaning) TEXT(struct config_file_topics, key, presence)
	CONFIG_TOPICS_KEYS(ROW)
#undef ROW
	CYAML_FIELD_END
};

static const cyaml_schema_field_t signing_key_fields[] = {
#define ROW(key, presence, standard, meaning) TEXT(struct config_file_signing_key, key, presence)
	CONFIG_SIGNING_KEY_KEYS(ROW)
#undef ROW
	CYAML_FIELD_END
};

static const cyaml_schema_field_t ops_fields[] = {
#define ROW(key, presence, standard, meaning) TEXT(struct config_file_ops, key, presence)
	CONFIG_OPS_KEYS(ROW)
#undef ROW
	CYAML_FIELD_END
};

static const cyaml_schema_field_t cluster_fields[] = {
#define ROW(key, presence, standard, meaning) TEXT(struct config_file_cluster, key, presence)
	CONFIG_CLUSTER_KEYS(ROW)
#undef ROW
	CYAML_FIELD_END
};

static const cyaml_schema_value_t entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED) };
static const cyaml_schema_value_t cluster = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_file_cluster, cluster_fields)
};

static const cyaml_schema_field_t file_fields[] = {
#define ROW(key, presence, standard, meaning) TEXT(struct config_file, key, presence)
	CONFIG_KEYS(ROW)
#undef ROW
	CYAML_FIELD_MAPPING("topics", REQUIRED, struct config_file, topics, topics_fields),
	CYAML_FIELD_MAPPING("signing_key", REQUIRED, struct config_file, signing_key, signing_key_fields),
	CYAML_FIELD_MAPPING("ops", OPTIONAL, struct config_file, ops, ops_fields),
#define ROW(key, presence, least, most, meaning) \
	CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | presence, struct config_file, key, &entry, least, most),
	CONFIG_LISTS(ROW)
#undef ROW
	CYAML_FIELD_SEQUENCE("clusters", CYAML_FLAG_POINTER, struct config_file, clusters, &cluster, 1, CLUSTERS_MOST),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t file = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_file, file_fields) };

/* libcyaml's memory is malloc's: what is put in here is freed with the rest. */
static void
fill(char **value, const char *standard)
{
	if (*value != NULL || standard == NULL)
		return;
	*value = strdup(standard);
	if (*value == NULL)
		abort();
}

static void
fill_defaults(struct config_file *f)
{
#define ROW(key, presence, standard, meaning) fill(&at->key, standard);
	{ struct config_file *at = f; CONFIG_KEYS(ROW) }
	{ struct config_file_topics *at = &f->topics; CONFIG_TOPICS_KEYS(ROW) }
	{ struct config_file_ops *at = &f->ops; CONFIG_OPS_KEYS(ROW) }
	for (struct config_file_cluster *at = f->clusters; at < f->clusters + f->clusters_count; at++) {
		CONFIG_CLUSTER_KEYS(ROW)
	}
#undef ROW
}

struct config_file *
config_file_load(const char *path, struct err *ret_err)
{
	struct config_file *f;
	size_t bytes;
	unsigned char *text = yamldoc_read(path, FILE_BYTES_MOST, &bytes, ret_err);

	if (text == NULL)
		return NULL;
	f = yamldoc_parse(path, text, bytes, &file, ret_err);
	free(text);
	if (f != NULL)
		fill_defaults(f);
	return f;
}

void
config_file_free(struct config_file *f)
{
	yamldoc_free(&file, f);
}
