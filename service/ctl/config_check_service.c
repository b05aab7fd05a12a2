/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config check's look at the service: tokend.yaml, its policy and its secrets, and whether a
 * requester's profile fits them.
 *
 * The service's own loaders judge its files, so this cannot be of another opinion than tokend. What
 * tokend cannot know is what its requesters believe: an old service key, another number of
 * partitions, a key that the policy knows under another name. That is compared here.
 */
#include "service/ctl/config_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/ctl/kafka_conf.h"
#include "service/ctl/keys.h"
#include "service/ctl/profile.h"
#include "service/policy.h"

#define MANAGEMENT_TOKEN_MOST 8192

struct config_check_service {
	const char *path;
	struct config *config;
	struct policy *policy;          /* NULL: could not be loaded */
	bool has_key;
	unsigned char public_key[KEYS_BYTES];
};

static void
check_signing_key(struct config_check *c, struct config_check_service *s)
{
	struct keys k;
	struct err e;

	if (keys_read_signing(s->config->signing_key_file, &k, &e) != 0) {
		config_check_found(c, "%s: signing_key: %s", s->path, e.text);
		return;
	}
	memcpy(s->public_key, k.public_key, sizeof(s->public_key));
	s->has_key = true;
	keys_wipe(&k);
	config_check_private(c, s->config->signing_key_file);
}

static void
check_clusters(struct config_check *c, const struct config_check_service *s)
{
	for (size_t i = 0; i < s->config->n_clusters; i++) {
		const struct cluster *cluster = &s->config->clusters[i];
		struct err e;
		struct secret *token = secret_read_file(cluster->management_token_file, MANAGEMENT_TOKEN_MOST, true,
		    &e);

		if (token == NULL)
			config_check_found(c, "%s: cluster %s: %s", s->path, cluster->name, e.text);
		else
			config_check_private(c, cluster->management_token_file);
		secret_release(token);
	}
}

static void
check_kafka(struct config_check *c, const struct config_check_service *s)
{
	struct kafka_complaint complaint = { 0 };
	struct err e;
	rd_kafka_conf_t *conf = kafka_conf_of_config(s->config, &complaint, &e);

	if (conf == NULL)
		config_check_found(c, "%s: %s", s->path, e.text);
	else
		rd_kafka_conf_destroy(conf);
}

struct config_check_service *
config_check_service_new(struct config_check *c, const char *path)
{
	struct config_check_service *s = calloc(1, sizeof(*s));
	unsigned before = c->findings;
	struct err e;

	if (s == NULL)
		abort();
	s->path = path;
	s->config = config_load(path, &e);
	if (s->config == NULL) {
		config_check_found(c, "%s", e.text);
		free(s);
		return NULL;
	}
	s->policy = policy_load(s->config->policy_file, s->config, &e);
	if (s->policy == NULL)
		config_check_found(c, "%s", e.text);
	check_signing_key(c, s);
	check_clusters(c, s);
	check_kafka(c, s);
	if (c->findings == before)
		printf("%s: good\n", path);
	return s;
}

void
config_check_service_free(struct config_check_service *s)
{
	if (s == NULL)
		return;
	policy_release(s->policy);
	config_free(s->config);
	free(s);
}

static void
check_pinned(struct config_check *c, const struct config_check_service *s, const struct profile *p)
{
	for (unsigned i = 0; i < p->n_service_keys; i++)
		if (memcmp(p->service_keys[i].public_key, s->public_key, KEYS_BYTES) == 0)
			return;
	config_check_found(c, "profile \"%s\" does not believe the service's key %s; tokenctl keys export prints the "
	    "service_keys entry", p->name, s->config->signing_key_id);
}

static void
check_topics(struct config_check *c, const struct config *config, const struct profile *p)
{
	if (strcmp(p->topics.requests, config->topic_requests) != 0)
		config_check_found(c, "profile \"%s\" writes to the topic %s, the service reads %s", p->name,
		    p->topics.requests, config->topic_requests);
	if (strcmp(p->topics.replies, config->topic_replies) != 0)
		config_check_found(c, "profile \"%s\" reads the topic %s, the service writes to %s", p->name,
		    p->topics.replies, config->topic_replies);
	if (p->partitions != config->partitions)
		config_check_found(c, "profile \"%s\" says %d partitions, the service %d", p->name, (int)p->partitions,
		    (int)config->partitions);
}

static void
check_signing(struct config_check *c, const struct policy *policy, const struct profile *p)
{
	const struct policy_key *known = policy_key(policy, span_str(p->signing_key.id));
	struct keys own;
	struct err e;

	if (known == NULL || strcmp(known->principal, p->principal) != 0)
		config_check_found(c,
		    "profile \"%s\" signs with the key %s, which the policy does not give to principal %s", p->name,
		    p->signing_key.id, p->principal);
	else if (keys_read_signing(p->signing_key.file, &own, &e) == 0) {
		if (memcmp(own.public_key, known->public_key, KEYS_BYTES) != 0)
			config_check_found(c,
			    "profile \"%s\": the policy knows another key by the name %s than %s holds", p->name,
			    p->signing_key.id, p->signing_key.file);
		keys_wipe(&own);
	}
}

static void
check_box(struct config_check *c, const struct policy *policy, const struct profile *p)
{
	const struct policy_recipient *known = policy_recipient(policy, p->principal, p->box_key.id);
	struct keys own;
	struct err e;

	if (known == NULL)
		config_check_found(c,
		    "profile \"%s\" has replies sealed to the key %s, which the policy does not give to principal %s",
		    p->name, p->box_key.id, p->principal);
	else if (keys_read_box(p->box_key.file, &own, &e) == 0) {
		if (memcmp(own.public_key, known->public_key, KEYS_BYTES) != 0)
			config_check_found(c,
			    "profile \"%s\": the policy knows another key by the name %s than %s holds", p->name,
			    p->box_key.id, p->box_key.file);
		keys_wipe(&own);
	}
}

void
config_check_service_fits(struct config_check *c, const struct config_check_service *s, const struct profile *p)
{
	if (strcmp(p->service_id, s->config->service_id) != 0)
		return;                 /* another service's profile */
	check_topics(c, s->config, p);
	if (p->cluster != NULL && config_cluster(s->config, p->cluster) < 0)
		config_check_found(c, "profile \"%s\" names the cluster %s, which the service does not have", p->name,
		    p->cluster);
	if (s->has_key)
		check_pinned(c, s, p);
	if (s->policy == NULL)
		return;
	check_signing(c, s->policy, p);
	check_box(c, s->policy, p);
}
