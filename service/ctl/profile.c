/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl.yaml, read by libcyaml's schema.
 *
 * The file says where this person's or pipeline's requests go and which keys they use. It is
 * checked whole when it is loaded, so that a typing error is told at once and by name, not as a
 * timeout a minute later.
 *
 * It does not read the keys (keys.c) and does not know what the service's own tokend.yaml holds.
 */
#include "service/ctl/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cyaml/cyaml.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/base/yamldoc.h"

#define FILE_MOST (256 * 1024)

struct file {
	struct profile *profiles;
	unsigned n_profiles;
};

#define TEXT(name, structure, member) \
	CYAML_FIELD_STRING_PTR(name, CYAML_FLAG_POINTER, structure, member, 1, CYAML_UNLIMITED)
#define TEXT_OPTIONAL(name, structure, member) \
	CYAML_FIELD_STRING_PTR(name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure, member, 1, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_value = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED) };

static const cyaml_schema_field_t topics_fields[] = {
	TEXT("requests", __typeof__(((struct profile *)0)->topics), requests),
	TEXT("replies", __typeof__(((struct profile *)0)->topics), replies),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t key_fields[] = {
	TEXT("id", struct profile_key, id),
	TEXT("file", struct profile_key, file),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t service_key_fields[] = {
	TEXT("id", struct profile_service_key, id),
	TEXT("ed25519", struct profile_service_key, ed25519),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t service_key_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct profile_service_key, service_key_fields)
};

static const cyaml_schema_field_t profile_fields[] = {
	TEXT("name", struct profile, name),
	TEXT("service_id", struct profile, service_id),
	TEXT("principal", struct profile, principal),
	CYAML_FIELD_SEQUENCE_COUNT("kafka", CYAML_FLAG_POINTER, struct profile, kafka, n_kafka, &text_value, 1, 200),
	CYAML_FIELD_SEQUENCE_COUNT("kafka_secret_files", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct profile,
	    kafka_secret_files, n_kafka_secret_files, &text_value, 0, 50),
	CYAML_FIELD_MAPPING("topics", CYAML_FLAG_DEFAULT, struct profile, topics, topics_fields),
	CYAML_FIELD_INT("partitions", CYAML_FLAG_DEFAULT, struct profile, partitions),
	CYAML_FIELD_MAPPING("signing_key", CYAML_FLAG_DEFAULT, struct profile, signing_key, key_fields),
	CYAML_FIELD_MAPPING("box_key", CYAML_FLAG_DEFAULT, struct profile, box_key, key_fields),
	CYAML_FIELD_SEQUENCE_COUNT("service_keys", CYAML_FLAG_POINTER, struct profile, service_keys, n_service_keys,
	    &service_key_value, 1, 16),
	TEXT_OPTIONAL("cluster", struct profile, cluster),
	TEXT_OPTIONAL("state_dir", struct profile, state_dir),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t profile_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct profile,
    profile_fields) };

static const cyaml_schema_field_t file_fields[] = {
	CYAML_FIELD_SEQUENCE_COUNT("profiles", CYAML_FLAG_POINTER, struct file, profiles, n_profiles, &profile_value, 1,
	    100),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t file_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields) };

static struct file *
read_file(const char *path, struct err *ret_err)
{
	size_t bytes;
	unsigned char *text;
	struct file *f;

	if (access(path, F_OK) != 0 && errno == ENOENT) {
		(void)err_set(ret_err, ERR_REFUSE, "there is no %s; tokenctl init makes one", path);
		return NULL;
	}
	text = yamldoc_read(path, FILE_MOST, &bytes, ret_err);
	if (text == NULL)
		return NULL;
	f = yamldoc_parse(path, text, bytes, &file_value, ret_err);
	free(text);
	return f;
}

static int
check_names(const struct profile *p, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (!text_is_service_id(span_str(p->service_id)))
		return err_set(ret_err, ERR_REFUSE, "service_id \"%s\" is not 1 to 32 of a-z 0-9 -",
		    text_shown(span_str(p->service_id), room));
	if (!text_is_principal(span_str(p->principal)))
		return err_set(ret_err, ERR_REFUSE, "principal \"%s\" is not 1 to 64 of a-z 0-9 . _ -",
		    text_shown(span_str(p->principal), room));
	if (p->partitions < 1)
		return err_set(ret_err, ERR_REFUSE, "partitions is %d; it must be what the request topic has",
		    (int)p->partitions);
	if (strchr(p->box_key.id, ':') != NULL)
		return err_set(ret_err, ERR_REFUSE,
		    "box_key's id \"%s\" holds a colon, which ids of registered keys never do",
		    text_shown(span_str(p->box_key.id), room));
	return 0;
}

/* What decides whether an answer is safe to believe is ours to set. */
static int
check_property(const char *property, struct err *ret_err)
{
	static const char *const ours[] = {
		"acks", "enable.auto.commit", "enable.partition.eof", "group.id", "group.instance.id",
		"isolation.level", "partitioner", "transactional.id",
	};
	size_t name_bytes;
	char room[TEXT_SHOWN_ROOM];

	if (profile_property_value(property, &name_bytes) == NULL)
		return err_set(ret_err, ERR_REFUSE, "\"%s\" under kafka is not key=value",
		    text_shown(span_str(property), room));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (span_is(span_of(property, name_bytes), ours[i]))
			return err_set(ret_err, ERR_REFUSE, "%s is set by tokenctl itself; take it out of kafka",
			    ours[i]);
	return 0;
}

static int
check(struct profile *p, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (check_names(p, ret_err) != 0)
		return -1;
	for (unsigned i = 0; i < p->n_kafka; i++)
		if (check_property(p->kafka[i], ret_err) != 0)
			return -1;
	for (unsigned i = 0; i < p->n_kafka_secret_files; i++)
		if (check_property(p->kafka_secret_files[i], ret_err) != 0)
			return -1;
	for (unsigned i = 0; i < p->n_service_keys; i++) {
		struct profile_service_key *k = &p->service_keys[i];

		if (text_parse_base64(span_str(k->ed25519), k->public_key,
		    sizeof(k->public_key)) != (long)sizeof(k->public_key))
			return err_set(ret_err, ERR_REFUSE, "the service key %s is not the base64 of 32 bytes",
			    text_shown(span_str(k->id), room));
	}
	return 0;
}

static char *
copy(const char *text, struct arena *a)
{
	return text != NULL ? arena_text(a, "%s", text) : NULL;
}

static char *
resolve(const char *directory, const char *path, struct arena *a)
{
	return path[0] == '/' ? copy(path, a) : arena_text(a, "%s/%s", directory, path);
}

/* "key=path", the path resolved. */
static char *
resolve_property(const char *directory, const char *property, struct arena *a)
{
	size_t name_bytes;
	const char *path = profile_property_value(property, &name_bytes);

	return arena_text(a, "%.*s=%s", (int)name_bytes, property, resolve(directory, path, a));
}

static char *
default_state_dir(struct arena *a)
{
	const char *home = getenv("HOME"), *state = getenv("XDG_STATE_HOME");

	if (state != NULL && state[0] == '/')
		return arena_text(a, "%s/tokend", state);
	return arena_text(a, "%s/.local/state/tokend", home != NULL ? home : ".");
}

static struct profile_key
keep_key(const struct profile_key *k, const char *directory, struct arena *a)
{
	return (struct profile_key){ .id = copy(k->id, a), .file = resolve(directory, k->file, a) };
}

/* A copy in the arena, its paths resolved: the file's own memory goes back. */
static const struct profile *
keep(const struct profile *p, const char *directory, struct arena *a)
{
	struct profile *kept = arena_alloc(a, sizeof(*kept));

	*kept = *p;
	kept->name = copy(p->name, a);
	kept->service_id = copy(p->service_id, a);
	kept->principal = copy(p->principal, a);
	kept->topics.requests = copy(p->topics.requests, a);
	kept->topics.replies = copy(p->topics.replies, a);
	kept->signing_key = keep_key(&p->signing_key, directory, a);
	kept->box_key = keep_key(&p->box_key, directory, a);
	kept->cluster = copy(p->cluster, a);
	kept->state_dir = p->state_dir != NULL ? resolve(directory, p->state_dir, a) : default_state_dir(a);

	kept->kafka = arena_alloc(a, p->n_kafka * sizeof(*kept->kafka));
	for (unsigned i = 0; i < p->n_kafka; i++)
		kept->kafka[i] = copy(p->kafka[i], a);
	kept->kafka_secret_files = arena_alloc(a, (p->n_kafka_secret_files + 1) * sizeof(*kept->kafka_secret_files));
	for (unsigned i = 0; i < p->n_kafka_secret_files; i++)
		kept->kafka_secret_files[i] = resolve_property(directory, p->kafka_secret_files[i], a);
	kept->service_keys = arena_alloc(a, p->n_service_keys * sizeof(*kept->service_keys));
	for (unsigned i = 0; i < p->n_service_keys; i++) {
		kept->service_keys[i] = p->service_keys[i];
		kept->service_keys[i].id = copy(p->service_keys[i].id, a);
		kept->service_keys[i].ed25519 = copy(p->service_keys[i].ed25519, a);
	}
	return kept;
}

static struct profile *
find(const struct file *f, const char *path, const char *name, struct arena *a, struct err *ret_err)
{
	const char *names = "";
	char room[TEXT_SHOWN_ROOM];

	for (unsigned i = 0; i < f->n_profiles; i++) {
		if (strcmp(f->profiles[i].name, name) == 0)
			return &f->profiles[i];
		names = arena_text(a, "%s%s%s", names, i > 0 ? ", " : "", f->profiles[i].name);
	}
	(void)err_set(ret_err, ERR_REFUSE, "no profile \"%s\" in %s; it has: %s", text_shown(span_str(name), room),
	    path, names);
	return NULL;
}

const char *
profile_default_path(struct arena *a)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (config != NULL && config[0] == '/')
		return arena_text(a, "%s/tokend/tokenctl.yaml", config);
	return arena_text(a, "%s/.config/tokend/tokenctl.yaml", home != NULL ? home : ".");
}

const char *
profile_directory_of(const char *path, struct arena *a)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return ".";
	return slash == path ? "/" : arena_text(a, "%.*s", (int)(slash - path), path);
}

const char *
profile_property_value(const char *property, size_t *ret_name_bytes)
{
	const char *equals = strchr(property, '=');

	if (equals == NULL || equals == property || equals[1] == '\0')
		return NULL;
	*ret_name_bytes = (size_t)(equals - property);
	return equals + 1;
}

int
profile_load(const char *path, const char *name, struct arena *a, const struct profile **ret_profile,
    struct err *ret_err)
{
	struct file *f = read_file(path, ret_err);
	struct profile *p = f != NULL ? find(f, path, name, a, ret_err) : NULL;
	int result = -1;

	if (p != NULL) {
		result = check(p, ret_err);
		if (result == 0)
			*ret_profile = keep(p, profile_directory_of(path, a), a);
		else
			(void)err_prefix(ret_err, "profile \"%s\" in %s", name, path);
	}
	yamldoc_free(&file_value, f);
	return result;
}

int
profile_names(const char *path, struct arena *a, const char ***ret_names, size_t *ret_n, struct err *ret_err)
{
	struct file *f = read_file(path, ret_err);
	const char **names;

	if (f == NULL)
		return -1;
	names = arena_alloc(a, f->n_profiles * sizeof(*names));
	for (unsigned i = 0; i < f->n_profiles; i++)
		names[i] = copy(f->profiles[i].name, a);
	*ret_names = names;
	*ret_n = f->n_profiles;
	yamldoc_free(&file_value, f);
	return 0;
}
