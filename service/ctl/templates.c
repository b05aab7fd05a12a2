/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of the files that tokenctl init writes.
 *
 * They are written for the person who opens them next: in the order in which one would read them,
 * with a comment where a value will want changing. Every value is a double-quoted YAML scalar,
 * escaped, so that nothing that was typed can become a key.
 */
#include "service/ctl/templates.h"

#include <stdio.h>
#include <string.h>

#include "service/base/arena.h"

/* A double-quoted YAML scalar. */
static const char *
quoted(const char *text, struct arena *a)
{
	char *quote = arena_alloc(a, strlen(text) * 4 + 3), *out = quote;

	*out++ = '"';
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			out += sprintf(out, "\\x%02x", (unsigned)(unsigned char)*p);
			continue;
		}
		if (*p == '"' || *p == '\\')
			*out++ = '\\';
		*out++ = *p;
	}
	*out = '"';
	return quote;
}

/* ["a", "b"] */
static const char *
quoted_list(const char *first, const struct options_list *more, struct arena *a)
{
	const char *text = first != NULL ? quoted(first, a) : "";

	for (size_t i = 0; i < more->n; i++)
		text = arena_text(a, "%s%s%s", text, text[0] != '\0' ? ", " : "", quoted(more->items[i].value, a));
	return arena_text(a, "[%s]", text);
}

static const char *
kafka_list(const struct templates *t, struct arena *a)
{
	return quoted_list(arena_text(a, "bootstrap.servers=%s", t->bootstrap), &t->kafka, a);
}

static const char *
topic(const struct templates *t, const char *which, struct arena *a)
{
	return quoted(arena_text(a, "%s.%s", t->topics, which), a);
}

const char *
templates_signing_key(const char *id, const char *public_key, struct arena *a)
{
	return arena_text(a, "{id: %s, ed25519: %s}", quoted(id, a), quoted(public_key, a));
}

const char *
templates_box_key(const char *id, const char *public_key, struct arena *a)
{
	return arena_text(a, "{id: %s, suite: sealedbox-x25519, key: %s}", quoted(id, a), quoted(public_key, a));
}

const char *
templates_key_file(const char *id, const char *file, struct arena *a)
{
	return arena_text(a, "{id: %s, file: %s}", quoted(id, a), quoted(file, a));
}

const char *
templates_policy(const struct templates *t, struct arena *a)
{
	return arena_text(a,
	    "# Who may ask for what. What no grant covers is refused. tokend reads this file at its start.\n"
	    "version: 1\n"
	    "principals:\n"
	    "  - name: %s\n"
	    "    signing_keys:\n"
	    "      - %s\n"
	    "    recipient_keys:\n"
	    "      - %s\n"
	    "    grants:\n"
	    "      # databases are globs; max_ttl: 90d would make an expiry within 90 days a must.\n"
	    "      - {clusters: [%s], databases: %s, actions: [read, write]%s}\n",
	    quoted(t->principal, a), templates_signing_key(t->signing.id, t->signing.public_key, a),
	    templates_box_key(t->box.id, t->box.public_key, a), quoted(t->cluster, a),
	    quoted_list(NULL, &t->databases, a),
	    t->all_databases ? ", all_databases: true" : "");
}

const char *
templates_tokend(const struct templates *t, struct arena *a)
{
	const char *ids = "";

	if (t->account != NULL)
		ids = arena_text(a, "    account_id: %s\n    cluster_id: %s\n", quoted(t->account, a),
		    quoted(t->cluster_uuid, a));
	return arena_text(a,
	    "# The service's configuration: tokend --config THIS. Paths are relative to this file.\n"
	    "service_id: %s\n"
	    "instance: %s          # the pod's name: two of the same fence each other\n"
	    "kafka: %s\n"
	    "topics:\n"
	    "  requests: %s\n  replies: %s\n  journal: %s\n  deadletters: %s\n"
	    "  partitions: %d\n"
	    "topic_checks: %s\n"
	    "signing_key: %s\n"
	    "policy_file: policy.yaml\n"
	    "clusters:\n"
	    "  - name: %s\n"
	    "    product: %s\n"
	    "    url: %s\n"
	    "%s"
	    "    management_token_file: %s\n"
	    "ops: {address: 127.0.0.1, port: %d}\n",
	    quoted(t->service_id, a), quoted(t->instance, a), kafka_list(t, a),
	    topic(t, "requests", a), topic(t, "replies", a), topic(t, "journal", a), topic(t, "deadletters", a),
	    (int)t->partitions, t->topic_checks, templates_key_file(t->service.id, t->service.file, a),
	    quoted(t->cluster, a), t->product, quoted(t->url, a), ids, quoted(t->management_token_file, a),
	    (int)t->ops_port);
}

const char *
templates_tokenctl(const struct templates *t, struct arena *a)
{
	const char *state = t->state_dir != NULL ? arena_text(a, "    state_dir: %s\n", quoted(t->state_dir, a)) : "";

	return arena_text(a,
	    "# How tokenctl reaches the service, and with which keys. Paths are relative to this file.\n"
	    "profiles:\n"
	    "  - name: default\n"
	    "    service_id: %s\n"
	    "    principal: %s\n"
	    "    kafka: %s\n"
	    "    topics: {requests: %s, replies: %s}\n"
	    "    partitions: %d\n"
	    "    signing_key: %s\n"
	    "    box_key: %s\n"
	    "    service_keys:          # whose replies are believed; while keys rotate, the old and the new one\n"
	    "      - %s\n"
	    "    cluster: %s\n"
	    "%s",
	    quoted(t->service_id, a), quoted(t->principal, a), kafka_list(t, a),
	    topic(t, "requests", a), topic(t, "replies", a), (int)t->partitions,
	    templates_key_file(t->signing.id, t->signing.file, a), templates_key_file(t->box.id, t->box.file, a),
	    templates_signing_key(t->service.id, t->service.public_key, a), quoted(t->cluster, a), state);
}
