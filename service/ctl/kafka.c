/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Send one record and read its replies, or one of the two alone.
 *
 * The reply comes to the partition of the same number, so one partition is all there is to read:
 * its end is noted before the record is sent, and reading begins there. No group is joined: nothing
 * need be committed, nobody need be allowed to, and there is no rebalance to wait for. Hence
 * librdkafka's simple consumer.
 *
 * Whatever lies in that partition is handed to the judge, who knows what to believe. This file
 * believes nothing and decides only when to stop. It does not store the request: its caller has
 * done that before.
 */
#include "service/ctl/kafka.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "service/base/clock.h"
#include "service/base/err.h"
#include "service/base/murmur2.h"
#include "service/ctl/kafka_conf.h"
#include "service/ctl/profile.h"
#include "service/ctl/request.h"

#define TURN_MS 200                     /* how long one look at the partition waits */
#define HEADERS_MOST 64                 /* the service writes at most 20 */

enum delivery { DELIVERY_OPEN, DELIVERY_DONE, DELIVERY_FAILED };

struct line {
	const struct kafka_exchange *x;
	struct kafka_complaint complaint;
	rd_kafka_t *consumer, *producer;
	rd_kafka_topic_t *replies;      /* being read when not NULL */
	int32_t home;
	enum delivery delivery;
	rd_kafka_resp_err_t delivery_error;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static int
left_ms(const struct line *l)
{
	uint64_t now = clock_boot_ms(), left = now < l->x->until_boot_ms ? l->x->until_boot_ms - now : 0;

	return left < INT_MAX ? (int)left : INT_MAX;
}

/* What librdkafka said last, in front of an error that by itself only says "timed out". */
static int
fail(const struct line *l, enum err_next next, const char *what, const char *why, struct err *ret_err)
{
	return err_set(ret_err, next, "%s: %s%s%s", what, why,
	    l->complaint.text[0] != '\0' ? "; Kafka's last complaint: " : "", l->complaint.text);
}

static int
open_consumer(struct line *l, struct err *ret_err)
{
	rd_kafka_conf_t *conf = kafka_conf_of_profile(l->x->profile, &l->complaint, ret_err);

	if (conf == NULL)
		return -1;
	kafka_conf_own(conf, "isolation.level", "read_committed");
	kafka_conf_own(conf, "enable.auto.commit", "false");
	kafka_conf_own(conf, "auto.offset.reset", "earliest");
	kafka_conf_own(conf, "enable.partition.eof", l->x->since_wall_ms != 0 ? "true" : "false");
	l->consumer = kafka_conf_open(RD_KAFKA_CONSUMER, conf, ret_err);
	return l->consumer != NULL ? 0 : -1;
}

/* It must be exactly as many: with another number the home is another partition, and the request
 * would only come back refused. */
static int
check_partitions(struct line *l, const char *topic, struct err *ret_err)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(l->consumer, topic, NULL);
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t e = rd_kafka_metadata(l->consumer, 0, rkt, &md, left_ms(l));
	int result = 0, found;

	rd_kafka_topic_destroy(rkt);
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR) {
		(void)rd_kafka_poll(l->consumer, 0);            /* may bring the reason */
		return fail(l, ERR_RETRY, "the brokers that kafka in the profile names do not answer",
		    rd_kafka_err2str(e), ret_err);
	}
	e = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	found = md->topic_cnt == 1 ? md->topics[0].partition_cnt : 0;
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		result = err_set(ret_err, ERR_REFUSE, "the topic %s: %s; tokenctl topics create makes it, where the "
		    "service's tokend.yaml is", topic, rd_kafka_err2str(e));
	else if (found != l->x->profile->partitions)
		result = err_set(ret_err, ERR_REFUSE, "the topic %s has %d partitions, the profile says %d; "
		    "the profile's partitions must be the topic's", topic, found, (int)l->x->profile->partitions);
	rd_kafka_metadata_destroy(md);
	return result;
}

/* Where the first record since then stands. The sandbox's Kafka does not know, and a broker has none when all are
 * older: then from the beginning, which is slower and just as good. */
static int
find_since(struct line *l, int64_t *ret_offset, struct err *ret_err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t e;

	rd_kafka_topic_partition_list_add(list, l->x->profile->topics.replies, l->home)->offset = l->x->since_wall_ms;
	e = rd_kafka_offsets_for_times(l->consumer, list, left_ms(l));
	*ret_offset = list->elems[0].offset >= 0 ? list->elems[0].offset : RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_topic_partition_list_destroy(list);
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fail(l, ERR_RETRY, "cannot find the place in the reply topic", rd_kafka_err2str(e), ret_err);
	return 0;
}

/* The end as it is now: whatever answers what is sent from here on comes behind it. */
static int
find_end(struct line *l, int64_t *ret_offset, struct err *ret_err)
{
	int64_t first;
	rd_kafka_resp_err_t e = rd_kafka_query_watermark_offsets(l->consumer, l->x->profile->topics.replies, l->home,
	    &first, ret_offset, left_ms(l));

	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fail(l, ERR_RETRY, "cannot find the end of the reply topic", rd_kafka_err2str(e), ret_err);
	return 0;
}

static int
start_reading(struct line *l, struct err *ret_err)
{
	int64_t from = 0;
	rd_kafka_resp_err_t e;
	int found = l->x->since_wall_ms != 0 ? find_since(l, &from, ret_err) : find_end(l, &from, ret_err);

	if (found != 0)
		return -1;
	l->replies = rd_kafka_topic_new(l->consumer, l->x->profile->topics.replies, NULL);
	if (rd_kafka_consume_start(l->replies, l->home, from) == 0)
		return 0;
	e = rd_kafka_last_error();
	rd_kafka_topic_destroy(l->replies);
	l->replies = NULL;
	return fail(l, ERR_REFUSE, "cannot read the reply topic", rd_kafka_err2str(e), ret_err);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct line *l = m->_private;

	(void)rk;
	(void)opaque;
	l->delivery_error = m->err;
	/* What a broker may have kept may be answered: only what it certainly has not is a failure. */
	l->delivery = rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? DELIVERY_FAILED : DELIVERY_DONE;
}

static int
open_producer(struct line *l, struct err *ret_err)
{
	rd_kafka_conf_t *conf = kafka_conf_of_profile(l->x->profile, &l->complaint, ret_err);
	char timeout[16];

	if (conf == NULL)
		return -1;
	(void)snprintf(timeout, sizeof(timeout), "%d", left_ms(l) > 0 ? left_ms(l) : 1);
	kafka_conf_own(conf, "acks", "all");
	kafka_conf_own(conf, "enable.idempotence", "true");
	kafka_conf_own(conf, "message.timeout.ms", timeout);
	kafka_conf_own(conf, "linger.ms", "0");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	l->producer = kafka_conf_open(RD_KAFKA_PRODUCER, conf, ret_err);
	return l->producer != NULL ? 0 : -1;
}

static int
send_record(struct line *l, struct err *ret_err)
{
	const struct signed_request *r = l->x->request;
	const struct span key = span_str(r->message->request_id);
	rd_kafka_resp_err_t e = rd_kafka_producev(l->producer,
	    RD_KAFKA_V_TOPIC(l->x->profile->topics.requests), RD_KAFKA_V_PARTITION(l->home),
	    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(l),
	    RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.bytes),
	    RD_KAFKA_V_VALUE((void *)(uintptr_t)r->body.data, r->body.bytes),
	    RD_KAFKA_V_HEADER("tokend-method", r->method, -1),
	    RD_KAFKA_V_HEADER("tokend-key-id", r->key_id, -1),
	    RD_KAFKA_V_HEADER("tokend-signature", r->signature, -1),
	    RD_KAFKA_V_HEADER("traceparent", r->traceparent, -1),
	    RD_KAFKA_V_END);

	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fail(l, ERR_REFUSE, "cannot send the request", rd_kafka_err2str(e), ret_err);
	return 0;
}

static size_t
read_headers(const rd_kafka_message_t *m, struct header headers[HEADERS_MOST])
{
	rd_kafka_headers_t *all;
	size_t n = 0, bytes;
	const char *name;
	const void *value;

	if (rd_kafka_message_headers(m, &all) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	while (n < HEADERS_MOST &&
	    rd_kafka_header_get_all(all, n, &name, &value, &bytes) == RD_KAFKA_RESP_ERR_NO_ERROR) {
		headers[n].name = span_str(name);
		headers[n++].value = span_of(value, bytes);
	}
	return n;
}

static bool
judge(struct line *l, const rd_kafka_message_t *m)
{
	struct header headers[HEADERS_MOST];
	const struct record record = {
		.partition = m->partition, .offset = m->offset,
		.key = span_of(m->key, m->key_len), .value = span_of(m->payload, m->len),
		.headers = headers, .n_headers = read_headers(m, headers),
	};

	return l->x->judge(l->x->context, &record);
}

static bool
look(struct line *l, int wait_ms)
{
	rd_kafka_message_t *m = rd_kafka_consume(l->replies, l->home, wait_ms);
	bool settled = false;

	if (m == NULL)
		return false;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		settled = judge(l, m);
	else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		settled = l->x->at_end(l->x->context);
	else
		(void)snprintf(l->complaint.text, sizeof(l->complaint.text), "%s", rd_kafka_message_errstr(m));
	rd_kafka_message_destroy(m);
	return settled;
}

/* One look at the partition, and at what librdkafka has to tell. */
static bool
turn(struct line *l)
{
	int wait_ms = left_ms(l) < TURN_MS ? left_ms(l) : TURN_MS;
	bool settled;

	if (l->producer != NULL)
		(void)rd_kafka_poll(l->producer, l->x->wait ? 0 : wait_ms);
	(void)rd_kafka_poll(l->consumer, 0);
	settled = l->x->wait ? look(l, wait_ms) :
	    l->delivery == DELIVERY_DONE && l->delivery_error == RD_KAFKA_RESP_ERR_NO_ERROR;
	l->x->progress(l->x->context);
	return settled;
}

static const char *
why_not(const struct line *l)
{
	if (interrupted)
		return "interrupted";
	return !l->x->send || l->delivery == DELIVERY_DONE ? "the time is over" :
	    "the brokers did not acknowledge the request in time";
}

static enum kafka_result
wait_until_settled(struct line *l, struct err *ret_err)
{
	while (left_ms(l) > 0 && !interrupted) {
		if (turn(l))
			return KAFKA_SETTLED;
		if (l->delivery == DELIVERY_FAILED && l->delivery_error != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
			(void)fail(l, ERR_REFUSE, "the brokers did not take the request",
			    rd_kafka_err2str(l->delivery_error), ret_err);
			return KAFKA_NOT_SENT;
		}
	}
	(void)fail(l, ERR_RETRY, l->x->wait ? "no valid reply" : "not sent for certain", why_not(l), ret_err);
	return l->delivery == DELIVERY_FAILED ? KAFKA_NOT_SENT : KAFKA_NO_REPLY;
}

static void
hang_up(struct line *l)
{
	if (l->replies != NULL) {
		(void)rd_kafka_consume_stop(l->replies, l->home);
		rd_kafka_topic_destroy(l->replies);
	}
	if (l->producer != NULL)
		rd_kafka_destroy(l->producer);
	if (l->consumer != NULL)
		rd_kafka_destroy(l->consumer);
}

/* Whoever may only read need not be able to see the request topic, nor the other way round. */
static int
connect_line(struct line *l, struct err *ret_err)
{
	const struct kafka_exchange *x = l->x;

	if (open_consumer(l, ret_err) != 0)
		return -1;
	if (x->send && check_partitions(l, x->profile->topics.requests, ret_err) != 0)
		return -1;
	if (x->wait && check_partitions(l, x->profile->topics.replies, ret_err) != 0)
		return -1;
	if (x->wait && start_reading(l, ret_err) != 0)
		return -1;
	return x->send ? open_producer(l, ret_err) : 0;
}

enum kafka_result
kafka_exchange(const struct kafka_exchange *x, struct err *ret_err)
{
	struct line l = { .x = x, .complaint = { .debug = x->debug },
		.home = murmur2_partition(span_str(x->request->message->request_id), x->profile->partitions) };
	const struct sigaction notice = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction before_int, before_term;
	enum kafka_result result = KAFKA_NOT_SENT;

	if (connect_line(&l, ret_err) == 0) {
		(void)sigaction(SIGINT, &notice, &before_int);
		(void)sigaction(SIGTERM, &notice, &before_term);
		if (!x->send || send_record(&l, ret_err) == 0)
			result = wait_until_settled(&l, ret_err);
		(void)sigaction(SIGINT, &before_int, NULL);
		(void)sigaction(SIGTERM, &before_term, NULL);
	}
	hang_up(&l);
	return result;
}
