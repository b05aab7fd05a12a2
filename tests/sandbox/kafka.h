/* SPDX-License-Identifier: Apache-2.0 */
/* An embedded Kafka: librdkafka's mock cluster, on loopback. For trying things out; its transactions fence nothing and
 * its offsets are not kept, so nothing is proven on it alone. */
#ifndef SANDBOX_KAFKA_H
#define SANDBOX_KAFKA_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct kafka;

struct kafka_topic { const char *name; int partitions; };

struct kafka *kafka_new(const struct kafka_topic *topics, size_t n_topics, struct err *ret_err);
/* "127.0.0.1:PORT" */
const char *kafka_bootstrap(const struct kafka *k);
void kafka_free(struct kafka *k);

#endif
