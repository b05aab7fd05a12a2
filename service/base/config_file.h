/* SPDX-License-Identifier: Apache-2.0 */
/* The words of tokend.yaml, before they are judged: the room between the file's grammar (config_file.c)
 * and its sense (config.c).
 *
 * Every key of the file stands in a table here, and only here: ROW(key, presence, default, meaning).
 * Members, grammar, defaults and the README's reference come from it. Add a key: a row, and its
 * judgement in config.c.
 *
 * All values are texts. Numbers and words are read by config.c, whose sentences hold the offending
 * value; libcyaml's do not, and it takes "0x10" for a number and "flase" for true. */
#ifndef TOKEND_BASE_CONFIG_FILE_H
#define TOKEND_BASE_CONFIG_FILE_H

#include <stddef.h>

struct err;

#define CONFIG_KEYS(ROW) \
	ROW(service_id, REQUIRED, NULL, "the service's name in requests, in group.id and in the tokens' markers") \
	ROW(namespace, OPTIONAL, "default", "part of transactional.id") \
	ROW(instance, REQUIRED, NULL, "part of transactional.id, the pod's name: two of the same fence each other") \
	ROW(topic_checks, OPTIONAL, "strict", \
	    "strict: topics are as the protocol needs them, or no start; partitions: their number alone") \
	ROW(policy_file, REQUIRED, NULL, "who may have what") \
	ROW(deadline_most, OPTIONAL, "1h", "the longest life that a request may ask for; 1m to 24h") \
	ROW(sweep_interval, OPTIONAL, "15m", \
	    "how often a cluster is looked through for orphans while attempts there are younger than a day; 5s to 1h") \
	ROW(max_pending, OPTIONAL, "1000", "requests in work per partition; 1 to 100000") \
	ROW(max_remembered, OPTIONAL, "1000000", \
	    "requests remembered per partition held, at most 96 bytes each; max_pending, and 100, to 100000000") \
	ROW(workers, OPTIONAL, "0", "threads that call the Management API; 0: one per CPU") \
	ROW(reply_schema_id, OPTIONAL, "0", "frames replies for Schema Registry's deserializers with this id; 0: raw protobuf") \
	ROW(cloudevents, OPTIONAL, "false", "true: replies carry the ce_* headers of a binary CloudEvent")

#define CONFIG_TOPICS_KEYS(ROW) \
	ROW(requests, OPTIONAL, "tokend.requests", "the topic of requests") \
	ROW(replies, OPTIONAL, "tokend.replies", "the topic of replies") \
	ROW(journal, OPTIONAL, "tokend.journal", "the topic of intents and outcomes") \
	ROW(deadletters, OPTIONAL, "tokend.deadletters", "the topic of records that nobody can be answered for") \
	ROW(partitions, REQUIRED, NULL, "of each of the first three; 1 to 10000")

#define CONFIG_SIGNING_KEY_KEYS(ROW) \
	ROW(id, REQUIRED, NULL, "names the key in replies") \
	ROW(file, REQUIRED, NULL, "base64 of its 32-byte seed")

#define CONFIG_OPS_KEYS(ROW) \
	ROW(address, OPTIONAL, "127.0.0.1", "where /livez /readyz /metrics listen") \
	ROW(port, OPTIONAL, "9464", "0: nowhere")

#define CONFIG_CLUSTER_KEYS(ROW) \
	ROW(name, REQUIRED, NULL, "what requests and the policy call it") \
	ROW(product, REQUIRED, NULL, "dedicated or clustered") \
	ROW(url, REQUIRED, NULL, "of the Management API: https://host[:port]") \
	ROW(account_id, OPTIONAL, NULL, "a UUID; dedicated only") \
	ROW(cluster_id, OPTIONAL, NULL, "a UUID; dedicated only") \
	ROW(management_token_file, REQUIRED, NULL, "the credential with which tokens are made") \
	ROW(ca_file, OPTIONAL, NULL, "the authorities to trust instead of the system's") \
	ROW(max_concurrency, OPTIONAL, "32", "calls at once at most; 1 to 1000") \
	ROW(retiring, OPTIONAL, "false", "true: takes no new requests")

/* Lists of texts: ROW(key, presence, least, most, meaning). */
#define CONFIG_LISTS(ROW) \
	ROW(kafka, REQUIRED, 1, 200, "librdkafka's own properties, name=value") \
	ROW(kafka_secret_files, OPTIONAL, 0, 200, "the same, the value in a file: name=path") \
	ROW(echo_headers, OPTIONAL, 0, 32, "request headers to send back, beside the three that always are") \
	ROW(skip, OPTIONAL, 0, 1000, "records to dead-letter undecoded: topic/partition@offset")

#define MEMBER(key, presence, standard, meaning) char *key;
struct config_file_topics { CONFIG_TOPICS_KEYS(MEMBER) };
struct config_file_signing_key { CONFIG_SIGNING_KEY_KEYS(MEMBER) };
struct config_file_ops { CONFIG_OPS_KEYS(MEMBER) };
struct config_file_cluster { CONFIG_CLUSTER_KEYS(MEMBER) };

struct config_file {
	CONFIG_KEYS(MEMBER)
	struct config_file_topics topics;
	struct config_file_signing_key signing_key;
	struct config_file_ops ops;
#define LIST(key, presence, least, most, meaning) char **key; unsigned key##_count;
	CONFIG_LISTS(LIST)
#undef LIST
	struct config_file_cluster *clusters; unsigned clusters_count;
};
#undef MEMBER

/* The file's words, defaults filled in. NULL and one sentence when it is not what the tables say. */
struct config_file *config_file_load(const char *path, struct err *ret_err);
void config_file_free(struct config_file *f);

#endif
