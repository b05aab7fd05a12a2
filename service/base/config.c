/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the file's words to a configuration that can be relied on.
 *
 * All is judged before anything starts, and the first thing that is wrong is told in one sentence:
 * which key, which value, and what it must be instead. Nothing is repaired in silence. Whether files
 * can be read, keys fit or brokers answer is not asked here: those change while the file does not.
 */
#include "service/base/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/config_build.h"
#include "service/base/err.h"
#include "service/base/text.h"

#define SERVICE_ID_BYTES_MOST 32        /* the contract's */
#define NAMESPACE_BYTES_MOST 63         /* Kubernetes' */
#define INSTANCE_BYTES_MOST 128
#define TRANSACTIONAL_ID_BYTES_MOST 170 /* it stands in the metadata of committed offsets, of 255 bytes (lineage.c) */
#define TOPIC_BYTES_MOST 249            /* Kafka's */
#define KEY_ID_BYTES_MOST 64
#define SWEEP_LEAST_MS 5000
#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS 86400000

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

const struct config_characters CONFIG_LOWER = { LOWER "-", "a-z 0-9 -" };
static const struct config_characters pod_names = { LOWER ".-", "a-z 0-9 . -" };
static const struct config_characters mixed = { UPPER LOWER "._-", "A-Z a-z 0-9 . _ -" };

/* The configuration and the memory of all that it points to. */
struct owned {
	struct config config;           /* first: config_free finds the rest by it */
	struct arena arena;
};

int
config_refuse(const char *key, const char *value, const char *must_be, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	return err_set(ret_err, ERR_REFUSE, "%s: \"%s\" must be %s", key, text_shown(span_str(value), shown), must_be);
}

char *
config_path(const struct config_build *b, const char *path)
{
	return arena_text(b->arena, "%s%s", path[0] == '/' ? "" : b->directory, path);
}

int
config_number(const char *key, const char *value, uint32_t least, uint32_t most, uint32_t *ret, struct err *ret_err)
{
	uint64_t number = 0;
	char must_be[64];
	const char *p = value;

	for (; *p >= '0' && *p <= '9' && number <= most; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (p > value && *p == '\0' && number >= least && number <= most) {
		*ret = (uint32_t)number;
		return 0;
	}
	(void)snprintf(must_be, sizeof(must_be), "a number from %u to %u", least, most);
	return config_refuse(key, value, must_be, ret_err);
}

int
config_bool(const char *key, const char *value, bool *ret, struct err *ret_err)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return config_refuse(key, value, "true or false", ret_err);
	*ret = strcmp(value, "true") == 0;
	return 0;
}

int
config_name(const char *key, const char *value, size_t most_bytes, const struct config_characters *of,
    struct err *ret_err)
{
	struct span s = span_str(value);
	char must_be[64];

	if (s.bytes >= 1 && s.bytes <= most_bytes && text_only(s, of->set))
		return 0;
	(void)snprintf(must_be, sizeof(must_be), "1 to %zu of %s", most_bytes, of->called);
	return config_refuse(key, value, must_be, ret_err);
}

static int
build_identity(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	if (config_name("service_id", f->service_id, SERVICE_ID_BYTES_MOST, &CONFIG_LOWER, ret_err) != 0 ||
	    config_name("namespace", f->namespace, NAMESPACE_BYTES_MOST, &CONFIG_LOWER, ret_err) != 0 ||
	    config_name("instance", f->instance, INSTANCE_BYTES_MOST, &pod_names, ret_err) != 0)
		return -1;
	c->service_id = arena_text(b->arena, "%s", f->service_id);
	c->namespace_ = arena_text(b->arena, "%s", f->namespace);
	c->instance = arena_text(b->arena, "%s", f->instance);
	c->transactional_id = arena_text(b->arena, "%s/%s/%s", f->service_id, f->namespace, f->instance);
	if (strlen(c->transactional_id) > TRANSACTIONAL_ID_BYTES_MOST)
		return config_refuse("instance", f->instance,
		    "shorter: service_id, namespace and instance may have 168 bytes together", ret_err);
	c->group_id = arena_text(b->arena, "tokend-%s", f->service_id);
	return 0;
}

static int
build_topic(const struct config_build *b, const char *key, const char *name, char **ret, struct err *ret_err)
{
	if (config_name(key, name, TOPIC_BYTES_MOST, &mixed, ret_err) != 0)
		return -1;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return config_refuse(key, name, "a topic's name", ret_err);
	*ret = arena_text(b->arena, "%s", name);
	return 0;
}

static int
build_topics(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	const struct config_file_topics *t = &f->topics;
	uint32_t partitions;

	if (build_topic(b, "topics.requests", t->requests, &c->topic_requests, ret_err) != 0 ||
	    build_topic(b, "topics.replies", t->replies, &c->topic_replies, ret_err) != 0 ||
	    build_topic(b, "topics.journal", t->journal, &c->topic_journal, ret_err) != 0 ||
	    build_topic(b, "topics.deadletters", t->deadletters, &c->topic_deadletters, ret_err) != 0 ||
	    config_number("topics.partitions", t->partitions, 1, 10000, &partitions, ret_err) != 0)
		return -1;
	const char *const names[] = { t->requests, t->replies, t->journal, t->deadletters };
	for (size_t i = 1; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				return config_refuse("topics", names[i], "the name of one topic only", ret_err);
	c->partitions = (int32_t)partitions;
	if (strcmp(f->topic_checks, "strict") == 0)
		c->topic_checks = TOPIC_CHECKS_STRICT;
	else if (strcmp(f->topic_checks, "partitions") == 0)
		c->topic_checks = TOPIC_CHECKS_PARTITIONS;
	else
		return config_refuse("topic_checks", f->topic_checks, "strict or partitions", ret_err);
	return 0;
}

static int
build_files(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	if (config_name("signing_key.id", f->signing_key.id, KEY_ID_BYTES_MOST, &mixed, ret_err) != 0)
		return -1;
	c->signing_key_id = arena_text(b->arena, "%s", f->signing_key.id);
	c->signing_key_file = config_path(b, f->signing_key.file);
	c->policy_file = config_path(b, f->policy_file);
	return 0;
}

static int
build_limits(const struct config_file *f, struct config *c, struct err *ret_err)
{
	uint64_t ms;

	if (!text_parse_duration(span_str(f->deadline_most), &ms) || ms < MINUTE_MS || ms > DAY_MS)
		return config_refuse("deadline_most", f->deadline_most, "a duration from 1m to 24h", ret_err);
	c->deadline_most_ms = ms;
	if (!text_parse_duration(span_str(f->sweep_interval), &ms) || ms < SWEEP_LEAST_MS || ms > HOUR_MS)
		return config_refuse("sweep_interval", f->sweep_interval, "a duration from 5s to 1h", ret_err);
	c->sweep_interval_ms = ms;
	if (config_number("max_pending", f->max_pending, 1, 100000, &c->max_pending, ret_err) != 0 ||
	    config_number("max_remembered", f->max_remembered, 100, 100000000, &c->max_remembered, ret_err) != 0 ||
	    config_number("workers", f->workers, 0, 256, &c->workers, ret_err) != 0)
		return -1;
	if (c->max_remembered < c->max_pending)         /* what is in work is remembered, and cannot go */
		return config_refuse("max_remembered", f->max_remembered, "at least max_pending", ret_err);
	return 0;
}

static int
build_ops(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	unsigned char binary[sizeof(struct in6_addr)];
	uint32_t port;

	if (inet_pton(AF_INET, f->ops.address, binary) != 1 && inet_pton(AF_INET6, f->ops.address, binary) != 1)
		return config_refuse("ops.address", f->ops.address, "an IP address", ret_err);
	if (config_number("ops.port", f->ops.port, 0, 65535, &port, ret_err) != 0)
		return -1;
	c->ops_address = arena_text(b->arena, "%s", f->ops.address);
	c->ops_port = (uint16_t)port;
	return 0;
}

static const char *
directory_of(const char *path, struct arena *a)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? arena_text(a, "%.*s", (int)(slash + 1 - path), path) : "";
}

struct config *
config_load(const char *path, struct err *ret_err)
{
	struct config_file *f = config_file_load(path, ret_err);
	struct config_build b;
	struct owned *o;

	if (f == NULL)
		return NULL;
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	b = (struct config_build){ &o->arena, directory_of(path, &o->arena) };
	if (build_identity(&b, f, &o->config, ret_err) != 0 ||
	    build_topics(&b, f, &o->config, ret_err) != 0 ||
	    config_build_kafka(&b, f, &o->config, ret_err) != 0 ||
	    build_files(&b, f, &o->config, ret_err) != 0 ||
	    config_build_clusters(&b, f, &o->config, ret_err) != 0 ||
	    config_build_records(&b, f, &o->config, ret_err) != 0 ||
	    build_limits(f, &o->config, ret_err) != 0 ||
	    build_ops(&b, f, &o->config, ret_err) != 0) {
		(void)err_prefix(ret_err, "%s", path);
		config_free(&o->config);
		o = NULL;
	}
	config_file_free(f);
	return o != NULL ? &o->config : NULL;
}

void
config_free(struct config *c)
{
	struct owned *o = (struct owned *)c;

	if (o == NULL)
		return;
	arena_free(&o->arena);
	free(o);
}

int
config_cluster(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_clusters; i++)
		if (strcmp(c->clusters[i].name, name) == 0)
			return (int)i;
	return -1;
}

int
config_cluster_by_ids(const struct config *c, const char *account_id, const char *cluster_id)
{
	for (size_t i = 0; i < c->n_clusters; i++) {
		const struct cluster *at = &c->clusters[i];

		if (at->account_id != NULL && strcmp(at->account_id, account_id) == 0 &&
		    strcmp(at->cluster_id, cluster_id) == 0)
			return (int)i;
	}
	return -1;
}

bool
config_skips(const struct config *c, int32_t partition, int64_t offset)
{
	for (size_t i = 0; i < c->n_skip; i++)
		if (c->skip[i].partition == partition && c->skip[i].offset == offset)
			return true;
	return false;
}
