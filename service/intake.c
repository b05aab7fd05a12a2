/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer of the request topic.
 *
 * Back-pressure without pausing: each assigned partition gets a queue of its own, cut off from the
 * consumer's, and a partition that may not go on is simply left unread, while the consumer's own queue is
 * polled all the time so that the group does not throw us out. (Pausing loses records in librdkafka 2.0 and
 * costs a second at each resume in later ones.)
 *
 * What an unread queue may hold is bounded twice. queued.max.messages.kbytes counts values and not headers, of
 * which a record may have a megabyte; so few records are enough, too: queued.min.messages. The price is that
 * librdkafka, having seen enough in a queue, does not look again for up to a second. Whoever has emptied such a
 * queue therefore nudges it.
 *
 * Assignments are eager: a generation covers all that an instance holds. A revocation is not answered in the
 * callback: the loop ends what is under way first, and gives up then; commits of the old generation are
 * accepted meanwhile. */
#include "service/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log_limit.h"
#include "service/generation.h"
#include "service/kafka_client.h"

#define BATCH 64
#define UNREAD_ENOUGH 32                         /* records of one partition: more are not fetched */
#define SEEK_MS 1000
#define UNREAD_BYTES_MOST (32 * 1024 * 1024)     /* of all partitions together, beside one fetch each */

struct source {
	rd_kafka_queue_t *queue;        /* NULL: not assigned */
	rd_kafka_message_t *batch[BATCH];
	size_t at, count;
	int64_t next;                   /* offset above the last one read */
	unsigned since_nudge;           /* records read since then */
};

struct intake {
	const struct config *config;
	rd_kafka_t *consumer;
	rd_kafka_queue_t *main_queue;
	int fd;
	struct source *sources;         /* by partition */
	int32_t *assigned;
	size_t n_assigned;
	bool giving_up;                 /* a revocation waits for intake_give_up */
	bool anew;                      /* subscribe again once everything is given up */
	bool closing;                   /* nothing is under way any more: a revocation need not wait */
	bool has_event;
	struct intake_event event;
	struct log_limit errors, partition_errors;
};

static const uint64_t wake_payload = 1;

static rd_kafka_resp_err_t
subscribe(struct intake *in)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t e;

	rd_kafka_topic_partition_list_add(topics, in->config->topic_requests, RD_KAFKA_PARTITION_UA);
	e = rd_kafka_subscribe(in->consumer, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	return e;
}

/* ---- assignments ------------------------------------------------------------------------------------------------- */

static void
open_source(struct intake *in, int32_t partition)
{
	struct source *s = &in->sources[partition];

	s->queue = rd_kafka_queue_get_partition(in->consumer, in->config->topic_requests, partition);
	if (s->queue == NULL)
		abort();
	rd_kafka_queue_forward(s->queue, NULL);
	rd_kafka_queue_io_event_enable(s->queue, in->fd, &wake_payload, sizeof wake_payload);
}

static void
close_sources(struct intake *in)
{
	for (int32_t p = 0; p < in->config->partitions; p++) {
		struct source *s = &in->sources[p];

		if (s->queue == NULL)
			continue;
		while (s->at < s->count)
			rd_kafka_message_destroy(s->batch[s->at++]);
		rd_kafka_queue_io_event_enable(s->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(s->queue);
		*s = (struct source){ 0 };
	}
	in->n_assigned = 0;
}

static void
on_assign(struct intake *in, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t e;

	in->has_event = true;
	in->event = (struct intake_event){ .kind = INTAKE_ASSIGNED, .partitions = in->assigned };
	for (int i = 0; i < list->cnt; i++) {
		if (list->elems[i].partition >= in->config->partitions) {
			in->event.kind = INTAKE_FATAL;
			err_set(&in->event.err, ERR_FATAL,
			    "topic %s has grown beyond topics.partitions: %" PRId32
			    "; a request ID's home depends on it", in->config->topic_requests,
			    in->config->partitions);
			return;
		}
		in->assigned[in->n_assigned++] = list->elems[i].partition;
		open_source(in, list->elems[i].partition);
	}
	in->event.n_partitions = in->n_assigned;
	in->event.generation = generation_capture(in->consumer);
	if ((e = rd_kafka_assign(in->consumer, list)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		in->event.kind = INTAKE_FATAL;
		err_set(&in->event.err, ERR_FATAL, "cannot take an assignment: %s", rd_kafka_err2str(e));
	}
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct intake *in = opaque;

	if (e == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		on_assign(in, list);
		return;
	}
	if (in->has_event)              /* an assignment that the loop has not seen, and need not any more */
		generation_release(in->event.generation);
	in->has_event = true;
	in->event = (struct intake_event){ .kind = rd_kafka_assignment_lost(rk) ? INTAKE_LOST : INTAKE_REVOKED };
	in->giving_up = true;
	if (in->event.kind == INTAKE_LOST || in->closing)
		intake_give_up(in);
}

void
intake_give_up(struct intake *in)
{
	if (!in->giving_up)
		return;
	in->giving_up = false;
	close_sources(in);
	rd_kafka_assign(in->consumer, NULL);
	if (in->anew && !in->closing)
		subscribe(in);
	in->anew = false;
}

void
intake_begin_anew(struct intake *in)
{
	if (in->giving_up) {            /* asked back already: what follows is a new assignment anyway */
		intake_give_up(in);
		return;
	}
	in->anew = true;
	rd_kafka_unsubscribe(in->consumer);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static rd_kafka_t *
join(struct intake *in, const struct config *c, struct err *ret_err)
{
	char session[24], heartbeat[24], most_poll[24], queued[24], enough[24], why[256];
	uint64_t queued_kb = UNREAD_BYTES_MOST / 1024 / (uint64_t)c->partitions;
	const struct kafka_property own[] = {
		{ "group.id", c->group_id },
		/* so that whoever takes over can tell whether we are still here */
		{ "client.id", c->transactional_id },
		/* after an outage of the broker all are back at about the same time (takeover.c) */
		{ "reconnect.backoff.max.ms", "1000" },
		{ "session.timeout.ms", session }, { "heartbeat.interval.ms", heartbeat },
		{ "max.poll.interval.ms", most_poll },
		{ "partition.assignment.strategy", "range" },
		{ "enable.auto.commit", "false" }, { "enable.auto.offset.store", "false" },
		{ "auto.offset.reset", "earliest" }, { "isolation.level", "read_committed" },
		{ "queued.max.messages.kbytes", queued }, { "queued.min.messages", enough },
		{ "fetch.message.max.bytes", "262144" },
	};
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;

	snprintf(session, sizeof session, "%" PRIu64, duration_ms(DURATION_SESSION));
	snprintf(heartbeat, sizeof heartbeat, "%" PRIu64, duration_ms(DURATION_HEARTBEAT));
	snprintf(most_poll, sizeof most_poll, "%" PRIu64, duration_ms(DURATION_MAX_POLL));
	snprintf(queued, sizeof queued, "%" PRIu64, queued_kb > 256 ? queued_kb : 256);
	snprintf(enough, sizeof enough, "%d", UNREAD_ENOUGH);
	if ((conf = kafka_client_conf(c, "intake", own, sizeof own / sizeof own[0], ret_err)) == NULL)
		return NULL;
	/* Later versions wait by this clock and cannot be nudged; to 2.0 it is unknown. */
	(void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", why, sizeof why);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	rd_kafka_conf_set_opaque(conf, in);
	if ((rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why)) == NULL) {
		err_set(ret_err, ERR_FATAL, "cannot make the consumer: %s", why);
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_poll_set_consumer(rk);
	return rk;
}

struct intake *
intake_new(const struct config *c, struct err *ret_err)
{
	struct intake *in = calloc(1, sizeof *in);
	rd_kafka_resp_err_t e;

	if (in == NULL || (in->sources = calloc((size_t)c->partitions, sizeof *in->sources)) == NULL ||
	    (in->assigned = calloc((size_t)c->partitions, sizeof *in->assigned)) == NULL)
		abort();
	in->config = c;
	if ((in->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) {
		err_set(ret_err, ERR_FATAL, "no eventfd: %s", strerror(errno));
		goto fail;
	}
	if ((in->consumer = join(in, c, ret_err)) == NULL)
		goto fail_fd;
	in->main_queue = rd_kafka_queue_get_consumer(in->consumer);
	rd_kafka_queue_io_event_enable(in->main_queue, in->fd, &wake_payload, sizeof wake_payload);
	if ((e = subscribe(in)) == RD_KAFKA_RESP_ERR_NO_ERROR)
		return in;
	err_set(ret_err, ERR_FATAL, "cannot subscribe to %s: %s", c->topic_requests, rd_kafka_err2str(e));
	intake_free(in);
	return NULL;
fail_fd:
	close(in->fd);
fail:
	free(in->sources);
	free(in->assigned);
	free(in);
	return NULL;
}

void
intake_free(struct intake *in)
{
	if (in == NULL)
		return;
	in->closing = true;
	intake_give_up(in);
	rd_kafka_queue_io_event_enable(in->main_queue, -1, NULL, 0);
	rd_kafka_queue_destroy(in->main_queue);
	close_sources(in);
	rd_kafka_consumer_close(in->consumer);
	if (in->has_event)
		generation_release(in->event.generation);
	rd_kafka_destroy(in->consumer);
	close(in->fd);
	free(in->sources);
	free(in->assigned);
	free(in);
}

int
intake_fd(const struct intake *in)
{
	return in->fd;
}

bool
intake_woken(struct intake *in)
{
	uint64_t count;

	return read(in->fd, &count, sizeof count) == sizeof count;
}

static void
report(struct log_limit *limit, const char *what, const rd_kafka_message_t *m)
{
	int64_t left_out;

	if (log_limit_passes(limit, "intake", clock_boot_ms(), &left_out))
		log_warn("intake", what, LOG_N("partition", m->partition), LOG_S("error", rd_kafka_message_errstr(m)),
		    LOG_LEFT_OUT(left_out));
}

bool
intake_poll(struct intake *in, struct intake_event *ret)
{
	rd_kafka_message_t *m;

	while (!in->has_event && (m = rd_kafka_consumer_poll(in->consumer, 0)) != NULL) {
		if (m->err == RD_KAFKA_RESP_ERR__FATAL) {
			in->event = (struct intake_event){ .kind = INTAKE_FATAL };
			in->has_event = true;
			err_set(&in->event.err, ERR_FATAL, "the consumer is broken: %s", rd_kafka_message_errstr(m));
		} else if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			report(&in->errors, "the consumer reports an error", m);
		else {                          /* to drop it would let the watermark pass it */
			in->event = (struct intake_event){ .kind = INTAKE_FATAL };
			in->has_event = true;
			err_set(&in->event.err, ERR_FATAL,
			    "record %" PRId32 "@%" PRId64 " came past its partition's queue", m->partition,
			    m->offset);
		}
		rd_kafka_message_destroy(m);
	}
	if (!in->has_event && in->giving_up && rd_kafka_assignment_lost(in->consumer)) {
		in->event = (struct intake_event){ .kind = INTAKE_LOST };
		in->has_event = true;
		intake_give_up(in);
	}
	if (!in->has_event)
		return false;
	*ret = in->event;
	in->has_event = false;
	return true;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void
copy_headers(const rd_kafka_message_t *m, struct arena *a, struct record *ret)
{
	rd_kafka_headers_t *from;
	struct header *to;
	size_t n;

	if (rd_kafka_message_headers(m, &from) != RD_KAFKA_RESP_ERR_NO_ERROR || (n = rd_kafka_header_cnt(from)) == 0)
		return;
	to = arena_alloc(a, n * sizeof *to);
	for (size_t i = 0; i < n; i++) {
		const char *name;
		const void *value;
		size_t bytes;

		if (rd_kafka_header_get_all(from, i, &name, &value, &bytes) != RD_KAFKA_RESP_ERR_NO_ERROR)
			break;
		to[i].name = arena_copy(a, span_str(name));
		to[i].value = value != NULL ? arena_copy(a, span_of(value, bytes)) : span_of(NULL, 0);
		ret->n_headers = i + 1;
	}
	ret->headers = to;
}

/* Copied, because a message pins the whole fetch it came in. */
static void
copy_record(const rd_kafka_message_t *m, struct arena *a, struct record *ret)
{
	rd_kafka_timestamp_type_t type;

	*ret = (struct record){ .partition = m->partition, .offset = m->offset };
	ret->timestamp_ms = rd_kafka_message_timestamp(m, &type);
	if (m->key != NULL)
		ret->key = arena_copy(a, span_of(m->key, m->key_len));
	if (m->payload != NULL)
		ret->value = arena_copy(a, span_of(m->payload, m->len));
	copy_headers(m, a, ret);
}

/* Anything that the partition's broker is asked has librdkafka look at its queues again. The answer is not waited
 * for: this returns at once, with a timeout. */
static void
nudge(struct intake *in, int32_t partition)
{
	rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(one, in->config->topic_requests, partition)->offset = 0;
	(void)rd_kafka_offsets_for_times(in->consumer, one, 0);
	rd_kafka_topic_partition_list_destroy(one);
}

/* A queue that held enough is one of which so many were read when it is empty. */
static rd_kafka_message_t *
next_message(struct intake *in, int32_t partition)
{
	struct source *s = &in->sources[partition];

	if (s->at == s->count) {
		ssize_t n = rd_kafka_consume_batch_queue(s->queue, 0, s->batch, BATCH);

		s->at = 0;
		s->count = n > 0 ? (size_t)n : 0;
		s->since_nudge += (unsigned)s->count;
		if (s->count < BATCH && s->since_nudge >= UNREAD_ENOUGH) {
			s->since_nudge = 0;
			nudge(in, partition);
		}
	}
	return s->at < s->count ? s->batch[s->at++] : NULL;
}

int
intake_seek(struct intake *in, int32_t partition, int64_t offset, struct err *ret_err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	struct source *s = &in->sources[partition];
	rd_kafka_error_t *error;
	int rc = 0;

	while (s->at < s->count)
		rd_kafka_message_destroy(s->batch[s->at++]);
	rd_kafka_topic_partition_list_add(list, in->config->topic_requests, partition)->offset = offset;
	if ((error = rd_kafka_seek_partitions(in->consumer, list, SEEK_MS)) != NULL)
		rc = err_set(ret_err, ERR_RETRY, "%s", rd_kafka_error_string(error));
	else if (list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rc = err_set(ret_err, ERR_RETRY, "%s", rd_kafka_err2str(list->elems[0].err));
	rd_kafka_error_destroy(error);
	rd_kafka_topic_partition_list_destroy(list);
	return rc == 0 ? 0 : err_prefix(ret_err, "cannot read partition %" PRId32 " from offset %" PRId64, partition,
	    offset);
}

bool
intake_read(struct intake *in, int32_t partition, struct arena *a, struct record *ret)
{
	struct source *s = &in->sources[partition];
	rd_kafka_message_t *m;

	while (s->queue != NULL && (m = next_message(in, partition)) != NULL) {
		bool record = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;

		if (record) {
			copy_record(m, a, ret);
			s->next = m->offset + 1;
		} else
			report(&in->partition_errors, "a partition reports an error", m);
		rd_kafka_message_destroy(m);
		if (record)
			return true;
	}
	return false;
}

int64_t
intake_lag(const struct intake *in, int32_t partition)
{
	int64_t low, high;

	if (rd_kafka_get_watermark_offsets(in->consumer, in->config->topic_requests, partition, &low, &high) !=
	    RD_KAFKA_RESP_ERR_NO_ERROR || high <= in->sources[partition].next)
		return 0;
	return high - in->sources[partition].next;
}
