/* SPDX-License-Identifier: Apache-2.0 */
/* librdkafka 2.0 has no getter for the generation: its written form is parsed, once, at capture:
 * "CGMDv2:", int32 generation, group id NUL, member id NUL, instance id NUL. */
#include "service/generation.h"

#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "CGMDv2:"

struct generation {
	int owners;
	rd_kafka_consumer_group_metadata_t *metadata;
	int32_t number;
	bool valid;
};

static void
parse(struct generation *g)
{
	void *written;
	size_t bytes, at = strlen(MAGIC);
	rd_kafka_error_t *e = rd_kafka_consumer_group_metadata_write(g->metadata, &written, &bytes);
	const char *text = written, *member;

	g->number = -1;
	if (e != NULL) {
		rd_kafka_error_destroy(e);
		return;
	}
	if (bytes > at + sizeof g->number && memcmp(text, MAGIC, at) == 0) {
		memcpy(&g->number, text + at, sizeof g->number);
		at += sizeof g->number;
		member = memchr(text + at, '\0', bytes - at);
		g->valid = g->number >= 0 && member != NULL && member + 1 < text + bytes && member[1] != '\0';
	}
	free(written);
}

struct generation *
generation_capture(struct rd_kafka_s *consumer)
{
	struct generation *g = calloc(1, sizeof *g);

	if (g == NULL)
		abort();
	g->owners = 1;
	g->metadata = rd_kafka_consumer_group_metadata(consumer);
	if (g->metadata != NULL)
		parse(g);
	return g;
}

struct generation *
generation_hold(struct generation *g)
{
	g->owners++;
	return g;
}

void
generation_release(struct generation *g)
{
	if (g == NULL || --g->owners > 0)
		return;
	if (g->metadata != NULL)
		rd_kafka_consumer_group_metadata_destroy(g->metadata);
	free(g);
}

bool
generation_valid(const struct generation *g)
{
	return g->valid;
}

int32_t
generation_number(const struct generation *g)
{
	return g->number;
}

const struct rd_kafka_consumer_group_metadata_s *
generation_metadata(const struct generation *g)
{
	return g->metadata;
}
