/* SPDX-License-Identifier: Apache-2.0 */
/* What every librdkafka handle of ours begins with: the user's properties, the secret ones from their files,
 * our logger. */
#ifndef TOKEND_KAFKA_CLIENT_H
#define TOKEND_KAFKA_CLIENT_H

#include <stddef.h>

struct config;
struct err;
struct rd_kafka_conf_s;
struct rd_kafka_s;

struct kafka_property { const char *name, *value; };

/* A configuration for one handle; role ends in client.id. own is applied after the user's. The caller gives
 * it to rd_kafka_new. NULL and the offending property otherwise. */
struct rd_kafka_conf_s *kafka_client_conf(const struct config *c, const char *role, const struct kafka_property *own,
    size_t n_own, struct err *ret_err);

/* Would librdkafka take the properties, and can the secret ones be read? Asks no broker. */
int kafka_client_check(const struct config *c, struct err *ret_err);

/* Same, made into a handle (consumer or producer). */
struct rd_kafka_s *kafka_client_consumer(const struct config *c, const char *role, const struct kafka_property *own,
    size_t n_own, struct err *ret_err);

#endif
