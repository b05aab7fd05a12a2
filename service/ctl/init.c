/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl init: from nothing to a service and a first requester, by one command.
 *
 * Signing must not be the hard part, or somebody would ask for a mode without it. So keys, policy
 * and both configurations are made together and fit together; in production the service's half and
 * the requester's half are then carried to where they belong.
 *
 * It never overwrites: a name that is taken ends it, and what this run wrote is taken away again. It
 * makes no topics (tokenctl topics create) and never sees the management token: that one is put into
 * its file by hand.
 */
#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/files.h"
#include "service/ctl/keys.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/templates.h"

#define KAFKA_DEFAULT "127.0.0.1:9092"
#define URL_DEFAULT "https://console.influxdata.com"
#define OPS_PORT_DEFAULT 9464
#define PARTITIONS_DEFAULT 6
#define PARTITIONS_MOST 10000

/* The flags' values go straight to where the templates take them from. */
#define AT(member) offsetof(struct templates, member)

static const struct option rows[] = {
	{ "service-id", 0, OPTION_TEXT, AT(service_id), 0, "ID", "the service's name (default tokend)" },
	{ "principal", 0, OPTION_TEXT, AT(principal), 0, "NAME", "the first requester (default: $USER, else first)" },
	{ "instance", 0, OPTION_TEXT, AT(instance), 0, "NAME", "this instance of the service (default SERVICE_ID-0)" },
	{ "bootstrap", 0, OPTION_TEXT, AT(bootstrap), 0, "HOST:PORT", "Kafka's brokers (default " KAFKA_DEFAULT ")" },
	{ "kafka", 0, OPTION_LIST, AT(kafka), 0, "KEY=VALUE",
	    "any librdkafka property, for both programs; repeatable" },
	{ "topics", 0, OPTION_TEXT, AT(topics), 0, "PREFIX", "what the topics' names begin with (default tokend)" },
	{ "partitions", 0, OPTION_NUMBER, AT(partitions), 0, "N", "of requests, replies and journal (default 6)" },
	{ "topic-checks", 0, OPTION_TEXT, AT(topic_checks), 0, "strict|partitions",
	    "partitions for brokers that cannot describe topics" },
	{ "product", 0, OPTION_TEXT, AT(product), 0, "dedicated|clustered",
	    "InfluxDB Cloud Dedicated (default) or Clustered" },
	{ "url", 0, OPTION_TEXT, AT(url), 0, "URL", "the Management API's (dedicated: " URL_DEFAULT ")" },
	{ "management-token-file", 0, OPTION_TEXT, AT(management_token_file), 0, "FILE",
	    "where the service finds its own credential (default DIR/management-token)" },
	{ "grant-databases", 0, OPTION_LIST, AT(databases), 0, "GLOB",
	    "what the first requester may read and write (default *); repeatable" },
	{ "all-databases", 0, OPTION_SWITCH, AT(all_databases), 0, NULL,
	    "it may ask for tokens for every database, too" },
	{ "ops-port", 0, OPTION_NUMBER, AT(ops_port), 0, "PORT", "of health and metrics (default 9464)" },
};

/* What this run makes, in this order: the secret halves first, for the other files hold the public
 * ones. */
enum { SIGNING_SERVICE, SIGNING_PRINCIPAL, BOX, POLICY, TOKEND, TOKENCTL, FILE_COUNT };

struct making {
	struct templates *t;
	struct arena *arena;
	const char *directory;
	const char *paths[FILE_COUNT];
	int n_made;
};

/* $USER as a principal may be called. */
static const char *
default_principal(struct arena *a)
{
	const char *user = getenv("USER");
	char name[65] = "";

	for (size_t i = 0; user != NULL && user[i] != '\0' && i < sizeof(name) - 1; i++) {
		char lower = (char)tolower((unsigned char)user[i]);

		name[i] = text_is_principal(span_of(&lower, 1)) ? lower : '-';
	}
	return name[0] != '\0' ? arena_text(a, "%s", name) : "first";
}

/* A path as it was typed means this directory; in the file that is written it would mean the file's. */
static const char *
from_here(const char *path, struct arena *a)
{
	char here[PATH_MAX];

	if (path[0] == '/' || getcwd(here, sizeof here) == NULL)
		return path;
	return arena_text(a, "%s/%s", here, path);
}

static void
set_defaults(struct templates *t, const struct globals *g, struct arena *a)
{
	static struct options_item every_name = { 0, "*" };

#define DEFAULT(member, value) t->member = t->member != 0 ? t->member : (value)
	DEFAULT(service_id, "tokend");
	DEFAULT(principal, default_principal(a));
	DEFAULT(instance, arena_text(a, "%s-0", t->service_id));
	DEFAULT(bootstrap, KAFKA_DEFAULT);
	DEFAULT(topics, "tokend");
	DEFAULT(partitions, PARTITIONS_DEFAULT);
	DEFAULT(topic_checks, "strict");
	DEFAULT(product, "dedicated");
	if (strcmp(t->product, "dedicated") == 0)
		DEFAULT(url, URL_DEFAULT);
	if (t->management_token_file != NULL)
		t->management_token_file = from_here(t->management_token_file, a);
	DEFAULT(management_token_file, "management-token");
	DEFAULT(ops_port, OPS_PORT_DEFAULT);
	DEFAULT(cluster, g->cluster != NULL ? g->cluster : "main");
	DEFAULT(account, g->account);
	DEFAULT(cluster_uuid, g->cluster_uuid);
#undef DEFAULT
	if (t->databases.n == 0)
		t->databases = (struct options_list){ &every_name, 1 };
	t->service = (struct templates_key){ .id = arena_text(a, "%s-1", t->service_id), .file = "signing.key" };
	t->signing = (struct templates_key){ .id = arena_text(a, "%s-sign-1", t->principal),
		.file = arena_text(a, "%s.signing.key", t->principal) };
	t->box = (struct templates_key){ .id = arena_text(a, "%s-box-1", t->principal),
		.file = arena_text(a, "%s.box.key", t->principal) };
}

static bool
is_one_of(const char *text, const char *one, const char *other)
{
	return strcmp(text, one) == 0 || strcmp(text, other) == 0;
}

static int
check_cluster(const struct templates *t, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (!is_one_of(t->product, "dedicated", "clustered"))
		return err_set(ret_err, ERR_REFUSE, "--product is dedicated or clustered, not \"%s\"",
		    text_shown(span_str(t->product), room));
	if (t->url == NULL)
		return err_set(ret_err, ERR_REFUSE, "--url is missing: where the cluster's Management API is");
	if (strcmp(t->product, "clustered") == 0 && (t->account != NULL || t->cluster_uuid != NULL))
		return err_set(ret_err, ERR_REFUSE, "--account and --cluster-uuid belong to --product dedicated alone");
	if (strcmp(t->product, "dedicated") == 0 &&
	    (!text_is_uuid(span_str(t->account)) || !text_is_uuid(span_str(t->cluster_uuid))))
		return err_set(ret_err, ERR_REFUSE,
		    "a dedicated cluster needs --account UUID and --cluster-uuid UUID, in lower case, as "
		    "`influxctl cluster list` prints them");
	return 0;
}

static int
check(const struct templates *t, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];
	size_t name_bytes;

	if (!text_is_service_id(span_str(t->service_id)))
		return err_set(ret_err, ERR_REFUSE, "--service-id \"%s\" is not 1 to 32 of a-z 0-9 -",
		    text_shown(span_str(t->service_id), room));
	if (!text_is_principal(span_str(t->principal)) || t->principal[0] == '.')
		return err_set(ret_err, ERR_REFUSE,
		    "--principal \"%s\" is not 1 to 64 of a-z 0-9 . _ -, the first of them no dot",
		    text_shown(span_str(t->principal), room));
	if (!is_one_of(t->topic_checks, "strict", "partitions"))
		return err_set(ret_err, ERR_REFUSE, "--topic-checks is strict or partitions, not \"%s\"",
		    text_shown(span_str(t->topic_checks), room));
	if (t->partitions > PARTITIONS_MOST || t->ops_port > UINT16_MAX)
		return err_set(ret_err, ERR_REFUSE, "--partitions %d or --ops-port %d is out of range",
		    (int)t->partitions, (int)t->ops_port);
	for (size_t i = 0; i < t->kafka.n; i++)
		if (profile_property_value(t->kafka.items[i].value, &name_bytes) == NULL)
			return err_set(ret_err, ERR_REFUSE, "--kafka \"%s\" is not KEY=VALUE",
			    text_shown(span_str(t->kafka.items[i].value), room));
	return check_cluster(t, ret_err);
}

static int
write_next(struct making *m, struct err *ret_err)
{
	struct templates *t = m->t;
	const char *path = m->paths[m->n_made];

	switch (m->n_made) {
	case SIGNING_SERVICE:
		return keys_make_signing(path, t->service.public_key, ret_err);
	case SIGNING_PRINCIPAL:
		return keys_make_signing(path, t->signing.public_key, ret_err);
	case BOX:
		return keys_make_box(path, t->box.public_key, ret_err);
	case POLICY:
		return files_write_new(path, span_str(templates_policy(t, m->arena)), ret_err);
	case TOKEND:
		return files_write_new(path, span_str(templates_tokend(t, m->arena)), ret_err);
	default:
		return files_write_new(path, span_str(templates_tokenctl(t, m->arena)), ret_err);
	}
}

/* What was written is read as both programs will read it: what they would refuse is not left lying about. */
static int
read_back(const struct making *m, struct err *ret_err)
{
	struct config *c = config_load(m->paths[TOKEND], ret_err);
	const struct profile *p;

	if (c == NULL)
		return -1;
	config_free(c);
	return profile_load(m->paths[TOKENCTL], "default", m->arena, &p, ret_err);
}

static void
take_away(struct making *m)
{
	while (m->n_made > 0)
		(void)unlink(m->paths[--m->n_made]);
}

/* All of them, or none. */
static int
make(struct making *m, struct err *ret_err)
{
	const char *names[FILE_COUNT] = {
		m->t->service.file, m->t->signing.file, m->t->box.file, "policy.yaml", "tokend.yaml", "tokenctl.yaml",
	};

	for (int i = 0; i < FILE_COUNT; i++)
		m->paths[i] = arena_text(m->arena, "%s/%s", m->directory, names[i]);
	if (files_make_directory(m->directory, ret_err) != 0)
		return -1;
	for (; m->n_made < FILE_COUNT; m->n_made++)
		if (write_next(m, ret_err) != 0) {
			take_away(m);
			return -1;
		}
	if (read_back(m, ret_err) == 0)
		return 0;
	take_away(m);
	return err_prefix(ret_err, "nothing was left, because it would be refused");
}

static void
print_next_steps(const struct making *m, const char *config)
{
	static const char *const what[FILE_COUNT] = {
		"the service's signing key", "the requester's signing key", "the requester's box key",
		"who may ask for what", "the service's configuration", "the requester's profile",
	};
	const struct templates *t = m->t;
	const char *token = t->management_token_file;
	bool strict = strcmp(t->topic_checks, "strict") == 0;
	const char *flag = config != NULL ? arena_text(m->arena, " --config %s", config) : "";

	for (int i = 0; i < FILE_COUNT; i++)
		printf("%s: %s\n", m->paths[i], what[i]);
	printf("\nNext:\n"
	    "  1. put the management token into %s%s%s, readable by the service alone\n"
	    "  2. %s%s%s\n"
	    "  3. tokend --config %s\n"
	    "  4. tokenctl%s token create --read-database DATABASE --write-database DATABASE \"my first token\"\n",
	    token[0] == '/' ? "" : m->directory, token[0] == '/' ? "" : "/", token,
	    strict ? "tokenctl" : "make the four topics, unless the brokers have them", strict ? flag : "",
	    strict ? " topics create" : "", m->paths[TOKEND], flag);
}

static enum command_exit
run(struct invocation *v)
{
	struct templates *t = v->options;
	const char *above = profile_directory_of(v->globals->config, v->arena);
	struct making m = { .t = t, .arena = v->arena, .directory = v->n_words > 0 ? v->words[0] : above };
	char room[TEXT_SHOWN_ROOM];
	struct err e;

	if (v->n_words > 1)
		return output_usage("init takes one directory, not \"%s\" too",
		    text_shown(span_str(v->words[1]), room));
	set_defaults(t, v->globals, v->arena);
	t->state_dir = v->n_words > 0 ? "state" : NULL;
	if (check(t, &e) != 0 || make(&m, &e) != 0)
		return output_usage("%s", e.text);
	print_next_steps(&m, strcmp(m.paths[TOKENCTL], profile_default_path(v->arena)) != 0 ? m.paths[TOKENCTL] : NULL);
	return EXIT_DONE;
}

static const struct command_note files[] = {
	{ "signing.key", "the service's signing key; it stays with the service" },
	{ "policy.yaml, tokend.yaml", "who may ask for what; the service's configuration" },
	{ "PRINCIPAL.signing.key, PRINCIPAL.box.key", "the requester's two keys; they stay with the requester" },
	{ "tokenctl.yaml", "the requester's profile" },
	{ NULL, NULL }
};

static const struct command_note examples[] = {
	{ "tokenctl init --bootstrap broker:9092 --account UUID --cluster-uuid UUID", "InfluxDB Cloud Dedicated:" },
	{ "tokenctl init DIR --product clustered --url https://influx.example.com", "InfluxDB Clustered:" },
	{ NULL, NULL }
};

const struct command init_command = {
	.name = "init",
	.arguments = "[DIR]",
	.summary = "make keys, policy and configuration for a service and a first requester",
	.about =
	    "Writes six files, none of them over an existing one, readable by you alone. DIR is by default where "
	    "--config points to. The cluster is named by --cluster (default main), a dedicated one told by --account "
	    "and --cluster-uuid.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct templates),
	.files = files,
	.examples = examples,
	.run = run,
};
