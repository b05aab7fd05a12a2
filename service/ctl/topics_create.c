/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl topics create: the four topics, with the policies that the promise rests on.
 *
 * A topic with another cleanup policy or another timestamp type loses requests' outcomes in ways
 * that nobody sees until it matters. So the policies stand in one table (base/topic_policy.h), by
 * which the service judges, too; they are applied where a topic is missing and compared where it
 * exists. What differs is printed and never changed:
 * a topic in use is its operator's.
 *
 * It can be run again at any time; a second run says that all is well.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/topic_policy.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/kafka_conf.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

#define SETTINGS_MOST 8

struct flags {
	const char *tokend_config;
	int32_t replication_factor, min_insync;
};

static const struct option rows[] = {
	{ "tokend-config", 0, OPTION_TEXT, offsetof(struct flags, tokend_config), 0, "FILE",
	    "tokend.yaml (default: beside the file of --config)" },
	{ "replication-factor", 0, OPTION_NUMBER, offsetof(struct flags, replication_factor), 0, "N",
	    "copies of each partition (default 3)" },
	{ "min-insync", 0, OPTION_NUMBER, offsetof(struct flags, min_insync), 0, "N",
	    "copies that must have a record (default 2)" },
};

struct topic {
	const char *name;
	int32_t partitions;             /* 0: made with one, and any number will do */
	struct topic_policy settings[SETTINGS_MOST];
	size_t n_settings;
};

/* One call of this command: the connection and what is wanted. */
struct creation {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	struct kafka_complaint complaint;
	int timeout_ms;
	int32_t replication_factor;
	const char *min_insync;
	unsigned differences;
};

/* The number of copies is what the operator says: a test cluster has but one. */
static struct topic
plan(const struct creation *c, const char *name, enum topic_role role, int32_t partitions)
{
	struct topic t = { .name = name, .partitions = partitions };
	size_t n;
	const struct topic_policy *all = topic_policies(&n);

	for (size_t i = 0; i < n; i++) {
		if (all[i].role != role)
			continue;
		assert(t.n_settings < SETTINGS_MOST);
		t.settings[t.n_settings] = all[i];
		if (strcmp(all[i].setting, "min.insync.replicas") == 0)
			t.settings[t.n_settings].value = c->min_insync;
		t.n_settings++;
	}
	return t;
}

static int
fail(const struct creation *c, const char *what, rd_kafka_resp_err_t e, const char *why, struct err *ret_err)
{
	bool passes = e == RD_KAFKA_RESP_ERR__TIMED_OUT || e == RD_KAFKA_RESP_ERR__TRANSPORT;
	const char *next = e == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR ?
	    " (on one broker: --replication-factor 1 --min-insync 1)" : "";

	return err_set(ret_err, passes ? ERR_RETRY : ERR_REFUSE, "%s: %s%s%s%s", what,
	    why != NULL ? why : rd_kafka_err2str(e), next,
	    c->complaint.text[0] != '\0' ? "; Kafka's last complaint: " : "", c->complaint.text);
}

static rd_kafka_AdminOptions_t *
new_options(const struct creation *c, rd_kafka_admin_op_t operation)
{
	rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(c->rk, operation);

	(void)rd_kafka_AdminOptions_set_request_timeout(o, c->timeout_ms, NULL, 0);
	return o;
}

/* The answer to an admin request, or NULL. An answer that is an error counts as none. */
static rd_kafka_event_t *
wait_for_answer(struct creation *c, const char *what, struct err *ret_err)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(c->queue, c->timeout_ms + 1000);
	rd_kafka_resp_err_t e = event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;

	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return event;
	(void)rd_kafka_poll(c->rk, 0);                          /* may bring the reason */
	(void)fail(c, what, e, event != NULL ? rd_kafka_event_error_string(event) : NULL, ret_err);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	return NULL;
}

/* 1: made; 0: it exists already; -1. */
static int
create(struct creation *c, const struct topic *t, struct err *ret_err)
{
	char why[256];
	rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(t->name, t->partitions > 0 ? t->partitions : 1,
	    c->replication_factor, why, sizeof(why));
	rd_kafka_AdminOptions_t *options;
	rd_kafka_event_t *event;
	const rd_kafka_topic_result_t **results;
	rd_kafka_resp_err_t e;
	size_t n;
	int result = 1;

	if (wanted == NULL)
		return err_set(ret_err, ERR_REFUSE, "the topic %s: %s", t->name, why);
	for (size_t i = 0; i < t->n_settings; i++)
		(void)rd_kafka_NewTopic_set_config(wanted, t->settings[i].setting, t->settings[i].value);
	options = new_options(c, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_CreateTopics(c->rk, &wanted, 1, options, c->queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_NewTopic_destroy(wanted);

	event = wait_for_answer(c, t->name, ret_err);
	if (event == NULL)
		return -1;
	results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	e = n == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
	if (e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		result = 0;
	else if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		result = fail(c, t->name, e, n == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL, ret_err);
	rd_kafka_event_destroy(event);
	return result;
}

static void
differ(struct creation *c, const char *topic, const char *what, const char *has, const char *should)
{
	printf("%s: %s is %s, should be %s\n", topic, what, has, should);
	c->differences++;
}

static void
compare(struct creation *c, const struct topic *t, const rd_kafka_ConfigResource_t *found)
{
	size_t n;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found, &n);

	for (size_t i = 0; i < t->n_settings; i++) {
		const char *has = NULL;

		for (size_t k = 0; k < n; k++)
			if (strcmp(rd_kafka_ConfigEntry_name(entries[k]), t->settings[i].setting) == 0)
				has = rd_kafka_ConfigEntry_value(entries[k]);
		if (has == NULL || !topic_policy_fits(&t->settings[i], has))
			differ(c, t->name, t->settings[i].setting, has != NULL ? has : "unknown", t->settings[i].value);
	}
}

static int
check_settings(struct creation *c, const struct topic *t, struct err *ret_err)
{
	rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t->name);
	rd_kafka_AdminOptions_t *options = new_options(c, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	const rd_kafka_ConfigResource_t **found;
	rd_kafka_event_t *event;
	size_t n;
	int result = 0;

	rd_kafka_DescribeConfigs(c->rk, &wanted, 1, options, c->queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(wanted);
	event = wait_for_answer(c, t->name, ret_err);
	if (event == NULL)
		return -1;
	found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
	if (n == 1 && rd_kafka_ConfigResource_error(found[0]) == RD_KAFKA_RESP_ERR_NO_ERROR)
		compare(c, t, found[0]);
	else
		result = fail(c, t->name, RD_KAFKA_RESP_ERR__BAD_MSG,
		    n == 1 ? rd_kafka_ConfigResource_error_string(found[0]) : NULL, ret_err);
	rd_kafka_event_destroy(event);
	return result;
}

/* Partitions and copies stand in the topic's metadata, not in its configuration. */
static int
check_shape(struct creation *c, const struct topic *t, struct err *ret_err)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(c->rk, t->name, NULL);
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t e = rd_kafka_metadata(c->rk, 0, rkt, &md, c->timeout_ms);
	char has[16], should[16];

	rd_kafka_topic_destroy(rkt);
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fail(c, t->name, e, NULL, ret_err);
	if (md->topic_cnt == 1 && t->partitions != 0 && md->topics[0].partition_cnt != t->partitions) {
		(void)snprintf(has, sizeof(has), "%d", md->topics[0].partition_cnt);
		(void)snprintf(should, sizeof(should), "%d", (int)t->partitions);
		differ(c, t->name, "the number of partitions", has, should);
	}
	if (md->topic_cnt == 1 && md->topics[0].partition_cnt > 0 &&
	    md->topics[0].partitions[0].replica_cnt < c->replication_factor) {
		(void)snprintf(has, sizeof(has), "%d", md->topics[0].partitions[0].replica_cnt);
		(void)snprintf(should, sizeof(should), "%d", (int)c->replication_factor);
		differ(c, t->name, "the replication factor", has, should);
	}
	rd_kafka_metadata_destroy(md);
	return 0;
}

static int
create_or_check(struct creation *c, const struct topic *t, struct err *ret_err)
{
	unsigned before = c->differences;
	int created = create(c, t, ret_err);

	if (created < 0)
		return -1;
	if (created > 0) {
		printf("%s: created\n", t->name);
		return 0;
	}
	if (check_shape(c, t, ret_err) != 0 || check_settings(c, t, ret_err) != 0)
		return -1;
	if (c->differences == before)
		printf("%s: exists, as it should be\n", t->name);
	return 0;
}

static int
create_all(struct creation *c, const struct config *config, struct err *ret_err)
{
	const struct topic topics[] = {
		plan(c, config->topic_requests, TOPIC_REQUESTS, config->partitions),
		plan(c, config->topic_replies, TOPIC_REPLIES, config->partitions),
		plan(c, config->topic_journal, TOPIC_JOURNAL, config->partitions),
		plan(c, config->topic_deadletters, TOPIC_DEADLETTERS, 0),
	};

	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		if (create_or_check(c, &topics[i], ret_err) != 0)
			return -1;
	return 0;
}

static int
open_line(struct creation *c, const struct config *config, struct err *ret_err)
{
	rd_kafka_conf_t *conf = kafka_conf_of_config(config, &c->complaint, ret_err);

	if (conf == NULL)
		return -1;
	kafka_conf_own(conf, "allow.auto.create.topics", "false");
	c->rk = kafka_conf_open(RD_KAFKA_CONSUMER, conf, ret_err);
	if (c->rk == NULL)
		return -1;
	c->queue = rd_kafka_queue_new(c->rk);
	return 0;
}

static void
close_line(struct creation *c)
{
	if (c->queue != NULL)
		rd_kafka_queue_destroy(c->queue);
	if (c->rk != NULL)
		rd_kafka_destroy(c->rk);
}

static enum command_exit
run(struct invocation *v)
{
	const struct flags *f = v->options;
	const char *path = f->tokend_config != NULL ? f->tokend_config :
	    arena_text(v->arena, "%s/tokend.yaml", profile_directory_of(v->globals->config, v->arena));
	struct creation c = {
		.complaint = { .debug = v->globals->debug },
		.timeout_ms = (int)(v->globals->timeout_ms < 600000 ? v->globals->timeout_ms : 600000),
		.replication_factor = f->replication_factor > 0 ? f->replication_factor : 3,
		.min_insync = arena_text(v->arena, "%d", f->min_insync > 0 ? (int)f->min_insync : 2),
	};
	char room[TEXT_SHOWN_ROOM];
	enum command_exit status = EXIT_DONE;
	struct config *config;
	struct err e;

	if (v->n_words > 0)
		return output_usage("topics create takes flags only, not \"%s\"",
		    text_shown(span_str(v->words[0]), room));
	if (f->min_insync > c.replication_factor)
		return output_usage("--min-insync %d is above --replication-factor %d: nothing could ever be written",
		    (int)f->min_insync, (int)c.replication_factor);
	config = config_load(path, &e);
	if (config == NULL)
		return output_usage("%s", e.text);
	if (open_line(&c, config, &e) != 0 || create_all(&c, config, &e) != 0) {
		output_say("%s", e.text);
		status = e.next == ERR_RETRY ? EXIT_NO_REPLY : EXIT_USAGE;
	} else if (c.differences > 0) {
		output_say("%u differences; they were left as they are", c.differences);
		status = EXIT_REFUSED;
	}
	close_line(&c);
	config_free(config);
	return status;
}

static const struct command_note examples[] = {
	{ "tokenctl topics create", "Three brokers or more:" },
	{ "tokenctl topics create --replication-factor 1 --min-insync 1", "One broker:" },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "The topics are there, as they should be." },
	{ "1", "A topic differs from what the service needs; it was left as it is." },
	{ "2", "The command line, or tokend.yaml, is wrong; or the brokers refused." },
	{ "3", "The brokers did not answer in time." },
	{ NULL, NULL }
};

const struct command topics_create_command = {
	.name = "topics create",
	.arguments = "",
	.summary = "create the service's four topics, or say how they differ",
	.about =
	    "Creates the topics that tokend.yaml names, with the policies that the service needs. A topic that exists "
	    "is not changed: what differs is printed, and the exit status is 1. It may be run again at any time.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.examples = examples,
	.run = run,
};
