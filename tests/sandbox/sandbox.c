/* SPDX-License-Identifier: Apache-2.0 */
/* tokend-sandbox: the outside world in one process, for the demo, tests and requesters' own development: an embedded
 * Kafka, InfluxDB's Management API with faults by script, a data endpoint that takes the tokens, and a control port
 * that tells the truth. */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/err.h"
#include "service/base/secret.h"
#include "tests/sandbox/bearer.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/kafka.h"
#include "tests/sandbox/options.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/ready.h"
#include "tests/sandbox/store.h"

#define FILE_MOST (1024 * 1024)

/* ---- files ------------------------------------------------------------------------------------------------------- */

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

static struct bearer *
read_bearer(const struct options *o, struct err *ret_err)
{
	struct secret *file;
	struct bearer *b;

	if (o->management_token_file == NULL)
		return bearer_new(o->management_token, o->powerless_token);
	if ((file = secret_read_file(o->management_token_file, 4096, true, ret_err)) == NULL)
		return NULL;
	b = bearer_new((const char *)secret_bytes(file).data, o->powerless_token);
	secret_release(file);
	return b;
}

/* ---- ready ------------------------------------------------------------------------------------------------------- */

static void
add_url(cJSON *o, const char *name, const char *address, uint16_t port)
{
	char url[64];

	(void)snprintf(url, sizeof url, "http://%.40s:%u", address, port);
	cJSON_AddStringToObject(o, name, url);
}

static void
add_cluster(cJSON *list, const struct store_cluster *c)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "product", c->account_id != NULL ? "dedicated" : "clustered");
	if (c->account_id != NULL) {
		cJSON_AddStringToObject(o, "account_id", c->account_id);
		cJSON_AddStringToObject(o, "cluster_id", c->cluster_id);
	}
	cJSON_AddItemToArray(list, o);
}

static int
tell_ready(const struct options *o, const char *bootstrap, struct ready *ready, struct err *ret_err)
{
	cJSON *j = cJSON_CreateObject(), *clusters;
	char *text;
	int rc;

	cJSON_AddNumberToObject(j, "pid", getpid());
	if (bootstrap != NULL)
		cJSON_AddStringToObject(j, "bootstrap", bootstrap);
	add_url(j, "api", o->address, o->ports[0]);
	add_url(j, "data", o->address, o->ports[1]);
	add_url(j, "control", o->address, o->ports[2]);
	cJSON_AddStringToObject(j, "account_id", o->clusters[1].account_id);
	cJSON_AddStringToObject(j, "cluster_id", o->clusters[1].cluster_id);
	clusters = cJSON_AddArrayToObject(j, "clusters");
	for (size_t i = 0; i < o->store.n_clusters; i++)
		add_cluster(clusters, &o->clusters[i]);
	text = cJSON_Print(j);
	cJSON_Delete(j);
	if (!o->quiet) {
		puts(text);
		(void)fflush(stdout);
	}
	rc = ready_write(ready, text, ret_err);
	free(text);
	return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int
run(struct options *o, struct err *ret_err)
{
	static const http_handler handlers[3] = { api_handle, data_handle, control_handle };
	struct world w = { .clusters = o->clusters, .n_clusters = o->store.n_clusters, .databases = o->databases,
		.n_databases = o->n_databases };
	struct http_server *servers[3] = { NULL };
	struct ready *ready = NULL;
	struct kafka *kafka = NULL;
	sigset_t set;
	int rc = -1, signal_number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	w.store = store_new(&o->store);
	w.faults = faults_new(o->seed);
	if (ready_new(o->ready_file, &ready, ret_err) != 0)
		goto out;
	if ((w.bearer = read_bearer(o, ret_err)) == NULL)
		goto out;
	if (o->faults_file != NULL && read_faults(w.faults, o->faults_file, ret_err) != 0)
		goto out;
	if (!o->no_kafka && (kafka = kafka_new(o->topics, o->n_topics, ret_err)) == NULL)
		goto out;
	for (int i = 0; i < 3; i++)
		if ((servers[i] = http_serve(o->address, o->ports[i], handlers[i], &w, &o->ports[i], ret_err)) == NULL)
			goto out;
	if (tell_ready(o, kafka != NULL ? kafka_bootstrap(kafka) : NULL, ready, ret_err) != 0)
		goto out;
	sigwait(&set, &signal_number);
	rc = 0;
out:
	ready_free(ready);
	for (int i = 0; i < 3; i++)
		http_stop(servers[i]);
	kafka_free(kafka);
	bearer_free(w.bearer);
	faults_free(w.faults);
	store_free(w.store);
	return rc;
}

int
main(int argc, char **argv)
{
	static struct options o;
	struct err e;
	int rc = options_read(argc, argv, &o);

	if (rc >= 0)
		return rc;
	if (run(&o, &e) == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "tokend-sandbox: %s\n", e.text);
	return EXIT_FAILURE;
}
