/* SPDX-License-Identifier: Apache-2.0 */
/* The mock cluster lives inside a producer handle that is used for nothing else. */
#include "tests/sandbox/kafka.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

#include "service/base/err.h"

struct kafka {
	rd_kafka_t *handle;
	rd_kafka_mock_cluster_t *cluster;
};

static void
quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	(void)facility;
	(void)text;
}

struct kafka *
kafka_new(const struct kafka_topic *topics, size_t n_topics, struct err *ret_err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	struct kafka *k = calloc(1, sizeof *k);
	char why[256];

	if (k == NULL)
		abort();
	rd_kafka_conf_set_log_cb(conf, quiet);
	if ((k->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why)) == NULL) {
		rd_kafka_conf_destroy(conf);
		free(k);
		err_set(ret_err, ERR_FATAL, "no embedded Kafka: %s", why);
		return NULL;
	}
	if ((k->cluster = rd_kafka_mock_cluster_new(k->handle, 1)) == NULL) {
		err_set(ret_err, ERR_FATAL, "no embedded Kafka");
		kafka_free(k);
		return NULL;
	}
	for (size_t i = 0; i < n_topics; i++) {
		rd_kafka_resp_err_t e = rd_kafka_mock_topic_create(k->cluster, topics[i].name, topics[i].partitions, 1);

		if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		err_set(ret_err, ERR_FATAL, "topic %s: %s", topics[i].name, rd_kafka_err2str(e));
		kafka_free(k);
		return NULL;
	}
	return k;
}

const char *
kafka_bootstrap(const struct kafka *k)
{
	return rd_kafka_mock_cluster_bootstraps(k->cluster);
}

void
kafka_free(struct kafka *k)
{
	if (k == NULL)
		return;
	if (k->cluster != NULL)
		rd_kafka_mock_cluster_destroy(k->cluster);
	rd_kafka_destroy(k->handle);
	free(k);
}
