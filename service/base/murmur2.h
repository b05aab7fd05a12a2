/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's default partitioner (Java, franz-go, librdkafka's murmur2_random): a request ID's home. Pure. */
#ifndef TOKEND_BASE_MURMUR2_H
#define TOKEND_BASE_MURMUR2_H

#include <stdint.h>

#include "service/base/span.h"

uint32_t murmur2(struct span key);

/* (murmur2(key) & 0x7fffffff) mod partitions; partitions >= 1. */
int32_t murmur2_partition(struct span key, int32_t partitions);

#endif
