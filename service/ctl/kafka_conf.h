/* SPDX-License-Identifier: Apache-2.0 */
/* librdkafka's configuration from a profile or from tokend.yaml, and what librdkafka complains of. */
#ifndef TOKEND_CTL_KAFKA_CONF_H
#define TOKEND_CTL_KAFKA_CONF_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

struct config;
struct err;
struct profile;

/* The opaque of every handle made from these configurations; outlives the handle. */
struct kafka_complaint {
	bool debug;                     /* print librdkafka's log on stderr */
	char text[256];                 /* what it said last, "" so far: a timeout can say why */
};

/* Secret files are read. NULL and a sentence that names the property. */
rd_kafka_conf_t *kafka_conf_of_profile(const struct profile *p, struct kafka_complaint *c, struct err *ret_err);
rd_kafka_conf_t *kafka_conf_of_config(const struct config *config, struct kafka_complaint *c, struct err *ret_err);

/* Set a property of tokenctl's own; one that librdkafka refuses is a bug. */
void kafka_conf_own(rd_kafka_conf_t *conf, const char *name, const char *value);

/* A handle; conf is given away in any case. */
rd_kafka_t *kafka_conf_open(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *ret_err);

#endif
