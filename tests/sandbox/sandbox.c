/* SPDX-License-Identifier: Apache-2.0 */
/* tokend-sandbox: the outside world in one process, for the demo, tests and requesters' own development: an embedded Kafka, InfluxDB's Management API with
 * faults by script, a data endpoint that takes the tokens, and a control port that tells the truth. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/kafka.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/store.h"

#define EXIT_USAGE 2
#define TOPICS_MOST 32
#define DATABASES_MOST 256
#define FILE_MOST (1024 * 1024)

static const char usage[] =
    "usage: tokend-sandbox [options]\n"
    "\n"
    "An embedded Kafka, InfluxDB's Management API and a data endpoint, on loopback, in one process.\n"
    "\n"
    "  --address A              where to listen (127.0.0.1)\n"
    "  --api-port N             the Management API, both products (8086; 0: any free port)\n"
    "  --data-port N            where tokens are used: /query?db= and /write?db= (8087)\n"
    "  --control-port N         faults and the truth (8088)\n"
    "  --no-kafka               without the embedded Kafka\n"
    "  --partitions N           of each topic without a number of its own (6)\n"
    "  --topic NAME[:N]         a topic, repeatable (tokend.requests tokend.replies tokend.journal tokend.deadletters:1)\n"
    "  --management-token T     what the API takes as bearer (sandbox-management-token); or\n"
    "  --management-token-file F\n"
    "  --account-id UUID        of Cloud Dedicated (11111111-1111-4111-8111-111111111111)\n"
    "  --cluster-id UUID        of Cloud Dedicated (22222222-2222-4222-8222-222222222222)\n"
    "  --activation-ms N        a new token answers 401 for so long (0)\n"
    "  --database NAME          a database that exists, repeatable; without any, all do\n"
    "  --faults FILE            a JSON array of rules, as the control port takes them\n"
    "  --seed N                 of the faults' probabilities (1)\n"
    "  --ready-file FILE        written when everything listens: JSON with the addresses\n"
    "  --quiet                  say nothing\n"
    "  --help, --version\n"
    "\n"
    "SIGTERM or SIGINT ends it. Exit status: 0 ended, 1 cannot start, 2 usage.\n";

struct options {
	const char *address, *token_file, *faults_file, *ready_file;
	uint16_t ports[3];
	bool no_kafka, quiet;
	int partitions;
	struct kafka_topic topics[TOPICS_MOST]; size_t n_topics;
	const char *databases[DATABASES_MOST];
	uint64_t seed;
	struct store_options store;
	struct world world;
};

/* ---- options ------------------------------------------------------------------------------------------------------- */

static int
bad(const char *option, const char *value, const char *must_be)
{
	fprintf(stderr, "tokend-sandbox: --%s \"%s\": it must be %s\n", option, value, must_be);
	return EXIT_USAGE;
}

static bool
number(const char *text, unsigned long most, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret <= most;
}

static int
add_topic(struct options *o, char *text)
{
	char *colon = strrchr(text, ':');
	unsigned long n = 0;

	if (colon != NULL && (!number(colon + 1, 10000, &n) || n == 0))
		return bad("topic", text, "NAME or NAME:PARTITIONS");
	if (o->n_topics == TOPICS_MOST)
		return bad("topic", text, "one of at most 32");
	if (colon != NULL)
		*colon = '\0';
	o->topics[o->n_topics++] = (struct kafka_topic){ text, (int)n };
	return -1;
}

enum { O_ADDRESS, O_API, O_DATA, O_CONTROL, O_NO_KAFKA, O_PARTITIONS, O_TOPIC, O_TOKEN, O_TOKEN_FILE, O_ACCOUNT, O_CLUSTER, O_ACTIVATION,
	O_DATABASE, O_FAULTS, O_SEED, O_READY, O_QUIET, O_HELP, O_VERSION };

static const struct option longs[] = {
	{ "address", 1, NULL, O_ADDRESS }, { "api-port", 1, NULL, O_API }, { "data-port", 1, NULL, O_DATA }, { "control-port", 1, NULL, O_CONTROL },
	{ "no-kafka", 0, NULL, O_NO_KAFKA }, { "partitions", 1, NULL, O_PARTITIONS }, { "topic", 1, NULL, O_TOPIC },
	{ "management-token", 1, NULL, O_TOKEN }, { "management-token-file", 1, NULL, O_TOKEN_FILE }, { "account-id", 1, NULL, O_ACCOUNT },
	{ "cluster-id", 1, NULL, O_CLUSTER }, { "activation-ms", 1, NULL, O_ACTIVATION }, { "database", 1, NULL, O_DATABASE },
	{ "faults", 1, NULL, O_FAULTS }, { "seed", 1, NULL, O_SEED }, { "ready-file", 1, NULL, O_READY }, { "quiet", 0, NULL, O_QUIET },
	{ "help", 0, NULL, O_HELP }, { "version", 0, NULL, O_VERSION }, { 0 } };

/* -1: go on; else the exit status. */
static int
read_option(struct options *o, int c)
{
	unsigned long n;

	switch (c) {
	case O_ADDRESS:
		o->address = optarg;
		return -1;
	case O_API:
	case O_DATA:
	case O_CONTROL:
		if (!number(optarg, 65535, &n))
			return bad(longs[c].name, optarg, "a port, or 0 for any free one");
		o->ports[c - O_API] = (uint16_t)n;
		return -1;
	case O_NO_KAFKA:
		o->no_kafka = true;
		return -1;
	case O_PARTITIONS:
		if (!number(optarg, 10000, &n) || n == 0)
			return bad("partitions", optarg, "1 to 10000");
		o->partitions = (int)n;
		return -1;
	case O_TOPIC:
		return add_topic(o, optarg);
	case O_TOKEN:
		o->world.management_token = optarg;
		return -1;
	case O_TOKEN_FILE:
		o->token_file = optarg;
		return -1;
	case O_ACCOUNT:
	case O_CLUSTER:
		if (!text_is_uuid(span_str(optarg)))
			return bad(longs[c].name, optarg, "a UUID in lower case");
		*(c == O_ACCOUNT ? &o->world.account_id : &o->world.cluster_id) = optarg;
		return -1;
	case O_ACTIVATION:
		if (!number(optarg, 3600000, &n))
			return bad("activation-ms", optarg, "0 to 3600000");
		o->store.activation_ms = n;
		return -1;
	case O_DATABASE:
		if (o->world.n_databases == DATABASES_MOST)
			return bad("database", optarg, "one of at most 256");
		o->databases[o->world.n_databases++] = optarg;
		return -1;
	case O_FAULTS:
		o->faults_file = optarg;
		return -1;
	case O_SEED:
		if (!number(optarg, 4000000000u, &n))
			return bad("seed", optarg, "a number");
		o->seed = n;
		return -1;
	case O_READY:
		o->ready_file = optarg;
		return -1;
	case O_QUIET:
		o->quiet = true;
		return -1;
	case O_HELP:
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case O_VERSION:
		printf("tokend-sandbox %s\n", TOKEND_VERSION);
		return EXIT_SUCCESS;
	default:
		fputs("tokend-sandbox: see --help\n", stderr);
		return EXIT_USAGE;
	}
}

static int
read_options(int argc, char **argv, struct options *o)
{
	static const char *const names[] = { "tokend.requests", "tokend.replies", "tokend.journal" };
	int c, rc;

	*o = (struct options){ .address = "127.0.0.1", .ports = { 8086, 8087, 8088 }, .partitions = 6, .seed = 1,
		.world = { .management_token = "sandbox-management-token", .account_id = "11111111-1111-4111-8111-111111111111",
		    .cluster_id = "22222222-2222-4222-8222-222222222222" } };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if ((rc = read_option(o, c)) >= 0)
			return rc;
	if (optind < argc) {
		fprintf(stderr, "tokend-sandbox: unexpected argument \"%s\"; see --help\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (o->n_topics == 0) {
		for (int i = 0; i < 3; i++)
			o->topics[o->n_topics++] = (struct kafka_topic){ names[i], 0 };
		o->topics[o->n_topics++] = (struct kafka_topic){ "tokend.deadletters", 1 };
	}
	for (size_t i = 0; i < o->n_topics; i++)
		if (o->topics[i].partitions == 0)
			o->topics[i].partitions = o->partitions;
	o->world.databases = o->databases;
	o->store.account_id = o->world.account_id;
	o->store.cluster_id = o->world.cluster_id;
	return -1;
}

/* ---- ready --------------------------------------------------------------------------------------------------------- */

static void
add_url(cJSON *o, const char *name, const char *address, uint16_t port)
{
	char url[64];

	snprintf(url, sizeof url, "http://%.40s:%u", address, port);
	cJSON_AddStringToObject(o, name, url);
}

/* Whoever sees the file can connect: written under another name, then renamed. */
static int
write_ready(const struct options *o, const char *bootstrap, struct err *ret_err)
{
	cJSON *j = cJSON_CreateObject();
	char *text, partial[4096];
	FILE *f;
	int rc = -1;

	cJSON_AddNumberToObject(j, "pid", getpid());
	if (bootstrap != NULL)
		cJSON_AddStringToObject(j, "bootstrap", bootstrap);
	add_url(j, "api", o->address, o->ports[0]);
	add_url(j, "data", o->address, o->ports[1]);
	add_url(j, "control", o->address, o->ports[2]);
	cJSON_AddStringToObject(j, "account_id", o->world.account_id);
	cJSON_AddStringToObject(j, "cluster_id", o->world.cluster_id);
	text = cJSON_Print(j);
	cJSON_Delete(j);
	if (!o->quiet)
		puts(text);
	fflush(stdout);
	if (o->ready_file == NULL) {
		free(text);
		return 0;
	}
	snprintf(partial, sizeof partial, "%s.partial", o->ready_file);
	if ((f = fopen(partial, "w")) != NULL && fprintf(f, "%s\n", text) > 0 && fclose(f) == 0 && rename(partial, o->ready_file) == 0)
		rc = 0;
	else
		err_set(ret_err, ERR_FATAL, "cannot write %s: %s", o->ready_file, strerror(errno));
	free(text);
	return rc;
}

static int
read_faults(struct faults *f, const char *path, struct err *ret_err)
{
	struct secret *file = secret_read_file(path, FILE_MOST, false, ret_err);
	int rc;

	if (file == NULL)
		return -1;
	rc = faults_add(f, (const char *)secret_bytes(file).data, secret_bytes(file).bytes, ret_err);
	secret_release(file);
	return rc == 0 ? 0 : err_prefix(ret_err, "%s", path);
}

static int
run(struct options *o, struct err *ret_err)
{
	static const http_handler handlers[3] = { api_handle, data_handle, control_handle };
	struct http_server *servers[3] = { NULL };
	struct secret *token = NULL;
	struct kafka *kafka = NULL;
	sigset_t set;
	int rc = -1, signal_number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	o->world.store = store_new(&o->store);
	o->world.faults = faults_new(o->seed);
	if (o->token_file != NULL) {
		if ((token = secret_read_file(o->token_file, 4096, true, ret_err)) == NULL)
			goto out;
		o->world.management_token = (const char *)secret_bytes(token).data;
	}
	if (o->faults_file != NULL && read_faults(o->world.faults, o->faults_file, ret_err) != 0)
		goto out;
	if (!o->no_kafka && (kafka = kafka_new(o->topics, o->n_topics, ret_err)) == NULL)
		goto out;
	for (int i = 0; i < 3; i++)
		if ((servers[i] = http_serve(o->address, o->ports[i], handlers[i], &o->world, &o->ports[i], ret_err)) == NULL)
			goto out;
	if (write_ready(o, kafka != NULL ? kafka_bootstrap(kafka) : NULL, ret_err) != 0)
		goto out;
	sigwait(&set, &signal_number);
	if (o->ready_file != NULL)
		(void)unlink(o->ready_file);
	rc = 0;
out:
	for (int i = 0; i < 3; i++)
		http_stop(servers[i]);
	kafka_free(kafka);
	secret_release(token);
	faults_free(o->world.faults);
	store_free(o->world.store);
	return rc;
}

int
main(int argc, char **argv)
{
	static struct options o;
	struct err e;
	int rc = read_options(argc, argv, &o);

	if (rc >= 0)
		return rc;
	if (run(&o, &e) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "tokend-sandbox: %s\n", e.text);
	return EXIT_FAILURE;
}
