/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Austin Appleby's MurmurHash2 as Kafka's Java client has it
 * (org.apache.kafka.common.utils.Utils.murmur2): 32 bits, that seed, words read little-endian. The home
 * of a request depends on each bit of it; the test holds Kafka's own known values.
 */
#include "service/base/murmur2.h"

#include <assert.h>

#define SEED 0x9747b28cu
#define M 0x5bd1e995u

static uint32_t
word_at(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t
murmur2(struct span key)
{
	uint32_t hash = SEED ^ (uint32_t)key.bytes, word;
	const unsigned char *p = key.data;
	size_t left = key.bytes;

	for (; left >= 4; left -= 4, p += 4) {
		word = word_at(p) * M;
		word = (word ^ word >> 24) * M;
		hash = hash * M ^ word;
	}
	if (left >= 3)
		hash ^= (uint32_t)p[2] << 16;
	if (left >= 2)
		hash ^= (uint32_t)p[1] << 8;
	if (left >= 1)
		hash = (hash ^ p[0]) * M;

	hash = (hash ^ hash >> 13) * M;
	return hash ^ hash >> 15;
}

int32_t
murmur2_partition(struct span key, int32_t partitions)
{
	assert(partitions >= 1);
	return (int32_t)(murmur2(key) & 0x7fffffff) % partitions;
}
