/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition's journal at the brokers.
 *
 * An operator's command must not be of another opinion than the service: so it reads with the service's own restorer,
 * which waits for pending transactions, reads up to the high watermark, and judges (R2, R11). Nothing joins the
 * group, nothing is committed, nobody is fenced.
 *
 * What is written goes out without a transaction: the partition's holder, if there is one, keeps it closed and writes
 * nothing there.
 */
#include "service/ctl/journal_line.h"

#include <poll.h>
#include <stdio.h>

#include <librdkafka/rdkafka.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/mailbox.h"
#include "service/ctl/kafka_conf.h"
#include "service/journal.h"
#include "service/restore.h"

#define LONGEST_MS 600000

static int
milliseconds(uint64_t timeout_ms)
{
	return (int)(timeout_ms < LONGEST_MS ? timeout_ms : LONGEST_MS);
}

/* The restorer answers in any case: soon, once it is told that it is not waited for any more. */
static void
wait_for(struct restoration *q, struct mailbox *answers, uint64_t until_boot_ms)
{
	struct pollfd fd = { .fd = mailbox_fd(answers), .events = POLLIN };

	while (mailbox_take(answers) == NULL) {
		uint64_t now = clock_boot_ms();

		if (now >= until_boot_ms)
			atomic_store(&q->unwanted, true);
		(void)poll(&fd, 1, now >= until_boot_ms ? -1 : milliseconds(until_boot_ms - now));
	}
}

/* Until it is read to its end, or the time is over: a transaction that a dead owner left open holds an answer back. */
static void
read_journal(struct restore *r, struct mailbox *answers, uint64_t until_boot_ms, struct restoration *q)
{
	do {
		restore_ask(r, q);
		wait_for(q, answers, until_boot_ms);
	} while (q->failed && q->err.next == ERR_RETRY && clock_boot_ms() < until_boot_ms);
}

int
journal_line_look(const struct config *c, int32_t partition, uint64_t timeout_ms, struct journal_view *ret_view,
    struct err *ret_err)
{
	struct restoration q = { .kind = RESTORE_JOURNAL, .partition = partition, .onlooker = true, .judged_high = -1 };
	struct mailbox *answers = mailbox_new(ret_err);
	struct restore *r;

	if (answers == NULL)
		return -1;
	r = restore_new(c, answers, ret_err);
	if (r == NULL) {
		mailbox_free(answers);
		return -1;
	}
	read_journal(r, answers, clock_boot_ms() + timeout_ms, &q);
	restore_free(r);
	mailbox_free(answers);
	journal_free(q.journal);
	if (q.failed && q.err.next != ERR_REFUSE) {
		*ret_err = q.err;
		return -1;
	}
	*ret_view = (struct journal_view){ .trusted = !q.failed, .why_not = q.err, .past = q.past };
	return 0;
}

/* What became of the one record. */
struct delivery {
	bool known;
	rd_kafka_resp_err_t error;
	bool certainly_not;
	int64_t offset;
};

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct delivery *d = m->_private;

	(void)rk;
	(void)opaque;
	*d = (struct delivery){ .known = true, .error = m->err, .offset = m->offset,
		.certainly_not = rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED };
}

static int
send_record(rd_kafka_t *rk, const struct config *c, int32_t partition, struct span key, struct span value,
    struct delivery *d, struct err *ret_err)
{
	rd_kafka_resp_err_t e = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(c->topic_journal),
	    RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(d),
	    RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.bytes),
	    RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.bytes), RD_KAFKA_V_END);

	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return err_set(ret_err, ERR_REFUSE, "cannot write to %s: %s", c->topic_journal, rd_kafka_err2str(e));
}

static int
settle(rd_kafka_t *rk, const struct kafka_complaint *complaint, const struct delivery *d, uint64_t until_boot_ms,
    struct err *ret_err)
{
	while (!d->known && clock_boot_ms() < until_boot_ms)
		(void)rd_kafka_poll(rk, 100);
	if (d->known && d->error == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return err_set(ret_err, d->known && d->certainly_not ? ERR_REFUSE : ERR_RETRY,
	    "the brokers did not acknowledge the record: %s%s%s", d->known ? rd_kafka_err2str(d->error) : "no answer",
	    complaint->text[0] != '\0' ? "; Kafka's last complaint: " : "", complaint->text);
}

int
journal_line_append(const struct config *c, int32_t partition, struct span key, struct span value,
    uint64_t timeout_ms, bool debug, int64_t *ret_offset, struct err *ret_err)
{
	struct kafka_complaint complaint = { .debug = debug };
	struct delivery d = { 0 };
	rd_kafka_conf_t *conf = kafka_conf_of_config(c, &complaint, ret_err);
	rd_kafka_t *rk;
	char timeout[16];
	int result;

	if (conf == NULL)
		return -1;
	(void)snprintf(timeout, sizeof(timeout), "%d", milliseconds(timeout_ms));
	kafka_conf_own(conf, "acks", "all");
	kafka_conf_own(conf, "enable.idempotence", "true");
	kafka_conf_own(conf, "message.timeout.ms", timeout);
	kafka_conf_own(conf, "linger.ms", "0");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = kafka_conf_open(RD_KAFKA_PRODUCER, conf, ret_err);
	if (rk == NULL)
		return -1;
	result = send_record(rk, c, partition, key, value, &d, ret_err);
	if (result == 0)
		result = settle(rk, &complaint, &d, clock_boot_ms() + timeout_ms + 1000, ret_err);
	rd_kafka_destroy(rk);
	if (result == 0)
		*ret_offset = d.offset;
	return result;
}
