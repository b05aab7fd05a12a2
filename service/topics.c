/* SPDX-License-Identifier: Apache-2.0 */
/* Are the topics what the promise rests on?
 *
 * A journal that forgets too early, or is compacted by a producer's clock, loses outcomes in ways that nobody
 * sees until it matters; so a service that finds its topics otherwise does not start. What only makes losses
 * possible when brokers fail (one copy, an unclean election) is a warning: a test cluster has no better.
 *
 * That the dead-letter topic can be written to is tried, not asked: in a transaction that is aborted, so that
 * nobody ever reads the trial. It runs under the service's own transactional.id; whoever still bears that
 * would be fenced by our start anyway.
 *
 * A broker that cannot describe its topics, as the sandbox's, needs topic_checks: partitions. */
#include "service/topics.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/topic_policy.h"
#include "service/kafka_client.h"

#define ASK_MS 5000
#define CURE "(tokenctl topics create makes the topics, and says how they differ)"

struct asking {
	const struct config *config;
	rd_kafka_t *rk;
	rd_kafka_queue_t *answers;
};

static const char *
name_of(const struct config *c, enum topic_role role)
{
	const char *const names[TOPIC_ROLES] = { [TOPIC_REQUESTS] = c->topic_requests,
	    [TOPIC_REPLIES] = c->topic_replies, [TOPIC_JOURNAL] = c->topic_journal,
	    [TOPIC_DEADLETTERS] = c->topic_deadletters };

	return names[role];
}

/* Errors that time mends, and others. */
static int
cannot(const char *what, const char *topic, rd_kafka_resp_err_t e, const char *why, struct err *ret_err)
{
	bool passes = e == RD_KAFKA_RESP_ERR__TIMED_OUT || e == RD_KAFKA_RESP_ERR__TRANSPORT ||
	    e == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || e == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
	    e == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT || e == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
	    e == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || e == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
	    e == RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;

	return err_set(ret_err, passes ? ERR_RETRY : ERR_FATAL, "topic %s: %s: %s", topic, what, why != NULL ?
	    why : rd_kafka_err2str(e));
}

/* ---- partitions and copies --------------------------------------------------------------------------------------- */

static int
judge_shape(const struct asking *k, const char *topic, int32_t partitions, const struct rd_kafka_metadata_topic *t,
    struct err *ret_err)
{
	if (t->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || t->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		return err_set(ret_err, ERR_FATAL, "topic %s: %s " CURE, topic, rd_kafka_err2str(t->err));
	if (t->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err_set(ret_err, ERR_RETRY, "topic %s: %s", topic, rd_kafka_err2str(t->err));
	if (partitions > 0 && t->partition_cnt != partitions)
		return err_set(ret_err, ERR_FATAL,
		    "topic %s has %d partitions, the configuration says topics.partitions: %" PRId32
		    "; they must agree, for a request ID's home depends on it", topic, t->partition_cnt, partitions);
	if (k->config->topic_checks == TOPIC_CHECKS_STRICT && t->partition_cnt > 0 &&
	    t->partitions[0].replica_cnt < TOPIC_REPLICATION)
		log_warn("topics", "the loss of a broker could lose what the topic holds: it has few copies",
		    LOG_S("topic", topic), LOG_N("replicas", t->partitions[0].replica_cnt),
		    LOG_N("should", TOPIC_REPLICATION));
	return 0;
}

static int
check_shape(const struct asking *k, enum topic_role role, struct err *ret_err)
{
	const char *topic = name_of(k->config, role);
	rd_kafka_topic_t *handle = rd_kafka_topic_new(k->rk, topic, NULL);
	const struct rd_kafka_metadata *m;
	rd_kafka_resp_err_t e = rd_kafka_metadata(k->rk, 0, handle, &m, ASK_MS);
	int rc;

	rd_kafka_topic_destroy(handle);
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err_set(ret_err, ERR_RETRY, "cannot ask the broker about topic %s: %s", topic,
		    rd_kafka_err2str(e));
	rc = m->topic_cnt == 1 ? judge_shape(k, topic, role == TOPIC_DEADLETTERS ? 0 : k->config->partitions,
	    &m->topics[0], ret_err) : err_set(ret_err, ERR_FATAL, "topic %s: the broker does not know it " CURE,
	    topic);
	rd_kafka_metadata_destroy(m);
	return rc;
}

/* ---- policies ---------------------------------------------------------------------------------------------------- */

static const char *
value_of(const rd_kafka_ConfigResource_t *found, const char *setting)
{
	size_t n;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), setting) == 0)
			return rd_kafka_ConfigEntry_value(entries[i]);
	return NULL;
}

static int
judge_policies(const char *topic, enum topic_role role, const rd_kafka_ConfigResource_t *found, struct err *ret_err)
{
	size_t n;
	const struct topic_policy *rows = topic_policies(&n);

	for (size_t i = 0; i < n; i++) {
		const struct topic_policy *p = &rows[i];
		const char *value = p->role == role ? value_of(found, p->setting) : NULL;

		if (p->role != role || (value != NULL && topic_policy_fits(p, value)))
			continue;
		if (p->weight == TOPIC_MUST)
			return err_set(ret_err, ERR_FATAL, "topic %s: %s is %s, must be %s%s: %s " CURE, topic,
			    p->setting, value != NULL ? value : "unknown", p->fit == TOPIC_FIT_AT_LEAST ?
			    "at least " : "", p->value, p->why);
		log_warn("topics", p->why, LOG_S("topic", topic), LOG_S("setting", p->setting), LOG_S("value", value),
		    LOG_S("should", p->value));
	}
	return 0;
}

static int
check_policies(const struct asking *k, enum topic_role role, struct err *ret_err)
{
	const char *topic = name_of(k->config, role);
	rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(k->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	const rd_kafka_ConfigResource_t **found;
	rd_kafka_event_t *event;
	rd_kafka_resp_err_t e;
	size_t n = 0;
	int rc;

	(void)rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, NULL, 0);
	rd_kafka_DescribeConfigs(k->rk, &wanted, 1, options, k->answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(wanted);
	if ((event = rd_kafka_queue_poll(k->answers, ASK_MS + 1000)) == NULL)
		return cannot("its policies cannot be read", topic, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, ret_err);
	e = rd_kafka_event_error(event);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR) {
		found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
		e = n == 1 ? rd_kafka_ConfigResource_error(found[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
	}
	rc = e == RD_KAFKA_RESP_ERR_NO_ERROR ? judge_policies(topic, role, found[0], ret_err) :
	    cannot("its policies cannot be read (DescribeConfigs must be allowed, or topic_checks be partitions)",
	    topic, e, NULL, ret_err);
	rd_kafka_event_destroy(event);
	return rc;
}

/* ---- a trial ----------------------------------------------------------------------------------------------------- */

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	rd_kafka_resp_err_t *delivered = opaque;

	(void)rk;
	*delivered = m->err;
}

static int
failed(const char *topic, rd_kafka_error_t *error, struct err *ret_err)
{
	(void)cannot("it cannot be written to", topic, rd_kafka_error_code(error), rd_kafka_error_string(error),
	    ret_err);
	if (rd_kafka_error_is_retriable(error))
		ret_err->next = ERR_RETRY;
	rd_kafka_error_destroy(error);
	return -1;
}

static int
try_writing(rd_kafka_t *rk, const char *topic, rd_kafka_resp_err_t *delivered, struct err *ret_err)
{
	rd_kafka_error_t *error;
	rd_kafka_resp_err_t e;

	if ((error = rd_kafka_init_transactions(rk, ASK_MS)) != NULL ||
	    (error = rd_kafka_begin_transaction(rk)) != NULL)
		return failed(topic, error, ret_err);
	*delivered = RD_KAFKA_RESP_ERR__TIMED_OUT;
	e = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_VALUE((void *)(uintptr_t)"", 0), RD_KAFKA_V_END);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		(void)rd_kafka_flush(rk, ASK_MS);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		e = *delivered;
	if ((error = rd_kafka_abort_transaction(rk, ASK_MS)) != NULL)
		rd_kafka_error_destroy(error);          /* the broker aborts it by itself */
	return e == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : cannot("it cannot be written to", topic, e, NULL, ret_err);
}

static int
check_writable(const struct config *c, struct err *ret_err)
{
	rd_kafka_resp_err_t delivered = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const struct kafka_property own[] = { { "transactional.id", c->transactional_id },
	    { "retry.backoff.ms", "10" } };
	rd_kafka_conf_t *conf = kafka_client_conf(c, "topics", own, sizeof own / sizeof *own, ret_err);
	rd_kafka_t *rk;
	char why[256];
	int rc;

	if (conf == NULL)
		return -1;
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, &delivered);
	if ((rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why)) == NULL) {
		rd_kafka_conf_destroy(conf);
		return err_set(ret_err, ERR_FATAL, "cannot make a Kafka client (topics): %s", why);
	}
	rc = try_writing(rk, c->topic_deadletters, &delivered, ret_err);
	rd_kafka_destroy(rk);
	return rc;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int
check_all(const struct asking *k, struct err *ret_err)
{
	for (enum topic_role role = 0; role < TOPIC_ROLES; role++)
		if (check_shape(k, role, ret_err) != 0)
			return -1;
	if (k->config->topic_checks != TOPIC_CHECKS_STRICT)
		return 0;
	for (enum topic_role role = 0; role < TOPIC_ROLES; role++)
		if (check_policies(k, role, ret_err) != 0)
			return -1;
	return check_writable(k->config, ret_err);
}

int
topics_check(const struct config *c, struct err *ret_err)
{
	struct asking k = { .config = c, .rk = kafka_client_consumer(c, "topics", NULL, 0, ret_err) };
	int rc;

	if (k.rk == NULL)
		return -1;
	k.answers = rd_kafka_queue_new(k.rk);
	rc = check_all(&k, ret_err);
	rd_kafka_queue_destroy(k.answers);
	rd_kafka_destroy(k.rk);
	return rc;
}
