/* SPDX-License-Identifier: Apache-2.0 */
/* tokend's main: a checklist. Each step either holds or ends the start with one sentence. */
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/crash.h"
#include "service/kafka_client.h"
#include "service/loop.h"
#include "service/ops.h"
#include "service/pipeline.h"
#include "service/policy.h"
#include "service/topics.h"
#include "workers/credential.h"

#define EXIT_USAGE 2
#define KEY_FILE_MOST 4096
#define LOCKED_LEAST (1024 * 1024)

static const char usage[] =
    "usage: tokend --config FILE [--check-config] [--log-format json|text] [--log-level debug|info|warn|error]\n"
    "       tokend --help | --version\n"
    "\n"
    "Mints InfluxDB database tokens for signed requests on a Kafka topic; replies are sealed to the requester.\n"
    "\n"
    "  --config FILE        tokend.yaml; `tokenctl init` writes one\n"
    "  --check-config       read configuration, policy, keys and management tokens, say what is wrong, and exit\n"
    "  --log-format FORMAT  json (default) or text, on standard error\n"
    "  --log-level LEVEL    the least that is logged (default info)\n"
    "\n"
    "SIGTERM or SIGINT ends it in good order: what is in flight is finished or handed over within 20 s.\n"
    "Exit status: 0 ended in good order, 1 cannot start or go on, 2 usage.\n";

struct options {
	const char *config;
	bool check;
	enum log_format format;
	enum log_level level;
};

/* Returns -1 to go on, else the exit status. */
static int
read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "check-config", no_argument, NULL, 'k' },
		{ "log-format", required_argument, NULL, 'f' }, { "log-level", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 } };
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	int c, level;

	*o = (struct options){ .level = LOG_INFO_ };
	while ((c = getopt_long(argc, argv, "hV", longs, NULL)) != -1)
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'k':
			o->check = true;
			break;
		case 'f':
			if (strcmp(optarg, "json") != 0 && strcmp(optarg, "text") != 0) {
				(void)fprintf(stderr, "tokend: --log-format \"%s\": it is json or text\n", optarg);
				return EXIT_USAGE;
			}
			o->format = strcmp(optarg, "text") == 0 ? LOG_TEXT : LOG_JSON;
			break;
		case 'l':
			for (level = 0; level < 4 && strcmp(optarg, levels[level]) != 0; level++)
				;
			if (level == 4) {
				(void)fprintf(stderr,
				    "tokend: --log-level \"%s\": it is debug, info, warn or error\n", optarg);
				return EXIT_USAGE;
			}
			o->level = (enum log_level)level;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("tokend %s (librdkafka %s)\n", TOKEND_VERSION, rd_kafka_version_str());
			return EXIT_SUCCESS;
		default:
			(void)fputs("tokend: see --help\n", stderr);
			return EXIT_USAGE;
		}
	if (optind < argc || o->config == NULL) {
		if (optind < argc)
			(void)fprintf(stderr,
			    "tokend: unexpected argument \"%s\": the configuration is --config FILE; see --help\n",
			    argv[optind]);
		else
			(void)fputs("tokend: --config FILE is missing; see --help\n", stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- what must be there ------------------------------------------------------------------------------------------ */

static unsigned char *
read_signing_key(const struct config *c, struct err *ret_err)
{
	struct secret *file = secret_read_file(c->signing_key_file, KEY_FILE_MOST, true, ret_err);
	unsigned char *seed, *key = NULL;

	if (file == NULL)
		return NULL;
	seed = secret_guarded_new(DSSE_SEED_BYTES);
	if (seed == NULL || (key = secret_guarded_new(DSSE_SECRET_BYTES)) == NULL)
		err_set(ret_err, ERR_FATAL, "no guarded memory for the signing key (see ulimit -l)");
	else if (text_parse_base64(secret_bytes(file), seed, DSSE_SEED_BYTES) != DSSE_SEED_BYTES) {
		err_set(ret_err, ERR_FATAL, "signing_key.file %s does not hold the base64 of a 32-byte seed",
		    c->signing_key_file);
		secret_guarded_free(key);
		key = NULL;
	} else
		dsse_secret_of_seed(seed, key);
	secret_guarded_free(seed);
	secret_release(file);
	return key;
}

static int
check_management_tokens(const struct config *c, struct err *ret_err)
{
	for (size_t i = 0; i < c->n_clusters; i++) {
		struct credential *token = credential_read(c->clusters[i].management_token_file, ret_err);

		if (token == NULL)
			return err_prefix(ret_err, "cluster %s", c->clusters[i].name);
		credential_release(token);
	}
	return 0;
}

static void
warn_if_public(const char *what, const char *path)
{
	if (!secret_file_is_private(path))
		log_warn("start", "others on this machine can read a secret", LOG_S("secret", what),
		    LOG_S("file", path));
}

/* No more than a warning: who mounts a Secret does not always choose its mode. */
static void
warn_of_public_files(const struct config *c)
{
	warn_if_public("signing_key", c->signing_key_file);
	for (size_t i = 0; i < c->n_clusters; i++)
		warn_if_public("management_token_file", c->clusters[i].management_token_file);
	for (size_t i = 0; i < c->n_kafka_secret_files; i++)
		warn_if_public(c->kafka_secret_files[i].name, c->kafka_secret_files[i].value);
}

/* Waits for a broker that is not there yet; a SIGTERM meanwhile ends it in good order (1). */
static int
wait_for_topics(const struct config *c, struct health *h, struct err *ret_err)
{
	const struct timespec pause = { .tv_sec = 1 };
	sigset_t set;

	loop_signals(&set);
	for (;;) {
		atomic_store(&h->heartbeat_boot_ms, clock_boot_ms());
		if (topics_check(c, ret_err) == 0)
			return 0;
		if (ret_err->next == ERR_FATAL)
			return -1;
		log_warn("start", "waiting for Kafka", LOG_S("error", ret_err->text));
		if (sigtimedwait(&set, NULL, &pause) > 0)
			return 1;
	}
}

/* ---- the checklist ----------------------------------------------------------------------------------------------- */

/* Nothing is tidied up after a failure: a broker that is away would hold that up for ever, and the next life
 * goes by the journal alone. */
static _Noreturn void
give_in(const struct err *e)
{
	log_error("start", "tokend cannot go on", LOG_S("error", e->text));
	_exit(EXIT_FAILURE);
}

static int
serve(const struct config *c, struct policy *policy, const unsigned char *signing_key, struct err *ret_err)
{
	static struct health health;
	const struct pipeline_options o = { .config = c, .policy = policy, .signing_secret = signing_key,
	    .health = &health };
	struct ops *ops = NULL;
	struct pipeline *p;
	int rc;

	atomic_store(&health.heartbeat_boot_ms, clock_boot_ms());
	if (c->ops_port != 0 && (ops = ops_start(c->ops_address, c->ops_port, &health, ret_err)) == NULL)
		return -1;
	metrics_set(metrics_at(METRIC_BUILD_INFO, TOKEND_VERSION, rd_kafka_version_str()), 1);
	rc = wait_for_topics(c, &health, ret_err);
	if (rc == 0) {
		if ((p = pipeline_new(&o, ret_err)) == NULL)
			rc = -1;
		else {
			crash_watch(c->topic_requests);
			rc = loop_run(p, ret_err);
			if (rc != 0)
				give_in(ret_err);
			pipeline_free(p);
		}
	}
	ops_stop(ops);
	return rc < 0 ? -1 : 0;
}

static int
start(const struct options *o, size_t locked_bytes, struct err *ret_err)
{
	struct config *c = NULL;
	struct policy *policy = NULL;
	unsigned char *signing_key = NULL;
	int rc = -1;

	if ((c = config_load(o->config, ret_err)) == NULL ||
	    (policy = policy_load(c->policy_file, c, ret_err)) == NULL ||
	    (signing_key = read_signing_key(c, ret_err)) == NULL || check_management_tokens(c, ret_err) != 0 ||
	    kafka_client_check(c, ret_err) != 0)
		goto out;
	if (o->check) {
		printf("%s: good\n", o->config);
		rc = 0;
		goto out;
	}
	if (locked_bytes < LOCKED_LEAST)
		log_warn("start", "little memory may be locked: secrets may reach the swap (see ulimit -l)",
		    LOG_N("bytes", locked_bytes));
	warn_of_public_files(c);
	log_info("start", "tokend starts", LOG_S("version", TOKEND_VERSION), LOG_S("service_id", c->service_id),
	    LOG_S("instance", c->instance), LOG_N("clusters", c->n_clusters), LOG_N("partitions", c->partitions));
	rc = serve(c, policy, signing_key, ret_err);
	if (rc == 0)
		log_info("start", "tokend ends", LOG_S("service_id", c->service_id));
out:
	secret_guarded_free(signing_key);
	policy_release(policy);
	config_free(c);
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o;
	struct err e;
	size_t locked_bytes;
	sigset_t set;
	int status;

	CHAOS_READ();
	if (secret_process_harden(&locked_bytes, &e) != 0) {
		(void)fprintf(stderr, "tokend: %s\n", e.text);
		return EXIT_FAILURE;
	}
	if ((status = read_options(argc, argv, &o)) >= 0)
		return status;
	log_setup(o.format, o.level);
	(void)signal(SIGPIPE, SIG_IGN);
	loop_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (start(&o, locked_bytes, &e) == 0)
		return EXIT_SUCCESS;
	if (o.check)
		(void)fprintf(stderr, "tokend: %s\n", e.text);
	else
		log_error("start", "tokend cannot go on", LOG_S("error", e.text));
	return EXIT_FAILURE;
}
