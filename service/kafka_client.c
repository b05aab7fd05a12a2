/* SPDX-License-Identifier: Apache-2.0 */
/* One place that turns tokend.yaml into librdkafka's terms. Which properties are the protocol's own was
 * settled when the file was loaded (base/config.c): nothing here can be overridden by a user. */
#include "service/kafka_client.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/log_limit.h"
#include "service/base/secret.h"

#define SECRET_MOST (64 * 1024)
#define KINDS 32                        /* of librdkafka's lines; some kinds may share a limit */

/* A broker that comes and goes has one told of it for as long as it does. */
static struct log_limit limits[KINDS];

static struct log_limit *
limit_of(const char *facility)
{
	unsigned kind = 0;

	for (; *facility != '\0'; facility++)
		kind = kind * 31 + (unsigned char)*facility;
	return &limits[kind % KINDS];
}

static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	int64_t left_out;

	/* Every property goes to consumers and producers alike; that one of them has no use for it is no news. */
	if (strcmp(facility, "CONFWARN") == 0)
		level = LOG_DEBUG;
	if (!log_limit_passes(limit_of(facility), "librdkafka", clock_boot_ms(), &left_out))
		return;
	log_event(level <= LOG_ERR ? LOG_ERROR_ : level <= LOG_WARNING ? LOG_WARN_ : level <= LOG_INFO ?
	    LOG_INFO_ : LOG_DEBUG_, "librdkafka", text,
	    (const struct log_field[]){ LOG_S("facility", facility),
	    LOG_S("client", rk != NULL ? rd_kafka_name(rk) : NULL), LOG_LEFT_OUT(left_out) }, 3);
}

static int
set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *ret_err)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
		return 0;
	return err_set(ret_err, ERR_FATAL, "kafka property %s: %s", name, why);
}

static int
set_secret(rd_kafka_conf_t *conf, const struct property *p, struct err *ret_err)
{
	struct secret *s = secret_read_file(p->value, SECRET_MOST, true, ret_err);
	int rc;

	if (s == NULL)
		return err_prefix(ret_err, "kafka property %s", p->name);
	/* librdkafka's own complaint may repeat the value: it is not passed on. */
	rc = rd_kafka_conf_set(conf, p->name, (const char *)secret_bytes(s).data, NULL, 0) == RD_KAFKA_CONF_OK ? 0 :
	    err_set(ret_err, ERR_FATAL, "kafka property %s: the value in %s is not accepted", p->name, p->value);
	secret_release(s);
	return rc;
}

struct rd_kafka_conf_s *
kafka_client_conf(const struct config *c, const char *role, const struct kafka_property *own, size_t n_own,
    struct err *ret_err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char client_id[256];

	snprintf(client_id, sizeof client_id, "tokend/%s/%s", c->instance, role);
	rd_kafka_conf_set_log_cb(conf, on_log);
	if (set(conf, "client.id", client_id, ret_err) != 0 || set(conf, "socket.nagle.disable", "true", ret_err) != 0)
		goto fail;
	for (size_t i = 0; i < c->n_kafka; i++)
		if (set(conf, c->kafka[i].name, c->kafka[i].value, ret_err) != 0)
			goto fail;
	for (size_t i = 0; i < c->n_kafka_secret_files; i++)
		if (set_secret(conf, &c->kafka_secret_files[i], ret_err) != 0)
			goto fail;
	for (size_t i = 0; i < n_own; i++)
		if (set(conf, own[i].name, own[i].value, ret_err) != 0)
			goto fail;
	return conf;
fail:
	rd_kafka_conf_destroy(conf);
	return NULL;
}

int
kafka_client_check(const struct config *c, struct err *ret_err)
{
	rd_kafka_conf_t *conf = kafka_client_conf(c, "check", NULL, 0, ret_err);

	if (conf == NULL)
		return -1;
	rd_kafka_conf_destroy(conf);
	return 0;
}

struct rd_kafka_s *
kafka_client_consumer(const struct config *c, const char *role, const struct kafka_property *own, size_t n_own,
    struct err *ret_err)
{
	rd_kafka_conf_t *conf = kafka_client_conf(c, role, own, n_own, ret_err);
	rd_kafka_t *rk;
	char why[256];

	if (conf == NULL)
		return NULL;
	if ((rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why)) == NULL) {
		err_set(ret_err, ERR_FATAL, "cannot make a Kafka client (%s): %s", role, why);
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_poll_set_consumer(rk);
	return rk;
}
