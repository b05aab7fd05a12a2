/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes through to librdkafka, and what does not.
 *
 * Brokers are reached in a hundred ways (TLS, SASL, proxies), and librdkafka documents each: so its
 * properties pass through by their own names, unjudged. Two kinds do not. What the protocol's promise
 * rests on is set by us alone, and refused by name here: an operator who wants another session timeout
 * should hear that it has consequences, not find them. And a secret is never a value in this file: it
 * is named as a file of its own.
 */
#include "service/base/config_build.h"

#include "service/base/err.h"
#include "service/base/text.h"

static const char property_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789._";

/* librdkafka's aliases stand beside the names; one that ends in a dot stands for all that begin so. */
static const char *const owned[] = {
	"acks", "auto.commit.enable", "auto.offset.reset", "delivery.timeout.ms", "enable.auto.", "enable.idempotence",
	"enable.partition.eof", "fetch.message.max.bytes", "group.id", "group.instance.id", "heartbeat.interval.ms",
	"isolation.level", "max.partition.fetch.bytes", "max.poll.interval.ms", "message.max.bytes",
	"message.timeout.ms", "partition.assignment.strategy", "queued.max.messages.kbytes", "queued.min.messages",
	"request.required.acks", "session.timeout.ms", "socket.timeout.ms", "transaction.timeout.ms",
	"transactional.id"
};

static const char *const secrets[] = {
	"sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password"
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool
listed(const char *name, const char *const *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(table[i]);

		if (strcmp(name, table[i]) == 0 ||
		    (table[i][length - 1] == '.' && strncmp(name, table[i], length) == 0))
			return true;
	}
	return false;
}

static int
refuse_entry(const char *key, struct span shown_part, const char *why, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	return err_set(ret_err, ERR_REFUSE, "%s: \"%s\" %s", key, text_shown(shown_part, shown), why);
}

/* One entry, split. The sentences show the name at most: what follows may be a password put in the
 * wrong place. */
static int
build_property(const struct config_build *b, const char *key, const char *entry, struct property *ret,
    struct err *ret_err)
{
	struct span name = span_of(entry, strcspn(entry, "="));

	if (entry[name.bytes] != '=')
		return err_set(ret_err, ERR_REFUSE, "%s: an entry of %zu bytes has no = in it; entries are name=value",
		    key, name.bytes);
	if (name.bytes == 0 || !text_only(name, property_characters))
		return refuse_entry(key, name, "is not a property's name: those are of a-z 0-9 . _", ret_err);
	if (entry[name.bytes + 1] == '\0')
		return refuse_entry(key, name, "has no value", ret_err);
	ret->name = (char *)(uintptr_t)arena_copy(b->arena, name).data;
	ret->value = arena_text(b->arena, "%s", entry + name.bytes + 1);
	if (listed(ret->name, owned, COUNT(owned)))
		return refuse_entry(key, name, "is set by tokend itself: its promise rests on it", ret_err);
	return 0;
}

static int
build_list(const struct config_build *b, const char *key, char *const *entries, size_t n, struct property **ret,
    struct err *ret_err)
{
	struct property *list = arena_alloc(b->arena, n * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		if (build_property(b, key, entries[i], &list[i], ret_err) != 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (strcmp(list[i].name, list[j].name) == 0)
				return refuse_entry(key, span_str(list[i].name), "stands twice", ret_err);
	}
	*ret = list;
	return 0;
}

static const struct property *
find(const struct property *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

int
config_build_kafka(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	if (build_list(b, "kafka", f->kafka, f->kafka_count, &c->kafka, ret_err) != 0 ||
	    build_list(b, "kafka_secret_files", f->kafka_secret_files, f->kafka_secret_files_count,
	        &c->kafka_secret_files, ret_err) != 0)
		return -1;
	c->n_kafka = f->kafka_count;
	c->n_kafka_secret_files = f->kafka_secret_files_count;
	for (size_t i = 0; i < c->n_kafka; i++)
		if (listed(c->kafka[i].name, secrets, COUNT(secrets)))
			return refuse_entry("kafka", span_str(c->kafka[i].name),
			    "is a secret: put it into a file, and the file's path under kafka_secret_files", ret_err);
	for (size_t i = 0; i < c->n_kafka_secret_files; i++) {
		struct property *p = &c->kafka_secret_files[i];

		if (find(c->kafka, c->n_kafka, p->name) != NULL)
			return refuse_entry("kafka_secret_files", span_str(p->name), "stands under kafka, too",
			    ret_err);
		p->value = config_path(b, p->value);
	}
	if (find(c->kafka, c->n_kafka, "bootstrap.servers") == NULL &&
	    find(c->kafka, c->n_kafka, "metadata.broker.list") == NULL)
		return err_set(ret_err, ERR_REFUSE, "kafka: bootstrap.servers is missing");
	return 0;
}
