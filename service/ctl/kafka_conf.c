/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librdkafka's configuration.
 *
 * Any property passes through, as with kcat's -X; which ones are the protocol's own, profile.c and
 * the service's config.c have already refused. librdkafka logs what goes wrong with a broker
 * instead of returning it, so its last complaint is kept: when the time is over, "no reply" and "no
 * reply, and the broker's certificate did not verify" are two different messages.
 */
#include "service/ctl/kafka_conf.h"

#include <assert.h>
#include <stdio.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/profile.h"

#define SECRET_MOST (64 * 1024)

/* librdkafka's own threads call this one. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	const struct kafka_complaint *c = rk != NULL ? rd_kafka_opaque(rk) : NULL;

	if (c != NULL && c->debug)
		(void)fprintf(stderr, "tokenctl: librdkafka %d %s: %s\n", level, facility, text);
}

/* Our thread calls this one, inside of a poll. */
static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct kafka_complaint *c = opaque;

	(void)rk;
	(void)snprintf(c->text, sizeof(c->text), "%s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

static rd_kafka_conf_t *
new_conf(struct kafka_complaint *c)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_opaque(conf, c);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_error_cb(conf, on_error);
	return conf;
}

static int
set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *ret_err)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
		return 0;
	return err_set(ret_err, ERR_REFUSE, "the Kafka property %s: %s", name, why);
}

static int
set_from_file(rd_kafka_conf_t *conf, const char *name, const char *path, struct err *ret_err)
{
	struct secret *s = secret_read_file(path, SECRET_MOST, true, ret_err);
	int result;

	if (s == NULL)
		return err_prefix(ret_err, "the Kafka property %s", name);
	result = set(conf, name, (const char *)secret_bytes(s).data, ret_err);
	secret_release(s);
	return result;
}

/* "name=value", as a profile has them. */
static int
set_property(rd_kafka_conf_t *conf, const char *property, bool from_file, struct err *ret_err)
{
	char name[128];
	size_t name_bytes;
	const char *value = profile_property_value(property, &name_bytes);

	assert(value != NULL);
	(void)snprintf(name, sizeof(name), "%.*s", (int)name_bytes, property);
	return from_file ? set_from_file(conf, name, value, ret_err) : set(conf, name, value, ret_err);
}

rd_kafka_conf_t *
kafka_conf_of_profile(const struct profile *p, struct kafka_complaint *c, struct err *ret_err)
{
	rd_kafka_conf_t *conf = new_conf(c);

	for (unsigned i = 0; i < p->n_kafka; i++)
		if (set_property(conf, p->kafka[i], false, ret_err) != 0)
			goto fail;
	for (unsigned i = 0; i < p->n_kafka_secret_files; i++)
		if (set_property(conf, p->kafka_secret_files[i], true, ret_err) != 0)
			goto fail;
	return conf;
fail:
	rd_kafka_conf_destroy(conf);
	return NULL;
}

rd_kafka_conf_t *
kafka_conf_of_config(const struct config *config, struct kafka_complaint *c, struct err *ret_err)
{
	rd_kafka_conf_t *conf = new_conf(c);

	for (size_t i = 0; i < config->n_kafka; i++)
		if (set(conf, config->kafka[i].name, config->kafka[i].value, ret_err) != 0)
			goto fail;
	for (size_t i = 0; i < config->n_kafka_secret_files; i++)
		if (set_from_file(conf, config->kafka_secret_files[i].name, config->kafka_secret_files[i].value,
		    ret_err) != 0)
			goto fail;
	return conf;
fail:
	rd_kafka_conf_destroy(conf);
	return NULL;
}

void
kafka_conf_own(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, NULL, 0);

	assert(result == RD_KAFKA_CONF_OK);
	(void)result;
}

rd_kafka_t *
kafka_conf_open(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *ret_err)
{
	char why[256];
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));

	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		(void)err_set(ret_err, ERR_REFUSE, "the Kafka properties do not fit together: %s", why);
	}
	return rk;
}
