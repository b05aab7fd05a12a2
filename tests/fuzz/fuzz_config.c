/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/base/config.c service/base/config_file.c service/base/config_kafka.c
 * service/base/config_cluster.c service/base/yamldoc.c
 *
 * tokend.yaml.
 *
 * Input: the file.
 *
 * Promises: a refused file is told by one sentence that can be shown, and shows nothing of a kafka property's
 * value, for it may be a password. A loaded one has everything that start-up relies on: names of their
 * character sets, numbers within bounds, paths that are no longer relative, URLs that no credential can leak
 * through, and no property that is the protocol's own. */
#include "tests/fuzz/harness.h"

#include "service/base/config.h"
#include "service/base/config_file.h"
#include "service/base/err.h"
#include "service/base/text.h"

#define CANARY "hunter2"               /* a property's value, in seeds */

static void
check_clusters(const struct config *c)
{
	HOLDS(c->n_clusters >= 1);
	for (size_t i = 0; i < c->n_clusters; i++) {
		const struct cluster *at = &c->clusters[i];
		const char *host = strstr(at->url, "://");

		HOLDS(text_is_service_id(span_str(at->name)) || strlen(at->name) > 32);
		HOLDS(text_only(span_str(at->name), TEXT_SERVICE_ID));
		HOLDS(host != NULL && (strncmp(at->url, "https://", 8) == 0 || strncmp(at->url, "http://", 7) == 0));
		HOLDS(strpbrk(host + 3, "/?#@ \\") == NULL);
		HOLDS(at->max_concurrency >= 1 && at->max_concurrency <= 1000);
		HOLDS(at->management_token_file[0] == '/');
		HOLDS(at->ca_file == NULL || at->ca_file[0] == '/');
		if (at->product == CLUSTER_DEDICATED)
			HOLDS(text_is_uuid(span_str(at->account_id)) && text_is_uuid(span_str(at->cluster_id)));
		else
			HOLDS(at->account_id == NULL && at->cluster_id == NULL);
		HOLDS(config_cluster(c, at->name) == (int)i);
	}
}

static void
check_kafka(const struct config *c)
{
	static const char *const owned[] = {
		"group.id", "transactional.id", "isolation.level", "enable.auto.commit", "acks"
	};

	for (size_t i = 0; i < c->n_kafka; i++) {
		HOLDS(c->kafka[i].name[0] != '\0' && c->kafka[i].value[0] != '\0');
		for (size_t j = 0; j < sizeof(owned) / sizeof(owned[0]); j++)
			HOLDS(strcmp(c->kafka[i].name, owned[j]) != 0);
		HOLDS(strcmp(c->kafka[i].name, "sasl.password") != 0);
	}
	for (size_t i = 0; i < c->n_kafka_secret_files; i++)
		HOLDS(c->kafka_secret_files[i].value[0] == '/');
}

static void
check_topics(const struct config *c)
{
	const char *const topics[] = { c->topic_requests, c->topic_replies, c->topic_journal, c->topic_deadletters };

	for (size_t i = 0; i < 4; i++) {
		HOLDS(topics[i][0] != '\0' && strlen(topics[i]) <= 249);
		for (size_t j = 0; j < i; j++)
			HOLDS(strcmp(topics[i], topics[j]) != 0);
	}
	HOLDS(c->partitions >= 1 && c->partitions <= 10000);
}

/* Does the canary stand in the file as a property's value, or as an entry without a name, and nowhere else? */
static bool
is_a_value(const char *path, struct span file)
{
	const char *first = memmem(file.data, file.bytes, CANARY, strlen(CANARY));
	const char *end = (const char *)file.data + file.bytes;
	struct config_file *f = config_file_load(path, NULL);
	bool found = false;

	if (f == NULL || first == NULL ||
	    memmem(first + 1, (size_t)(end - first - 1), CANARY, strlen(CANARY)) != NULL) {
		config_file_free(f);
		return false;
	}
	for (unsigned i = 0; i < f->kafka_count; i++) {
		const char *at = strstr(f->kafka[i], CANARY), *equals = strchr(f->kafka[i], '=');

		found = found || (at != NULL && (equals == NULL || equals < at));
	}
	config_file_free(f);
	return found;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct err e = { 0 };
	const char *path = harness_file(span_of(data, bytes));
	struct config *c = config_load(path, &e);

	if (c == NULL) {
		HOLDS(e.next == ERR_REFUSE);
		harness_sentence(&e);
		HOLDS(strstr(e.text, CANARY) == NULL || !is_a_value(path, span_of(data, bytes)));
		return 0;
	}
	HOLDS(text_is_service_id(span_str(c->service_id)));
	HOLDS(strlen(c->transactional_id) < 256 && strncmp(c->group_id, "tokend-", 7) == 0);
	HOLDS(c->deadline_most_ms >= 60000 && c->deadline_most_ms <= 86400000);
	HOLDS(c->max_pending >= 1 && c->workers <= 256);
	HOLDS(c->signing_key_file[0] == '/' && c->policy_file[0] == '/');
	check_topics(c);
	check_kafka(c);
	check_clusters(c);
	config_free(c);
	return 0;
}
