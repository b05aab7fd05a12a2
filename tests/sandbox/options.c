/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. Whatever is wrong with it is said with the value as it was typed, before anything is started. */
#include "tests/sandbox/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/text.h"
#include "tests/sandbox/faults.h"

static const char usage[] =
    "usage: tokend-sandbox [options]\n"
    "\n"
    "An embedded Kafka, InfluxDB's Management API and a data endpoint, on loopback, in one process.\n"
    "\n"
    "  --address A               where to listen, IPv4 (127.0.0.1); the embedded Kafka is always on loopback\n"
    "  --api-port N              the Management API, both products (8086; 0: any free port)\n"
    "  --data-port N             where tokens are used: /query?db= and /write?db= (8087)\n"
    "  --control-port N          faults and the truth (8088)\n"
    "  --ready-file FILE         written when everything listens: JSON with the addresses; removed at the end\n"
    "  --quiet                   do not print that JSON\n"
    "\n"
    "  --no-kafka                without the embedded Kafka\n"
    "  --topic NAME[:N]          a topic with N partitions, repeatable; without any: tokend.requests, tokend.replies,\n"
    "                            tokend.journal, tokend.deadletters:1\n"
    "  --partitions N            of each topic without a number of its own (6)\n"
    "\n"
    "  --management-token T      what the API takes as bearer (sandbox-management-token); or\n"
    "  --management-token-file F what stands in that file\n"
    "  --powerless-token T       a bearer that is known and may do nothing: 403 (sandbox-powerless-token)\n"
    "  --account-id UUID         of Cloud Dedicated (11111111-1111-4111-8111-111111111111)\n"
    "  --cluster-id UUID         of Cloud Dedicated (22222222-2222-4222-8222-222222222222)\n"
    "  --cluster ACCOUNT/CLUSTER one more cluster of Cloud Dedicated, both UUIDs, repeatable\n"
    "  --database NAME           a database that exists, repeatable; without any, all do\n"
    "  --activation-ms N         a new token answers 401 for so long (0)\n"
    "  --lag-ms N                a new token cannot be listed for so long (0)\n"
    "  --deleted-tokens HOW      DELETE removes the row: gone; or sets revokedAt: revoked (gone)\n"
    "  --hide-revoked            the list leaves out those that have revokedAt\n"
    "\n"
    "  --faults FILE             a JSON array of rules, as the control port takes them\n"
    "  --seed N                  of the faults' probabilities (1)\n"
    "  --list-faults             print what a rule may say, and end\n"
    "  --help, --version         print, and end\n"
    "\n"
    "SIGTERM or SIGINT ends it. Exit status: 0 ended, 1 cannot start, 2 usage.\n";

enum { O_API, O_DATA, O_CONTROL, O_ADDRESS, O_READY, O_QUIET, O_NO_KAFKA, O_TOPIC, O_PARTITIONS, O_TOKEN, O_TOKEN_FILE,
	O_POWERLESS, O_ACCOUNT, O_CLUSTER_ID, O_CLUSTER, O_DATABASE, O_ACTIVATION, O_LAG, O_DELETED, O_HIDE, O_FAULTS,
	O_SEED, O_LIST_FAULTS, O_HELP, O_VERSION };

static const struct option longs[] = {
	[O_API] = { "api-port", 1, NULL, O_API },
	[O_DATA] = { "data-port", 1, NULL, O_DATA },
	[O_CONTROL] = { "control-port", 1, NULL, O_CONTROL },
	[O_ADDRESS] = { "address", 1, NULL, O_ADDRESS },
	[O_READY] = { "ready-file", 1, NULL, O_READY },
	[O_QUIET] = { "quiet", 0, NULL, O_QUIET },
	[O_NO_KAFKA] = { "no-kafka", 0, NULL, O_NO_KAFKA },
	[O_TOPIC] = { "topic", 1, NULL, O_TOPIC },
	[O_PARTITIONS] = { "partitions", 1, NULL, O_PARTITIONS },
	[O_TOKEN] = { "management-token", 1, NULL, O_TOKEN },
	[O_TOKEN_FILE] = { "management-token-file", 1, NULL, O_TOKEN_FILE },
	[O_POWERLESS] = { "powerless-token", 1, NULL, O_POWERLESS },
	[O_ACCOUNT] = { "account-id", 1, NULL, O_ACCOUNT },
	[O_CLUSTER_ID] = { "cluster-id", 1, NULL, O_CLUSTER_ID },
	[O_CLUSTER] = { "cluster", 1, NULL, O_CLUSTER },
	[O_DATABASE] = { "database", 1, NULL, O_DATABASE },
	[O_ACTIVATION] = { "activation-ms", 1, NULL, O_ACTIVATION },
	[O_LAG] = { "lag-ms", 1, NULL, O_LAG },
	[O_DELETED] = { "deleted-tokens", 1, NULL, O_DELETED },
	[O_HIDE] = { "hide-revoked", 0, NULL, O_HIDE },
	[O_FAULTS] = { "faults", 1, NULL, O_FAULTS },
	[O_SEED] = { "seed", 1, NULL, O_SEED },
	[O_LIST_FAULTS] = { "list-faults", 0, NULL, O_LIST_FAULTS },
	[O_HELP] = { "help", 0, NULL, O_HELP },
	[O_VERSION] = { "version", 0, NULL, O_VERSION },
	{ 0 } };

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int
bad(const char *option, const char *value, const char *must_be)
{
	(void)fprintf(stderr, "tokend-sandbox: --%s \"%s\": it must be %s\n", option, value, must_be);
	return OPTIONS_USAGE;
}

static bool
number(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n < least || n > most)
		return false;
	*ret = n;
	return true;
}

/* What Kafka takes as a topic's name. */
static bool
is_topic(const char *name)
{
	return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	    name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

static int
add_topic(struct options *o, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t bytes = colon != NULL ? (size_t)(colon - text) : strlen(text);
	uint64_t n = 0;
	char *name;

	if (o->n_topics == OPTIONS_TOPICS_MOST)
		return bad("topic", text, "one of at most 32");
	if (colon != NULL && !number(colon + 1, 1, 10000, &n))
		return bad("topic", text, "NAME or NAME:PARTITIONS, with 1 to 10000 partitions");
	name = o->topic_names[o->n_topics];
	(void)snprintf(name, sizeof o->topic_names[0], "%.*s", (int)bytes, text);
	if (bytes > OPTIONS_TOPIC_MOST || !is_topic(name))
		return bad("topic", text, "NAME or NAME:PARTITIONS, the NAME up to 249 letters, digits, '.', '_', '-'");
	for (size_t i = 0; i < o->n_topics; i++)
		if (strcmp(o->topics[i].name, name) == 0)
			return bad("topic", text, "given once");
	o->topics[o->n_topics++] = (struct kafka_topic){ name, (int)n };
	return -1;
}

static bool
is_uuid(const char *text)
{
	return text_is_uuid(span_str(text));
}

static int
add_cluster(struct options *o, const char *text)
{
	char (*ids)[37];
	int bytes = 0;

	if (o->store.n_clusters == OPTIONS_CLUSTERS_MOST)
		return bad("cluster", text, "one of at most 30");
	ids = o->cluster_ids[o->store.n_clusters];
	if (sscanf(text, "%36[^/]/%36[^/]%n", ids[0], ids[1], &bytes) != 2 || text[bytes] != '\0' || !is_uuid(ids[0]) ||
	    !is_uuid(ids[1]))
		return bad("cluster", text, "ACCOUNT/CLUSTER, both UUIDs in lower case");
	o->clusters[o->store.n_clusters++] = (struct store_cluster){ ids[0], ids[1] };
	return -1;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int
read_number(struct options *o, int c)
{
	uint64_t n;

	if (c <= O_CONTROL) {
		if (!number(optarg, 0, 65535, &n))
			return bad(longs[c].name, optarg, "a port, or 0 for any free one");
		o->ports[c - O_API] = (uint16_t)n;
	} else if (c == O_PARTITIONS) {
		if (!number(optarg, 1, 10000, &n))
			return bad(longs[c].name, optarg, "1 to 10000");
		o->partitions = (int)n;
	} else if (c == O_SEED) {
		if (!number(optarg, 0, UINT64_MAX, &o->seed))
			return bad(longs[c].name, optarg, "a number");
	} else if (!number(optarg, 0, 3600000, c == O_LAG ? &o->store.lag_ms : &o->store.activation_ms))
		return bad(longs[c].name, optarg, "0 to 3600000 milliseconds");
	return -1;
}

static int
read_text(struct options *o, int c)
{
	struct in_addr address;

	if (optarg[0] == '\0')
		return bad(longs[c].name, optarg, "something");
	switch (c) {
	case O_ADDRESS:
		o->address = optarg;
		return inet_pton(AF_INET, optarg, &address) == 1 ? -1 : bad(longs[c].name, optarg, "an IPv4 address");
	case O_READY:
		o->ready_file = optarg;
		return -1;
	case O_TOKEN:
		o->management_token = optarg;
		return -1;
	case O_TOKEN_FILE:
		o->management_token_file = optarg;
		return -1;
	case O_POWERLESS:
		o->powerless_token = optarg;
		return -1;
	case O_ACCOUNT:
	case O_CLUSTER_ID:
		*(c == O_ACCOUNT ? &o->clusters[1].account_id : &o->clusters[1].cluster_id) = optarg;
		return is_uuid(optarg) ? -1 : bad(longs[c].name, optarg, "a UUID in lower case");
	case O_DATABASE:
		if (o->n_databases == OPTIONS_DATABASES_MOST)
			return bad("database", optarg, "one of at most 256");
		o->databases[o->n_databases++] = optarg;
		return -1;
	case O_DELETED:
		o->store.keep_revoked = strcmp(optarg, "revoked") == 0;
		if (!o->store.keep_revoked && strcmp(optarg, "gone") != 0)
			return bad(longs[c].name, optarg, "gone or revoked");
		return -1;
	default:
		o->faults_file = optarg;
		return -1;
	}
}

/* -1: go on; else the exit status. */
static int
read_option(struct options *o, int c)
{
	switch (c) {
	case O_API:
	case O_DATA:
	case O_CONTROL:
	case O_PARTITIONS:
	case O_SEED:
	case O_ACTIVATION:
	case O_LAG:
		return read_number(o, c);
	case O_TOPIC:
		return add_topic(o, optarg);
	case O_CLUSTER:
		return add_cluster(o, optarg);
	case O_QUIET:
		o->quiet = true;
		return -1;
	case O_NO_KAFKA:
		o->no_kafka = true;
		return -1;
	case O_HIDE:
		o->store.hide_revoked = true;
		return -1;
	case O_LIST_FAULTS:
		faults_print_tables();
		return EXIT_SUCCESS;
	case O_HELP:
		(void)fputs(usage, stdout);
		return EXIT_SUCCESS;
	case O_VERSION:
		printf("tokend-sandbox %s\n", TOKEND_VERSION);
		return EXIT_SUCCESS;
	case '?':
		(void)fputs("tokend-sandbox: see --help\n", stderr);
		return OPTIONS_USAGE;
	default:
		return read_text(o, c);
	}
}

/* What can only be judged when all has been read. */
static int
complete(struct options *o)
{
	static const char *const names[] = { "tokend.requests", "tokend.replies", "tokend.journal" };

	if (o->management_token != NULL && o->management_token_file != NULL)
		return bad("management-token", o->management_token, "left out, or --management-token-file must");
	if (o->management_token == NULL)
		o->management_token = "sandbox-management-token";
	for (size_t i = 1; i < o->store.n_clusters; i++)
		for (size_t j = 1; j < i; j++)
			if (strcmp(o->clusters[i].account_id, o->clusters[j].account_id) == 0 &&
			    strcmp(o->clusters[i].cluster_id, o->clusters[j].cluster_id) == 0)
				return bad("cluster", o->clusters[i].cluster_id, "given once in its account");
	if (o->n_topics == 0) {
		for (int i = 0; i < 3; i++)
			o->topics[o->n_topics++] = (struct kafka_topic){ names[i], 0 };
		o->topics[o->n_topics++] = (struct kafka_topic){ "tokend.deadletters", 1 };
	}
	for (size_t i = 0; i < o->n_topics; i++)
		if (o->topics[i].partitions == 0)
			o->topics[i].partitions = o->partitions;
	o->store.clusters = o->clusters;
	return -1;
}

int
options_read(int argc, char **argv, struct options *o)
{
	int c, rc;

	*o = (struct options){ .address = "127.0.0.1", .ports = { 8086, 8087, 8088 }, .partitions = 6, .seed = 1,
		.powerless_token = "sandbox-powerless-token", .store = { .n_clusters = 2 },
		.clusters[1] = { "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222" } };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if ((rc = read_option(o, c)) >= 0)
			return rc;
	if (optind < argc) {
		(void)fprintf(stderr, "tokend-sandbox: unexpected argument \"%s\"; see --help\n", argv[optind]);
		return OPTIONS_USAGE;
	}
	return complete(o);
}
