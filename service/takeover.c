/* SPDX-License-Identifier: Apache-2.0 */
/* Faster than the broker's clock.
 *
 * Who takes a partition over must not read its committed offset while a transaction is pending on it, and the
 * coordinator ends a dead producer's transaction only when its timeout has passed and it looks: 10 to 20 s. But
 * whoever initialises a producer of the same transactional.id ends it at once, and fences the old one for good. So
 * the id must be known, and its owner must be dead, for to fence the living is to kill them.
 *
 * Known: offsets are committed with their committer's id in the metadata, and an offset that is not held to be stable
 * shows the last committed one. So that this names the owner of the pending transaction, and not whom it had the
 * partition from, the first transaction of an assignment is preceded by a small one, a claim: the same offset and
 * metadata again, in the new owner's name. Who dies during that one is waited for as of old. So is who dies in the
 * first transaction of a partition that has no committed offset yet.
 *
 * Dead: no member of the group carries the id as its client.id any more. After a clean hand-over the metadata names a
 * living member: it is never fenced. A member that was stopped for longer than its session is none, and finds
 * itself fenced when it wakes, as it would have by the transaction's timeout.
 *
 * After an outage of the broker all have lost their membership, and who is back first finds itself alone. So who has
 * been a member for less than a session ends nobody's transaction: the living are back by then.
 *
 * This process may itself be the one that slept. So pending and dead are asked once more when everything is made
 * ready. What remains are the milliseconds between that and the broker's answer, in which an instance of the same
 * name might start: it would end with a fatal error and be started again, its promise unbroken. */
#include "service/takeover.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/kafka_client.h"

#define ASK_MS 3000
#define FENCE_MS 5000
#define NAMESAKES_EVERY_MS 5000 /* once for the partitions of an assignment */
#define FENCE_STEP_MS 100       /* librdkafka itself asks again after half a second, which is long here */

struct takeover {
	const struct config *config;
	rd_kafka_t *group;              /* of the group, and no member: unstable offsets, and who is one */
	rd_kafka_queue_t *answers;
	uint64_t look_from_ms;          /* boot clock: not for namesakes before this */
	bool refused;                   /* a right is missing: said once, not tried again */
	struct series *fenced;
};

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

const char *
takeover_owner(const char *metadata, const char *service_id)
{
	const char *last = metadata != NULL ? strrchr(metadata, ' ') : NULL;
	size_t bytes = strlen(service_id);

	/* Another application's producer is none of our business, whoever wrote its name there. */
	if (last == NULL || strncmp(metadata, "tokend/1 ", 9) != 0 || strncmp(last + 1, service_id, bytes) != 0 ||
	    last[1 + bytes] != '/')
		return NULL;
	return last + 1;
}

bool
takeover_claim(const char *metadata, const char *service_id, const char *transactional_id,
    char ret_text[OFFSET_METADATA_ROOM])
{
	const char *owner = takeover_owner(metadata, service_id);
	int n;

	if (owner == NULL || strcmp(owner, transactional_id) == 0)
		return false;
	n = snprintf(ret_text, OFFSET_METADATA_ROOM, "%.*s%s", (int)(owner - metadata), metadata, transactional_id);
	return n > 0 && n < OFFSET_METADATA_ROOM;
}

/* ---- what the coordinator knows ---------------------------------------------------------------------------------- */

/* A right that is missing will be missing at the next partition, too. */
static void
complain(struct takeover *o, const char *what, const char *right, rd_kafka_resp_err_t code, const char *error)
{
	o->refused = code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
	    code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	log_warn("journal", what, LOG_S("error", error), LOG_S("missing", o->refused ? right : NULL));
}

static bool
last_owner(struct takeover *o, int32_t partition, char ret_owner[OFFSET_METADATA_ROOM])
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(list, o->config->topic_requests, partition);
	rd_kafka_resp_err_t e = rd_kafka_committed(o->group, list, ASK_MS);
	char metadata[OFFSET_METADATA_ROOM];
	const char *owner = NULL;

	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		e = p->err;
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR && p->metadata_size > 0) {
		snprintf(metadata, sizeof metadata, "%.*s", (int)p->metadata_size, (const char *)p->metadata);
		owner = takeover_owner(metadata, o->config->service_id);
	}
	if (owner != NULL)
		memcpy(ret_owner, owner, strlen(owner) + 1);
	rd_kafka_topic_partition_list_destroy(list);
	return owner != NULL;
}

static int
members_named(const rd_kafka_ConsumerGroupDescription_t *group, const char *client_id)
{
	int n = 0;

	for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(group); i++)
		n += strcmp(rd_kafka_MemberDescription_client_id(
		    rd_kafka_ConsumerGroupDescription_member(group, i)), client_id) == 0;
	return n;
}

/* How many members of the group have that name; -1: it cannot be seen, and *ret_code and why say why. */
static int
look_for(struct takeover *o, const char *client_id, rd_kafka_resp_err_t *ret_code, char why[ERR_TEXT_BYTES])
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(o->group,
	    RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
	const char *asked[] = { o->config->group_id };
	const rd_kafka_ConsumerGroupDescription_t **groups = NULL;
	const rd_kafka_error_t *e = NULL;
	rd_kafka_event_t *event;
	int found = -1;
	size_t n = 0;

	*ret_code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	snprintf(why, ERR_TEXT_BYTES, "%s", rd_kafka_err2str(*ret_code));
	rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, NULL, 0);
	rd_kafka_DescribeConsumerGroups(o->group, asked, 1, options, o->answers);
	rd_kafka_AdminOptions_destroy(options);
	if ((event = rd_kafka_queue_poll(o->answers, 2 * ASK_MS)) == NULL)
		return -1;
	if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
		groups = rd_kafka_DescribeConsumerGroups_result_groups(
		    rd_kafka_event_DescribeConsumerGroups_result(event), &n);
	if (n == 1 && (e = rd_kafka_ConsumerGroupDescription_error(groups[0])) == NULL)
		found = members_named(groups[0], client_id);
	else {
		*ret_code = e != NULL ? rd_kafka_error_code(e) : rd_kafka_event_error(event);
		snprintf(why, ERR_TEXT_BYTES, "%s",
		    e != NULL ? rd_kafka_error_string(e) : rd_kafka_event_error_string(event));
	}
	rd_kafka_event_destroy(event);
	return found;
}

/* True: the group was seen, and nobody of that name was in it. */
static bool
has_left(struct takeover *o, const char *owner)
{
	rd_kafka_resp_err_t code;
	char why[ERR_TEXT_BYTES];
	int members = look_for(o, owner, &code, why);

	if (members < 0)
		complain(o, "cannot see who is in the group: a dead owner's transaction is waited for",
		    "Describe on the group", code, why);
	return members == 0;
}

/* A member that died is none any more when the others have got their assignments: whoever has our name lives. */
void
takeover_look_for_namesakes(struct takeover *o)
{
	uint64_t now_ms = clock_boot_ms();
	rd_kafka_resp_err_t code;
	char why[ERR_TEXT_BYTES];

	/* A broker that cannot describe a topic cannot describe a group: librdkafka 2.0, having asked, does not end. */
	if (o->config->topic_checks != TOPIC_CHECKS_STRICT || now_ms < o->look_from_ms)
		return;
	o->look_from_ms = now_ms + NAMESAKES_EVERY_MS;
	if (look_for(o, o->config->transactional_id, &code, why) > 1)
		log_warn("journal", "another process runs as this instance: each will end the other. "
		    "Give every process an `instance` of its own", LOG_S("instance", o->config->instance));
}

/* ---- the fence --------------------------------------------------------------------------------------------------- */

static rd_kafka_t *
producer_of(struct takeover *o, const char *owner)
{
	const struct kafka_property own[] = { { "transactional.id", owner }, { "retry.backoff.ms", "10" } };
	struct err e;
	rd_kafka_conf_t *conf = kafka_client_conf(o->config, "restore-fence", own, 2, &e);
	rd_kafka_t *rk = NULL;

	if (conf == NULL)
		log_warn("journal", "cannot make a producer", LOG_S("error", e.text));
	else if ((rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, e.text, sizeof e.text)) == NULL) {
		rd_kafka_conf_destroy(conf);
		log_warn("journal", "cannot make a producer", LOG_S("error", e.text));
	}
	return rk;
}

/* The broker's first answer may be that the transaction is being ended: whether it is, the offset tells. */
static rd_kafka_error_t *
initialise(rd_kafka_t *producer, int32_t partition, uint64_t until_boot_ms,
    bool (*still_pending)(void *arg, int32_t partition), void *arg)
{
	rd_kafka_error_t *e;

	while ((e = rd_kafka_init_transactions(producer, FENCE_STEP_MS)) != NULL &&
	    rd_kafka_error_is_retriable(e) && clock_boot_ms() < until_boot_ms) {
		rd_kafka_error_destroy(e);
		if (!still_pending(arg, partition))
			return NULL;
	}
	return e;
}

static void
fence(struct takeover *o, rd_kafka_t *producer, int32_t partition, const char *owner,
    bool (*still_pending)(void *arg, int32_t partition), void *arg)
{
	uint64_t began_ms = clock_boot_ms();
	rd_kafka_error_t *e = initialise(producer, partition, began_ms + FENCE_MS, still_pending, arg);

	if (e == NULL) {
		metrics_add(o->fenced, 1);
		log_info("journal", "fenced", LOG_N("partition", partition), LOG_S("transactional_id", owner),
		    LOG_N("ms", clock_boot_ms() - began_ms));
		return;
	}
	complain(o, "cannot end a dead owner's transaction: it is waited for",
	    "Write on every instance's transactional ID", rd_kafka_error_code(e), rd_kafka_error_string(e));
	rd_kafka_error_destroy(e);
}

void
takeover_try(struct takeover *o, int32_t partition, const atomic_bool *unwanted,
    bool (*still_pending)(void *arg, int32_t partition), void *arg)
{
	char owner[OFFSET_METADATA_ROOM];
	rd_kafka_t *producer;

	if (o->refused || !last_owner(o, partition, owner) || strcmp(owner, o->config->transactional_id) == 0 ||
	    !has_left(o, owner))
		return;
	CHAOS_POINT("takeover");
	if ((producer = producer_of(o, owner)) == NULL)
		return;
	if (!atomic_load(unwanted) && still_pending(arg, partition) && has_left(o, owner))
		fence(o, producer, partition, owner, still_pending, arg);
	rd_kafka_destroy(producer);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct takeover *
takeover_new(const struct config *c, struct err *ret_err)
{
	const struct kafka_property own[] = { { "group.id", c->group_id }, { "enable.auto.commit", "false" },
	    { "isolation.level", "read_uncommitted" } };
	struct takeover *o = calloc(1, sizeof *o);

	if (o == NULL)
		abort();
	o->config = c;
	o->fenced = metrics_at(METRIC_FENCED, NULL, NULL);
	if ((o->group = kafka_client_consumer(c, "restore-owner", own, 3, ret_err)) == NULL) {
		free(o);
		return NULL;
	}
	o->answers = rd_kafka_queue_new(o->group);
	return o;
}

void
takeover_free(struct takeover *o)
{
	if (o == NULL)
		return;
	rd_kafka_queue_destroy(o->answers);
	rd_kafka_destroy(o->group);
	free(o);
}
