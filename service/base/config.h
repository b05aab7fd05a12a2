/* SPDX-License-Identifier: Apache-2.0 */
/* tokend.yaml: loaded once, never changed while the process lives (clusters and topics change by restart). Secrets are
 * paths. An unknown key, a key of the protocol's own under kafka:, or any warning of the parser's refuses the file.
 *
 *   service_id: prod-tokens            # required
 *   namespace: default                 # part of transactional.id, with instance
 *   instance: tokend-0                 # required; the pod's name. Two of the same fence each other
 *   kafka: ["bootstrap.servers=broker:9092", "security.protocol=SSL"]     # librdkafka's own properties
 *   kafka_secret_files: ["sasl.password=/run/secrets/kafka"]              # the same, the value in a file
 *   topics: {requests: tokend.requests, replies: tokend.replies, journal: tokend.journal,
 *            deadletters: tokend.deadletters, partitions: 6}
 *   topic_checks: strict               # or: partitions
 *   signing_key: {id: svc-2026a, file: /run/secrets/signing.key}
 *   policy_file: /etc/tokend/policy.yaml
 *   clusters:
 *     - {name: prod, product: dedicated, url: "https://console.influxdata.com", account_id: ..., cluster_id: ...,
 *        management_token_file: /run/secrets/management-token, ca_file: ..., max_concurrency: 32, retiring: false}
 *   deadline_most: 1h
 *   sweep_interval: 15m                # between two looks for orphans
 *   max_pending: 1000                  # tickets per partition
 *   max_remembered: 1000000            # requests remembered per partition: how far each may look back does not
 *                                      # depend on who holds it, and with which others
 *   workers: 0                         # threads that call the API; 0: one per CPU
 *   reply_schema_id: 0                 # above 0: replies are framed for Schema Registry's deserializers
 *   cloudevents: false                 # true: replies carry ce_* headers
 *   echo_headers: [x-request-id]       # sent back byte for byte, beside the three correlation headers
 *   skip: ["tokend.requests/3@1234"]   # records to dead-letter undecoded
 *   ops: {address: 127.0.0.1, port: 9464}     # /livez /readyz /metrics; port 0: none
 */
#ifndef TOKEND_BASE_CONFIG_H
#define TOKEND_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_DIGEST_BYTES 32

struct err;

enum cluster_product { CLUSTER_DEDICATED, CLUSTER_CLUSTERED };
enum topic_checks { TOPIC_CHECKS_STRICT, TOPIC_CHECKS_PARTITIONS };

struct cluster {
	char *name;                     /* [a-z0-9-]{1,64} */
	enum cluster_product product;
	char *url;                      /* https://host[:port], http only for loopback; no path, no trailing slash */
	char *account_id;               /* UUIDs, lower case, for dedicated; NULL for clustered */
	char *cluster_id;
	char *management_token_file;
	char *ca_file;                  /* NULL: the system's */
	unsigned max_concurrency;       /* calls at once at most; default 32 */
	bool retiring;                  /* takes no new work */
	/* What a name means: SHA-256(product "\n" url "\n" account "\n" cluster). */
	unsigned char digest[CLUSTER_DIGEST_BYTES];
};

struct property {
	char *name, *value;             /* value is a path for a secret file's */
};

struct record_place {
	int32_t partition;              /* of the request topic */
	int64_t offset;
};

struct config {
	char *service_id, *namespace_, *instance;
	char *transactional_id;         /* service_id/namespace/instance */
	char *group_id;                 /* "tokend-" service_id */
	struct property *kafka; size_t n_kafka;
	struct property *kafka_secret_files; size_t n_kafka_secret_files;
	char *topic_requests, *topic_replies, *topic_journal, *topic_deadletters;
	int32_t partitions;
	enum topic_checks topic_checks;
	char *signing_key_id, *signing_key_file;    /* the file: base64 of the 32-byte seed */
	char *policy_file;
	struct cluster *clusters; size_t n_clusters;
	uint64_t deadline_most_ms, sweep_interval_ms;
	unsigned max_pending;
	unsigned max_remembered;
	unsigned workers;
	uint32_t reply_schema_id;       /* 0: replies are raw protobuf */
	bool cloudevents;
	char **echo_headers; size_t n_echo_headers;
	struct record_place *skip; size_t n_skip;
	char *ops_address; uint16_t ops_port;
};

/* Load and check a file. Relative paths in it are relative to the file's directory (the result holds resolved ones).
 * NULL and one sentence, with the offending key and value and where it stands, otherwise. Does not read the secrets. */
struct config *config_load(const char *path, struct err *ret_err);
void config_free(struct config *c);

/* The cluster of that name, or of those two ids; -1 when there is none. */
int config_cluster(const struct config *c, const char *name);
int config_cluster_by_ids(const struct config *c, const char *account_id, const char *cluster_id);
/* Is the record at that place to be dead-lettered undecoded? */
bool config_skips(const struct config *c, int32_t partition, int64_t offset);

#endif
