/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#ifndef SANDBOX_OPTIONS_H
#define SANDBOX_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sandbox/kafka.h"
#include "tests/sandbox/store.h"

#define OPTIONS_USAGE 2                 /* exit status */
#define OPTIONS_TOPICS_MOST 32
#define OPTIONS_TOPIC_MOST 249          /* bytes of a name, as Kafka has it */
#define OPTIONS_DATABASES_MOST 256
#define OPTIONS_CLUSTERS_MOST 32

struct options {
	const char *address, *faults_file, *ready_file;
	uint16_t ports[3];              /* API, data, control */
	bool no_kafka, quiet;
	int partitions;
	struct kafka_topic topics[OPTIONS_TOPICS_MOST]; size_t n_topics;
	char topic_names[OPTIONS_TOPICS_MOST][OPTIONS_TOPIC_MOST + 1];
	const char *management_token, *management_token_file, *powerless_token;
	struct store_cluster clusters[OPTIONS_CLUSTERS_MOST];   /* Clustered, that of --cluster-id, each --cluster */
	char cluster_ids[OPTIONS_CLUSTERS_MOST][2][37];
	struct store_options store;     /* points into clusters */
	const char *databases[OPTIONS_DATABASES_MOST]; size_t n_databases;
	uint64_t seed;
};

/* Fill *o from the command line, which it keeps pointing into. -1: go on; else the exit status: all has been said. */
int options_read(int argc, char **argv, struct options *o);

#endif
