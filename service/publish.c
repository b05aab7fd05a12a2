/* SPDX-License-Identifier: Apache-2.0 */
/* begin, send offsets, produce, flush, check, commit.
 *
 * Offsets go first: with offsets last, half of the transactions wait out a fixed retry inside librdkafka.
 * Each transaction names, for every partition it touches, an absolute offset and the group metadata captured
 * with the assignment; the broker fences a stale generation there (R1).
 *
 * Errors are asked in one order: fatal -> the process exits; abort required -> abort, and the loop decides
 * about the items; retriable -> the same call again; anything else is fatal. When a commit's fate is in doubt
 * nothing is guessed: exit, and the journal decides after the restart (R5). A producer that behaved oddly in
 * a commit or an abort is replaced before it is used again (R6).
 *
 * Between flush and commit the delivered offsets of the journal's records are held against what the loop
 * knows of that partition: a journal that was cut or made anew shows here, before anything is committed on
 * top of it. */
#include "service/publish.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log_limit.h"
#include "service/base/mailbox.h"
#include "service/base/metrics.h"
#include "service/generation.h"
#include "service/producer.h"
#include "service/ticket.h"

#define RETRY_PAUSE_MS 50
#define ABORT_PAUSE_MS 50               /* before the third try, doubling to 1.6 s */

struct publish {
	const struct config *config;
	struct mailbox *inbox, *results;
	pthread_t thread;
	atomic_bool stop;
	struct series *committed, *aborted, *stale, *fatal, *seconds;

	/* the thread's own */
	struct producer *producer;
	unsigned aborts;                /* in a row */
	bool doubtful;                  /* replace the producer before its next transaction */
};

static void
pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

static int
replace_producer(struct publish *p, struct err *ret_err)
{
	log_warn("publish", "replacing a doubtful producer", LOG_S("transactional_id", p->config->transactional_id));
	producer_free(p->producer);
	p->doubtful = false;
	if ((p->producer = producer_new(p->config, ret_err)) == NULL)
		return -1;
	return producer_init(p->producer, &p->stop, ret_err);
}

/* ---- one transaction --------------------------------------------------------------------------------------------- */

enum step { STEP_OK, STEP_ABORT, STEP_FATAL };

static bool
is_stale(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
	    code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

/* What an error of a transactional call means; consumes e. *ret_again: the same call, once more; but not when
 * the process is ending: then what cannot be settled is left to the journal, as after any fatal error. */
static enum step
judge(struct publish *p, struct transaction *x, const char *call, rd_kafka_error_t *e, bool *ret_again)
{
	enum step step = STEP_FATAL;

	*ret_again = false;
	if (e == NULL)
		return STEP_OK;
	err_set(&x->err, ERR_FATAL, "%s: %s (%s)", call, rd_kafka_error_string(e), rd_kafka_error_name(e));
	if (rd_kafka_error_is_fatal(e))
		step = STEP_FATAL;
	else if (rd_kafka_error_txn_requires_abort(e)) {
		step = STEP_ABORT;
		x->result = is_stale(rd_kafka_error_code(e)) ? TRANSACTION_STALE : TRANSACTION_ABORTED;
	} else if (rd_kafka_error_is_retriable(e))
		*ret_again = !atomic_load(&p->stop);
	rd_kafka_error_destroy(e);
	if (*ret_again)
		pause_ms(RETRY_PAUSE_MS);
	return step;
}

/* Does x hold what answers a record, or else an INTENT? */
static bool
holds(const struct transaction *x, bool answers)
{
	const struct item *it = x->items;

	while (it != NULL && (it->answers >= 0) != answers)
		it = it->next;
	return it != NULL;
}

static enum step
send_offsets(struct publish *p, struct transaction *x)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)x->n_touched);
	const rd_kafka_consumer_group_metadata_t *whose = RULE_OFF("R1") ?
	    rd_kafka_consumer_group_metadata_new(p->config->group_id) : generation_metadata(x->generation);
	enum step step;
	bool again;

	for (size_t i = 0; i < x->n_touched; i++) {
		rd_kafka_topic_partition_t *to = rd_kafka_topic_partition_list_add(list, p->config->topic_requests,
		    x->touched[i].partition);

		to->offset = x->touched[i].offset;
		to->metadata = strdup(x->touched[i].metadata);
		to->metadata_size = strlen(x->touched[i].metadata);
	}
	do
		step = judge(p, x, "send offsets",
		    rd_kafka_send_offsets_to_transaction(producer_handle(p->producer), list, whose, -1), &again);
	while (again);
	rd_kafka_topic_partition_list_destroy(list);
	return step;
}

static rd_kafka_headers_t *
headers_of(const struct outgoing *out)
{
	rd_kafka_headers_t *to = rd_kafka_headers_new(out->n_headers);

	for (size_t i = 0; i < out->n_headers; i++)
		rd_kafka_header_add(to, (const char *)out->headers[i].name.data, (ssize_t)out->headers[i].name.bytes,
		    out->headers[i].value.data, (ssize_t)out->headers[i].value.bytes);
	return to;
}

static enum step
produce_one(struct publish *p, struct transaction *x, const struct item *it, struct outgoing *out)
{
	const char *topic = out->topic == OUT_JOURNAL ? p->config->topic_journal :
	    out->topic == OUT_REPLY ? p->config->topic_replies : p->config->topic_deadletters;
	int32_t partition = out->topic == OUT_DEAD_LETTER ? RD_KAFKA_PARTITION_UA : it->assignment->partition;
	rd_kafka_headers_t *headers = headers_of(out);
	rd_kafka_resp_err_t e;

	/* The bytes belong to the ticket, which outlives the transaction: no copy. */
	e = rd_kafka_producev(producer_handle(p->producer), RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
	    RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_KEY(out->key.data, out->key.bytes),
	    RD_KAFKA_V_VALUE((void *)(uintptr_t)out->value.data, out->value.bytes), RD_KAFKA_V_OPAQUE(out),
	    RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_END);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return STEP_OK;
	rd_kafka_headers_destroy(headers);
	err_set(&x->err, ERR_RETRY, "produce to %s: %s", topic, rd_kafka_err2str(e));
	x->result = TRANSACTION_ABORTED;
	return e == RD_KAFKA_RESP_ERR__FATAL ? STEP_FATAL : STEP_ABORT;
}

static enum step
produce(struct publish *p, struct transaction *x)
{
	/* All of them first: should one not be taken, those behind it must not show where an aborted transaction
	 * put them. */
	for (struct item *it = x->items; it != NULL; it = it->next)
		for (unsigned i = 0; i < it->n_out; i++)
			it->out[i].delivered_offset = -1;
	for (struct item *it = x->items; it != NULL; it = it->next)
		for (unsigned i = 0; i < it->n_out; i++) {
			enum step step = produce_one(p, x, it, &it->out[i]);

			if (step != STEP_OK)
				return step;
		}
	/* Ends by message.timeout.ms at the latest. */
	while (rd_kafka_flush(producer_handle(p->producer), 1000) == RD_KAFKA_RESP_ERR__TIMED_OUT)
		;
	return STEP_OK;
}

static struct touched *
touched_by(struct transaction *x, const struct assignment *a)
{
	for (size_t i = 0; i < x->n_touched; i++)
		if (x->touched[i].assignment == a)
			return &x->touched[i];
	abort();
}

/* What the broker said of the journal's records, per partition. */
static void
collect_offsets(struct transaction *x)
{
	for (struct item *it = x->items; it != NULL; it = it->next) {
		struct touched *t = touched_by(x, it->assignment);

		for (unsigned i = 0; i < it->n_out; i++) {
			int64_t at = it->out[i].delivered_offset;

			if (it->out[i].topic != OUT_JOURNAL)
				continue;
			if (at < 0)
				t->unreported = true;
			else if (at < (t->journal_last < 0 ? t->journal_least : t->journal_last + 1))
				t->too_low = true;
			if (at > t->journal_last)
				t->journal_last = at;
		}
	}
}

static enum step
check(struct transaction *x)
{
	for (size_t i = 0; i < x->n_touched; i++) {
		struct touched *t = &x->touched[i];

		if (!t->too_low && !t->unreported)
			continue;
		err_set(&x->err, ERR_RETRY, t->too_low ?
		    "journal partition %" PRId32 " took a record at %" PRId64 ", below %" PRId64
		    ": it went backwards" : "journal partition %" PRId32
		    " did not report a record's offset (last %" PRId64 ", expected from %" PRId64 ")", t->partition,
		    t->journal_last, t->journal_least);
		x->result = TRANSACTION_ABORTED;
		return STEP_ABORT;
	}
	return STEP_OK;
}

/* A transaction's end was asked for. What did not go smoothly may have left a request on its way, which would end
 * another transaction than it was meant for: such a producer is not used again (R6). */
static void
judge_end(struct publish *p, uint64_t asked_boot_ms, bool smooth)
{
	if (producer_link_dropped(p->producer) || !smooth ||
	    clock_boot_ms() - asked_boot_ms > duration_ms(DURATION_COMMIT_SUSPECT))
		p->doubtful = true;
}

static enum step
commit(struct publish *p, struct transaction *x)
{
	rd_kafka_t *rk = producer_handle(p->producer);
	bool again, smooth = true;
	enum step step;

	if (holds(x, false))
		CHAOS_DURING("intent-committing");
	if (holds(x, true))
		CHAOS_DURING("done-committing");
	x->commit_began_boot_ms = clock_boot_ms();
	(void)producer_link_dropped(p->producer);
	do {
		/* Without end: librdkafka goes on by itself, and a wait cut short in its first step cannot be taken
		 * up again. */
		step = judge(p, x, "commit", rd_kafka_commit_transaction(rk, RULE_OFF("R5") ? 1000 : -1), &again);
		smooth &= !again;
	} while (again && !RULE_OFF("R5"));
	judge_end(p, x->commit_began_boot_ms, smooth && step == STEP_OK);
	return step;
}

static enum step
abort_transaction(struct publish *p, struct transaction *x)
{
	enum transaction_result why = x->result;
	uint64_t asked_boot_ms = clock_boot_ms();
	struct err first = x->err;
	bool again, smooth = true;
	enum step step;

	(void)producer_link_dropped(p->producer);
	do {
		step = judge(p, x, "abort", rd_kafka_abort_transaction(producer_handle(p->producer), -1), &again);
		smooth &= !again;
	} while (again);
	judge_end(p, asked_boot_ms, smooth);
	if (step != STEP_OK)
		return STEP_FATAL;
	x->result = why;
	x->err = first;
	return STEP_ABORT;
}

/* begin to commit, or to the end of an abort. */
static enum step
run_steps(struct publish *p, struct transaction *x)
{
	enum step step;
	bool again;

	if (p->doubtful && replace_producer(p, &x->err) != 0)
		return STEP_FATAL;
	do
		step = judge(p, x, "begin", rd_kafka_begin_transaction(producer_handle(p->producer)), &again);
	while (again);
	if (step != STEP_OK)
		return STEP_FATAL;
	step = send_offsets(p, x);
	if (step == STEP_OK) {
		if (x->items != NULL)
			CHAOS_POINT("offsets-sent");
		step = produce(p, x);
		collect_offsets(x);
		if (holds(x, false))
			CHAOS_POINT("intent-written");
		if (holds(x, true))
			CHAOS_POINT("done-written");
	}
	if (step == STEP_OK)
		step = check(x);
	if (step == STEP_OK)
		step = commit(p, x);
	if (step == STEP_ABORT)
		step = abort_transaction(p, x);
	return step;
}

/* Before an assignment's first transaction, one that only says whose it is from now on: should this process die,
 * whoever comes next knows whose transaction is pending. */
static enum step
claim(struct publish *p, struct transaction *x)
{
	struct transaction first = { .generation = x->generation };
	enum step step = STEP_OK;

	if ((first.touched = calloc(x->n_touched, sizeof *first.touched)) == NULL)
		abort();
	for (size_t i = 0; i < x->n_touched; i++) {
		const struct claim *c = x->touched[i].claim;
		struct touched *t = &first.touched[first.n_touched];

		if (c == NULL)
			continue;
		*t = (struct touched){ .partition = x->touched[i].partition, .offset = c->offset };
		memcpy(t->metadata, c->metadata, sizeof t->metadata);
		first.n_touched++;
	}
	if (first.n_touched > 0) {
		step = run_steps(p, &first);
		x->result = first.result;
		x->err = first.err;
		x->commit_began_boot_ms = first.commit_began_boot_ms;
	}
	free(first.touched);
	return step;
}

static enum transaction_result
run(struct publish *p, struct transaction *x)
{
	uint64_t began = clock_boot_us();
	enum step step = claim(p, x);

	if (step == STEP_OK)
		step = run_steps(p, x);

	if (step == STEP_OK)
		x->result = TRANSACTION_COMMITTED;
	else if (step == STEP_FATAL)
		x->result = x->commit_began_boot_ms > 0 && RULE_OFF("R5") ? TRANSACTION_ABORTED : TRANSACTION_FATAL;
	/* What aborts again and again (a right that is missing, a topic that takes no record of this size) is not
	 * tried twenty times a second. */
	p->aborts = x->result == TRANSACTION_ABORTED ? p->aborts + 1 : 0;
	if (p->aborts > 1)
		pause_ms(ABORT_PAUSE_MS << (p->aborts < 7 ? p->aborts - 2 : 5));
	x->took_us = clock_boot_us() - began;
	metrics_observe(p->seconds, x->took_us);
	metrics_add(x->result == TRANSACTION_COMMITTED ? p->committed : x->result == TRANSACTION_ABORTED ? p->aborted :
	    x->result == TRANSACTION_STALE ? p->stale : p->fatal, 1);
	return x->result;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* A transaction without items says that there is no producer. */
static void
say_broken(struct publish *p, const struct err *why)
{
	struct transaction *x = calloc(1, sizeof *x);

	if (x == NULL)
		abort();
	x->result = TRANSACTION_FATAL;
	x->err = *why;
	mailbox_push(p->results, &x->mail);
}

/* Ends with the first fatal result: on a producer in doubt nothing more is begun. */
static void *
publisher(void *arg)
{
	struct publish *p = arg;
	struct err e;

	if (producer_init(p->producer, &p->stop, &e) != 0 && e.next == ERR_FATAL) {
		say_broken(p, &e);
		return NULL;
	}
	while (!atomic_load(&p->stop)) {
		struct pollfd fd = { .fd = mailbox_fd(p->inbox), .events = POLLIN };
		struct mail *mail, *next;
		bool fatal;

		(void)poll(&fd, 1, 1000);
		for (mail = mailbox_take(p->inbox); mail != NULL; mail = next) {
			next = mail->next;
			mail->next = NULL;
			fatal = run(p, (struct transaction *)mail) == TRANSACTION_FATAL;
			mailbox_push(p->results, mail);
			if (fatal)
				return NULL;
		}
		rd_kafka_poll(producer_handle(p->producer), 0);
	}
	return NULL;
}

struct publish *
publish_new(const struct config *c, struct mailbox *results, struct err *ret_err)
{
	struct publish *p = calloc(1, sizeof *p);
	int e;

	if (p == NULL)
		abort();
	p->config = c;
	p->results = results;
	p->committed = metrics_at(METRIC_TRANSACTIONS, "committed", NULL);
	p->aborted = metrics_at(METRIC_TRANSACTIONS, "aborted", NULL);
	p->stale = metrics_at(METRIC_TRANSACTIONS, "stale", NULL);
	p->fatal = metrics_at(METRIC_TRANSACTIONS, "fatal", NULL);
	p->seconds = metrics_at(METRIC_COMMIT_SECONDS, NULL, NULL);
	if ((p->inbox = mailbox_new(ret_err)) == NULL)
		goto fail;
	if ((p->producer = producer_new(c, ret_err)) == NULL)
		goto fail_inbox;
	if ((e = pthread_create(&p->thread, NULL, publisher, p)) == 0)
		return p;
	err_set(ret_err, ERR_FATAL, "cannot start the publisher's thread: %s", strerror(e));
	producer_free(p->producer);
fail_inbox:
	mailbox_free(p->inbox);
fail:
	free(p);
	return NULL;
}

void
publish_submit(struct publish *p, struct transaction *x)
{
	mailbox_push(p->inbox, &x->mail);
}

void
publish_free(struct publish *p)
{
	if (p == NULL)
		return;
	atomic_store(&p->stop, true);
	pthread_join(p->thread, NULL);
	for (struct mail *mail = mailbox_take(p->inbox), *next; mail != NULL; mail = next) {
		next = mail->next;
		mail->next = NULL;
		((struct transaction *)mail)->result = TRANSACTION_ABORTED;     /* never begun */
		mailbox_push(p->results, mail);
	}
	producer_free(p->producer);
	mailbox_free(p->inbox);
	free(p);
}
