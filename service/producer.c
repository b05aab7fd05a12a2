/* SPDX-License-Identifier: Apache-2.0 */
/* The transactional producer, but for its transactions (publish.c).
 *
 * It is a thing to be thrown away: one that behaved oddly in a commit is freed, and a new one of the same
 * transactional.id made and initialised, which ends whatever the old one left open (R6). */
#include "service/producer.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log_limit.h"
#include "service/kafka_client.h"
#include "service/ticket.h"

#define INIT_MS 5000
#define RETRY_PAUSE_MS 50

struct producer {
	const struct config *config;
	rd_kafka_t *handle;
	/* held so that their metadata is there before the first record: else it waits for a second */
	rd_kafka_topic_t *topics[3];
	atomic_bool link_dropped;       /* set by librdkafka's error callback */
};

/* ---- what librdkafka tells --------------------------------------------------------------------------------------- */

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct outgoing *out = m->_private;

	(void)rk;
	(void)opaque;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		out->delivered_offset = m->offset;
}

static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	static struct log_limit errors;
	struct producer *p = opaque;
	int64_t left_out;

	(void)rk;
	if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
	    code == RD_KAFKA_RESP_ERR__TIMED_OUT)
		atomic_store(&p->link_dropped, true);
	if (log_limit_passes(&errors, "publish", clock_boot_ms(), &left_out))
		log_warn("publish", "the producer reports an error", LOG_S("error", reason),
		    LOG_S("code", rd_kafka_err2name(code)), LOG_LEFT_OUT(left_out));
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void
producer_free(struct producer *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < 3; i++)
		rd_kafka_topic_destroy(p->topics[i]);
	rd_kafka_destroy(p->handle);
	free(p);
}

struct producer *
producer_new(const struct config *c, struct err *ret_err)
{
	const char *const names[3] = { c->topic_journal, c->topic_replies, c->topic_deadletters };
	struct producer *p = calloc(1, sizeof *p);
	char timeout[24], why[256];
	const struct kafka_property own[] = {
		{ "transactional.id", c->transactional_id }, { "transaction.timeout.ms", timeout },
		{ "message.timeout.ms", timeout }, { "enable.idempotence", "true" }, { "acks", "all" },
		/* right after a commit the coordinator says CONCURRENT_TRANSACTIONS for a moment */
		{ "retry.backoff.ms", "1" },
		{ "linger.ms", "1" },
	};
	rd_kafka_conf_t *conf;

	if (p == NULL)
		abort();
	p->config = c;
	snprintf(timeout, sizeof timeout, "%" PRIu64, duration_ms(DURATION_TRANSACTION));
	if ((conf = kafka_client_conf(c, "publish", own, sizeof own / sizeof own[0], ret_err)) == NULL)
		goto fail;
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_opaque(conf, p);
	if ((p->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why)) == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(ret_err, ERR_FATAL, "cannot make the producer: %s", why);
		goto fail;
	}
	for (int i = 0; i < 3; i++)
		p->topics[i] = rd_kafka_topic_new(p->handle, names[i], NULL);
	return p;
fail:
	free(p);
	return NULL;
}

int
producer_init(struct producer *p, const atomic_bool *stop, struct err *ret_err)
{
	while (!atomic_load(stop)) {
		rd_kafka_error_t *e = rd_kafka_init_transactions(p->handle, INIT_MS);
		bool again;

		if (e == NULL)
			return 0;
		again = !rd_kafka_error_is_fatal(e) && rd_kafka_error_is_retriable(e);
		err_set(ret_err, again ? ERR_RETRY : ERR_FATAL, "cannot start transactions as %s: %s",
		    p->config->transactional_id, rd_kafka_error_string(e));
		rd_kafka_error_destroy(e);
		if (!again)
			return -1;
		log_warn("publish", "waiting for the transaction coordinator", LOG_S("error", ret_err->text));
		(void)poll(NULL, 0, RETRY_PAUSE_MS);
	}
	return err_set(ret_err, ERR_RETRY, "stopped before the producer was ready");
}

/* ---- asked ------------------------------------------------------------------------------------------------------- */

rd_kafka_t *
producer_handle(struct producer *p)
{
	return p->handle;
}

bool
producer_link_dropped(struct producer *p)
{
	rd_kafka_poll(p->handle, 0);    /* what was not told yet */
	return atomic_exchange(&p->link_dropped, false);
}
