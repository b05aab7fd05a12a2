/* SPDX-License-Identifier: Apache-2.0 */
/* R2: committed offset (stable: the coordinator holds the answer back while a transaction is pending; a dead
 * owner's is ended, takeover.c) -> the journal's high watermark, from a read_uncommitted handle -> read_committed
 * until the end-of-partition event lies at or past that watermark.
 *
 * Stopping at the read_committed end would be wrong: a transaction of the owner before us may be committed
 * and its marker not yet written to the journal, and its DONE would be missed. Markers and compaction leave
 * gaps, so the end is an event, never an offset.
 *
 * Three handles, made once: `group` asks for committed offsets, `ends` for high watermarks, `reader` reads.
 * They never join the group. */
#include "service/restore.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/journal.h"
#include "service/kafka_client.h"
#include "service/takeover.h"

#define ASK_MS 10000
#define NEWCOMER_ASK_MS 2000    /* soon it may do something about it, and others of its partitions may be free */
#define HELD_BACK_MS 100        /* an offset that is not told within this may be held back by a transaction */
#define BATCH 1000
#define QUIET_MOST_MS 30000     /* without a record or an end: give up, and be asked again */

struct restore {
	const struct config *config;
	struct mailbox *inbox, *answers;
	pthread_t thread;
	atomic_bool stop;
	rd_kafka_t *group, *ends, *reader;
	rd_kafka_topic_t *journal_topic;        /* keeps the reader's metadata warm */
	struct takeover *takeover;
};

/* ---- the steps of a restore -------------------------------------------------------------------------------------- */

/* The stable offset, into the list of one. */
static rd_kafka_resp_err_t
ask_offset(struct restore *r, rd_kafka_topic_partition_list_t *list, int wait_ms)
{
	rd_kafka_resp_err_t e = rd_kafka_committed(r->group, list, wait_ms);

	return e != RD_KAFKA_RESP_ERR_NO_ERROR ? e : list->elems[0].err;
}

static bool
is_held_back(void *arg, int32_t partition)
{
	struct restore *r = arg;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t e;

	rd_kafka_topic_partition_list_add(list, r->config->topic_requests, partition);
	e = ask_offset(r, list, HELD_BACK_MS);
	rd_kafka_topic_partition_list_destroy(list);
	return e == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* *ret_metadata is malloced; NULL: none. */
static int
committed_offset(struct restore *r, struct restoration *q, struct journal_found *f, char **ret_metadata,
    struct err *ret_err)
{
	int32_t partition = q->partition;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(list, r->config->topic_requests, partition);
	rd_kafka_resp_err_t e;
	int rc = 0;

	if (!q->onlooker)
		takeover_look_for_namesakes(r->takeover);
	if (!q->onlooker && !q->newcomer && is_held_back(r, partition))
		takeover_try(r->takeover, partition, &q->unwanted, is_held_back, r);
	e = ask_offset(r, list, q->newcomer ? NEWCOMER_ASK_MS : ASK_MS);

	*ret_metadata = NULL;
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
		rc = err_set(ret_err, ERR_RETRY, "committed offset of partition %" PRId32 ": %s", partition,
		    rd_kafka_err2str(e));
	else if (p->offset >= 0) {
		f->has_offset = true;
		f->offset = p->offset;
		if (p->metadata_size > 0)
			*ret_metadata = strndup(p->metadata, p->metadata_size);
		f->metadata = *ret_metadata;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return rc;
}

static int
ask_ends(struct restore *r, const char *topic, int32_t partition, int64_t *ret_low, int64_t *ret_high,
    struct err *ret_err)
{
	rd_kafka_resp_err_t e = rd_kafka_query_watermark_offsets(r->ends, topic, partition, ret_low, ret_high, ASK_MS);

	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return err_set(ret_err, ERR_RETRY, "ends of %s/%" PRId32 ": %s", topic, partition, rd_kafka_err2str(e));
}

static int
read_from(struct restore *r, int32_t partition, int64_t offset, struct err *ret_err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t e;

	rd_kafka_topic_partition_list_add(list, r->config->topic_journal, partition)->offset = offset;
	e = rd_kafka_assign(r->reader, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return err_set(ret_err, ERR_RETRY, "cannot read %s/%" PRId32 ": %s", r->config->topic_journal, partition,
	    rd_kafka_err2str(e));
}

/* 1: the end is reached; 0: go on; -1: no use. */
static int
take_in(struct restoration *q, const rd_kafka_message_t *m, int64_t high)
{
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		return m->offset >= high || RULE_OFF("R2");
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err_set(&q->err, ERR_RETRY, "reading the journal of partition %" PRId32 ": %s", q->partition,
		    rd_kafka_message_errstr(m));
	journal_remember(q->journal, span_of(m->key, m->key_len),
	    span_of(m->payload, m->payload != NULL ? m->len : 0), m->offset);
	return 0;
}

static int
read_all(struct restore *r, struct restoration *q, int64_t high)
{
	static rd_kafka_message_t *batch[BATCH];        /* the thread is alone here */
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(r->reader);
	uint64_t quiet_since = clock_boot_ms();
	int end = 0;

	while (end == 0) {
		ssize_t n;

		if (atomic_load(&q->unwanted) || atomic_load(&r->stop)) {
			end = err_set(&q->err, ERR_RETRY, "not wanted any more");
			break;
		}
		CHAOS_POINT("restoring");
		/* The batch waits until it is full or its time is over: short, or every restore pays for the rest
		 * of it. */
		n = rd_kafka_consume_batch_queue(queue, 10, batch, BATCH);
		for (ssize_t i = 0; i < n; i++) {
			if (end == 0)
				end = take_in(q, batch[i], high);
			rd_kafka_message_destroy(batch[i]);
		}
		if (n > 0)
			quiet_since = clock_boot_ms();
		else if (clock_boot_ms() - quiet_since > QUIET_MOST_MS)
			end = err_set(&q->err, ERR_RETRY,
			    "the journal of partition %" PRId32 " does not come to its end", q->partition);
	}
	rd_kafka_queue_destroy(queue);
	return end > 0 ? 0 : -1;
}

/* A closed partition's journal is read again when something was written to it; an empty one always. */
static bool
worth_reading(struct restoration *q, int64_t low, int64_t high)
{
	if (low == high || high != q->judged_high)
		return true;
	(void)err_set(&q->err, ERR_RETRY, "nothing was written to the journal of partition %" PRId32, q->partition);
	return false;
}

/* Where reading the request log begins, if anywhere. */
static int64_t
begins_at(const struct journal_found *f)
{
	bool inside = f->has_offset && f->offset >= f->request_low && f->offset <= f->request_high;

	return inside ? f->offset : f->request_low;
}

static int
restore_journal(struct restore *r, struct restoration *q)
{
	struct journal_found f = { .marker_offsets = r->config->topic_checks == TOPIC_CHECKS_STRICT };
	char *metadata = NULL;
	int64_t journal_low;
	int rc = -1;

	if (committed_offset(r, q, &f, &metadata, &q->err) == 0 &&
	    ask_ends(r, r->config->topic_requests, q->partition, &f.request_low, &f.request_high, &q->err) == 0 &&
	    ask_ends(r, r->config->topic_journal, q->partition, &journal_low, &f.journal_high, &q->err) == 0 &&
	    worth_reading(q, journal_low, f.journal_high) &&
	    read_from(r, q->partition, RD_KAFKA_OFFSET_BEGINNING, &q->err) == 0) {
		q->journal = journal_new(q->partition, r->config, begins_at(&f));
		if (read_all(r, q, f.journal_high) == 0) {
			journal_past(q->journal, &f, &q->past);
			rc = journal_open(q->journal, &f, &q->start, &q->err);
		}
	}
	rd_kafka_assign(r->reader, NULL);
	q->claim.offset = f.offset;
	if (!takeover_claim(metadata, r->config->service_id, r->config->transactional_id, q->claim.metadata))
		q->claim.metadata[0] = '\0';
	free(metadata);
	q->request_high = f.request_high;
	q->journal_high = f.journal_high;
	if (rc != 0) {
		journal_free(q->journal);
		q->journal = NULL;
	}
	return rc;
}

/* ---- one record -------------------------------------------------------------------------------------------------- */

static struct span
copied(const void *data, size_t bytes)
{
	unsigned char *copy = malloc(bytes + 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, bytes);
	return span_of(copy, bytes);
}

static bool
is_the_one(const struct restoration *q, const rd_kafka_message_t *m)
{
	return m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset == q->offset &&
	    (q->kind == RESTORE_RECORD || span_equal(span_of(m->key, m->key_len), q->key));
}

static int
restore_record(struct restore *r, struct restoration *q)
{
	rd_kafka_message_t *m;
	int rc = -1;

	if (read_from(r, q->partition, q->offset, &q->err) != 0)
		return -1;
	m = rd_kafka_consumer_poll(r->reader, ASK_MS);
	rd_kafka_assign(r->reader, NULL);
	if (is_the_one(q, m)) {
		q->value = copied(m->payload, m->len);
		if (q->kind == RESTORE_RECORD)
			q->key = copied(m->key, m->key_len);
		rc = 0;
	} else
		err_set(&q->err, ERR_RETRY, "the journal record at %" PRId32 "@%" PRId64 " cannot be read: %s",
		    q->partition, q->offset, m == NULL ? "no answer" : m->err != RD_KAFKA_RESP_ERR_NO_ERROR ?
		    rd_kafka_message_errstr(m) : "another record is there");
	if (m != NULL)
		rd_kafka_message_destroy(m);
	return rc;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void *
restorer(void *arg)
{
	struct restore *r = arg;

	while (!atomic_load(&r->stop)) {
		struct pollfd fd = { .fd = mailbox_fd(r->inbox), .events = POLLIN };
		struct mail *mail, *next;

		(void)poll(&fd, 1, 1000);
		for (mail = mailbox_take(r->inbox); mail != NULL; mail = next) {
			struct restoration *q = (struct restoration *)mail;

			next = mail->next;
			mail->next = NULL;
			q->failed = (q->kind == RESTORE_JOURNAL ? restore_journal(r, q) : restore_record(r, q)) != 0;
			mailbox_push(r->answers, mail);
		}
	}
	return NULL;
}

static int
make_handles(struct restore *r, struct err *ret_err)
{
	const struct kafka_property group[] = {
		{ "group.id", r->config->group_id }, { "enable.auto.commit", "false" },
		{ "isolation.level", RULE_OFF("R2") ? "read_uncommitted" : "read_committed" } };
	const struct kafka_property ends[] = { { "isolation.level", "read_uncommitted" },
	    { "enable.auto.commit", "false" } };
	const struct kafka_property reader[] = {
		{ "isolation.level", "read_committed" }, { "enable.partition.eof", "true" },
		{ "enable.auto.commit", "false" },
		{ "auto.offset.reset", "error" }, { "fetch.wait.max.ms", "10" }, { "group.id", r->config->group_id },
		{ "enable.auto.offset.store", "false" } };

	if ((r->group = kafka_client_consumer(r->config, "restore-group", group, 3, ret_err)) == NULL ||
	    (r->ends = kafka_client_consumer(r->config, "restore-ends", ends, 2, ret_err)) == NULL ||
	    (r->reader = kafka_client_consumer(r->config, "restore-reader", reader, 7, ret_err)) == NULL ||
	    (r->takeover = takeover_new(r->config, ret_err)) == NULL)
		return -1;
	r->journal_topic = rd_kafka_topic_new(r->reader, r->config->topic_journal, NULL);
	return 0;
}

static void
free_handles(struct restore *r)
{
	takeover_free(r->takeover);
	if (r->journal_topic != NULL)
		rd_kafka_topic_destroy(r->journal_topic);
	if (r->group != NULL)
		rd_kafka_destroy(r->group);
	if (r->ends != NULL)
		rd_kafka_destroy(r->ends);
	if (r->reader != NULL)
		rd_kafka_destroy(r->reader);
}

struct restore *
restore_new(const struct config *c, struct mailbox *answers, struct err *ret_err)
{
	struct restore *r = calloc(1, sizeof *r);
	int e;

	if (r == NULL)
		abort();
	r->config = c;
	r->answers = answers;
	if ((r->inbox = mailbox_new(ret_err)) == NULL)
		goto fail;
	if (make_handles(r, ret_err) != 0)
		goto fail_handles;
	if ((e = pthread_create(&r->thread, NULL, restorer, r)) == 0)
		return r;
	err_set(ret_err, ERR_FATAL, "cannot start the restorer's thread: %s", strerror(e));
fail_handles:
	free_handles(r);
	mailbox_free(r->inbox);
fail:
	free(r);
	return NULL;
}

void
restore_ask(struct restore *r, struct restoration *q)
{
	mailbox_push(r->inbox, &q->mail);
}

void
restore_free(struct restore *r)
{
	if (r == NULL)
		return;
	atomic_store(&r->stop, true);
	pthread_join(r->thread, NULL);
	for (struct mail *mail = mailbox_take(r->inbox), *next; mail != NULL; mail = next) {
		next = mail->next;
		mail->next = NULL;
		((struct restoration *)mail)->failed = true;
		mailbox_push(r->answers, mail);
	}
	free_handles(r);
	mailbox_free(r->inbox);
	free(r);
}
