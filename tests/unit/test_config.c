/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a good file means what it says, and every bad one is refused by one sentence that names key and
 * value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/text.h"

#define ACCOUNT "11111111-2222-4333-8444-555555555555"
#define CLUSTER "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

static const char good[] =
    "service_id: prod-tokens\n"
    "instance: tokend-0\n"
    "kafka: [\"bootstrap.servers=broker:9092\", \"ssl.ca.location=/ca=1.pem\"]\n"
    "kafka_secret_files: [\"sasl.password=secrets/kafka\"]\n"
    "topics: {partitions: 6}\n"
    "signing_key: {id: svc-2026a, file: /run/secrets/signing.key}\n"
    "policy_file: policy.yaml\n"
    "clusters:\n"
    "  - {name: prod, product: dedicated, url: \"https://console.influxdata.com\", account_id: " ACCOUNT ",\n"
    "     cluster_id: " CLUSTER ", management_token_file: token, ca_file: ca.pem}\n"
    "  - {name: lab, product: clustered, url: \"http://127.0.0.1:8080\", management_token_file: /t, retiring: true}\n";

static char directory[] = "/tmp/test_config.XXXXXX";
static char path[64];

static struct config *
load_text(const char *text, struct err *ret_err)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	return config_load(path, ret_err);
}

/* The good file with its first from replaced; free() it. */
static char *
changed(const char *from, const char *to)
{
	const char *at = strstr(good, from);
	char *text = NULL;

	if (at == NULL)
		fail_msg("\"%s\" is not in the good file", from);
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) > 0);
	return text;
}

static void
says_what_it_means(void **state)
{
	struct err e = { 0 };
	struct config *c = load_text(good, &e);
	char expected[128];

	(void)state;
	if (c == NULL)
		fail_msg("%s", e.text);
	assert_string_equal(c->service_id, "prod-tokens");
	assert_string_equal(c->namespace_, "default");
	assert_string_equal(c->transactional_id, "prod-tokens/default/tokend-0");
	assert_string_equal(c->group_id, "tokend-prod-tokens");
	assert_int_equal(c->n_kafka, 2);
	assert_string_equal(c->kafka[1].name, "ssl.ca.location");
	assert_string_equal(c->kafka[1].value, "/ca=1.pem");
	assert_int_equal(c->n_kafka_secret_files, 1);
	assert_string_equal(c->kafka_secret_files[0].name, "sasl.password");
	(void)snprintf(expected, sizeof(expected), "%s/secrets/kafka", directory);
	assert_string_equal(c->kafka_secret_files[0].value, expected);
	assert_string_equal(c->topic_requests, "tokend.requests");
	assert_string_equal(c->topic_deadletters, "tokend.deadletters");
	assert_int_equal(c->partitions, 6);
	assert_int_equal(c->topic_checks, TOPIC_CHECKS_STRICT);
	assert_string_equal(c->signing_key_file, "/run/secrets/signing.key");
	(void)snprintf(expected, sizeof(expected), "%s/policy.yaml", directory);
	assert_string_equal(c->policy_file, expected);
	assert_true(c->deadline_most_ms == 3600000);
	assert_true(c->sweep_interval_ms == 900000);
	assert_int_equal(c->max_pending, 1000);
	assert_int_equal(c->max_remembered, 1000000);
	assert_int_equal(c->workers, 0);
	assert_string_equal(c->ops_address, "127.0.0.1");
	assert_int_equal(c->ops_port, 9464);
	config_free(c);
	config_free(NULL);
}

static void
clusters_are_found_by_name_and_by_ids(void **state)
{
	struct err e = { 0 };
	struct config *c = load_text(good, &e);
	unsigned char digest[CLUSTER_DIGEST_BYTES];

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->n_clusters, 2);
	assert_int_equal(c->clusters[0].product, CLUSTER_DEDICATED);
	assert_int_equal(c->clusters[0].max_concurrency, 32);
	assert_false(c->clusters[0].retiring);
	assert_int_equal(c->clusters[1].product, CLUSTER_CLUSTERED);
	assert_null(c->clusters[1].account_id);
	assert_null(c->clusters[1].ca_file);
	assert_true(c->clusters[1].retiring);
	assert_int_equal(config_cluster(c, "prod"), 0);
	assert_int_equal(config_cluster(c, "lab"), 1);
	assert_int_equal(config_cluster(c, "la"), -1);
	assert_int_equal(config_cluster_by_ids(c, ACCOUNT, CLUSTER), 0);
	assert_int_equal(config_cluster_by_ids(c, CLUSTER, ACCOUNT), -1);
	/* What the journal keeps: it must not change from one release to the next. */
	dsse_sha256(span_str("dedicated\nhttps://console.influxdata.com\n" ACCOUNT "\n" CLUSTER), digest);
	assert_memory_equal(c->clusters[0].digest, digest, sizeof(digest));
	dsse_sha256(span_str("clustered\nhttp://127.0.0.1:8080\n\n"), digest);
	assert_memory_equal(c->clusters[1].digest, digest, sizeof(digest));
	config_free(c);
}

/* A key that is longer than a sentence, in letters of two, three and four bytes: it is cut between two of them. */
static void
a_long_key_is_cut_as_text(void **state)
{
	static const char *const letters[] = { "\u00e9", "\u20ac", "\U0001d11e" };
	char key[1200];
	struct err e;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (size_t shift = 0; shift < 4; shift++) {
			(void)snprintf(key, sizeof(key), "%.*s", (int)shift, "xxxx");
			while (strlen(key) < 600)
				strcat(key, letters[i]);
			strcat(key, ": 1\ninstance:");

			char *text = changed("instance:", key);

			assert_null(load_text(text, &e));
			assert_true(text_is_utf8(span_str(e.text)));
			assert_non_null(strstr(e.text, letters[i]));
			free(text);
		}
}

static void
what_is_said_of_records(void **state)
{
	char *text = changed("instance:",
	    "reply_schema_id: 7\ncloudevents: true\necho_headers: [x-request-id, spanId]\n"
	    "skip: [requests/5@1234, \"tokend.requests/0@0\"]\ninstance:");
	struct err e;
	struct config *c = load_text(text, &e);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->reply_schema_id, 7);
	assert_true(c->cloudevents);
	assert_int_equal(c->n_echo_headers, 2);
	assert_string_equal(c->echo_headers[1], "spanId");
	assert_true(config_skips(c, 5, 1234));
	assert_true(config_skips(c, 0, 0));
	assert_false(config_skips(c, 4, 1234));
	assert_false(config_skips(c, 5, 1235));
	config_free(c);
	free(text);

	c = load_text(good, &e);
	assert_int_equal(c->reply_schema_id, 0);
	assert_false(c->cloudevents);
	assert_int_equal(c->n_echo_headers + c->n_skip, 0);
	config_free(c);
}

/* Each row: what to replace in the good file, by what, and what the sentence must hold. */
#define SIXTY "a-name-of-twenty-byt-a-name-of-twenty-byt-a-name-of-twenty-b"

static void
bad_files_are_refused_by_name(void **state)
{
	static const struct { const char *from, *to, *said, *too; } rows[] = {
		/* the grammar */
		{ "instance:", "instanze: x\ninstance:", "instanze", "line" },
		{ "topics: {", "topics: {bytes: 3, ", "bytes", "line" },
		{ "ca_file: ca.pem", "ca_file: ca.pem, tls: 1", "tls", "line" },
		{ "instance: tokend-0\n", "", "instance", "" },
		{ "topics: {partitions: 6}", "topics: {requests: r}", "partitions", "" },
		{ "instance: tokend-0\n", "instance: tokend-0\ninstance: tokend-1\n", "instance", "" },
		{ "instance: tokend-0\n", "instance: &a tokend-0\nnamespace: *a\n", "lias", "" },
		{ "instance: tokend-0\n", "instance: [a, b]\n", "", "line" },
		{ "instance: tokend-0\n", "instance:\n", "", "line" },
		{ "policy_file:", "---\npolicy_file:", "", "" },
		{ "clusters:", "clusters: {\n", "", "" },
		{ "service_id: prod-tokens", "service_id: \"\xff\"", "", "" },
		/* who we are */
		{ "prod-tokens", "Prod", "service_id: \"Prod\"", "" },
		{ "tokend-0", "Tokend_0", "instance: \"Tokend_0\"", "" },
		{ "instance:", "namespace: a/b\ninstance:", "namespace: \"a/b\"", "" },
		{ "instance: tokend-0\n", "namespace: " SIXTY "\ninstance: a" SIXTY "a" SIXTY "\n", "instance: \"a",
		    "168 bytes" },
		/* topics */
		{ "{partitions: 6}", "{partitions: 0}", "topics.partitions: \"0\"", "1 to 10000" },
		{ "{partitions: 6}", "{partitions: 10001}", "topics.partitions: \"10001\"", "" },
		{ "{partitions: 6}", "{partitions: 6x}", "topics.partitions: \"6x\"", "" },
		{ "{partitions: 6}", "{partitions: 0x6}", "topics.partitions: \"0x6\"", "" },
		{ "{partitions: 6}", "{partitions: -6}", "topics.partitions: \"-6\"", "" },
		{ "{partitions: 6}", "{partitions: 4294967302}", "topics.partitions: \"4294967302\"", "" },
		{ "{partitions: 6}", "{partitions: 6, requests: a b}", "topics.requests: \"a b\"", "" },
		{ "{partitions: 6}", "{partitions: 6, journal: ..}", "topics.journal: \"..\"", "" },
		{ "{partitions: 6}", "{partitions: 6, replies: tokend.journal}", "topics: \"tokend.journal\"",
		    "one topic" },
		{ "instance:", "topic_checks: none\ninstance:", "topic_checks: \"none\"", "strict or partitions" },
		/* kafka */
		{ "\"bootstrap.servers=broker:9092\", ", "", "bootstrap.servers is missing", "" },
		{ "\"ssl.ca.location=/ca=1.pem\"", "\"ssl.ca.location\"", "kafka: an entry", "name=value" },
		{ "\"ssl.ca.location=/ca=1.pem\"", "\"=x\"", "kafka: \"\"", "" },
		{ "ssl.ca.location=/ca=1.pem", "ssl.ca.location=", "kafka: \"ssl.ca.location\" has no value", "" },
		{ "\"ssl.ca.location=/ca=1.pem\"", "\"Group.Id=x\"", "kafka: \"Group.Id\"", "" },
		{ "ssl.ca.location=/ca=1.pem", "bootstrap.servers=y", "kafka: \"bootstrap.servers\" stands twice", "" },
		{ "ssl.ca.location=/ca=1.pem", "sasl.password=hunter2", "kafka: \"sasl.password\" is a secret",
		    "kafka_secret_files" },
		{ "ssl.ca.location=/ca=1.pem", "Hunter2", "kafka: an entry of 7 bytes has no =", "" },
		{ "sasl.password=secrets/kafka", "bootstrap.servers=f", "kafka_secret_files: \"bootstrap.servers\"",
		    "kafka, too" },
		{ "sasl.password=secrets/kafka", "acks=f", "kafka_secret_files: \"acks\"", "tokend itself" },
		/* files */
		{ "svc-2026a", "svc:1", "signing_key.id: \"svc:1\"", "" },
		/* clusters */
		{ "name: prod", "name: Prod", "clusters[0]: name: \"Prod\"", "" },
		{ "name: lab", "name: prod", "clusters[1]: name: \"prod\"", "one cluster only" },
		{ "product: dedicated", "product: serverless", "clusters[0]: product: \"serverless\"", "" },
		{ "account_id: " ACCOUNT ",", "", "clusters[0]: account_id is missing", "" },
		{ ",\n     cluster_id: " CLUSTER, "", "clusters[0]: cluster_id is missing", "" },
		{ "account_id: 1111", "account_id: 111G", "account_id: \"111G", "lower case" },
		{ "cluster_id: aaaa", "cluster_id: AAAA", "cluster_id: \"AAAA", "lower case" },
		{ "product: clustered", "product: clustered, account_id: " ACCOUNT, "clusters[1]: account_id",
		    "absent" },
		{ "retiring: true", "retiring: flase", "clusters[1]: retiring: \"flase\"", "true or false" },
		{ "retiring: true", "max_concurrency: 0", "clusters[1]: max_concurrency: \"0\"", "" },
		{ "retiring: true}", "retiring: true}\n  - {name: l2, product: clustered, "
		    "url: \"http://127.0.0.1:8080\", management_token_file: t}",
		    "clusters[2]: \"l2\" is the same cluster as \"lab\"", "" },
		{ "retiring: true}", "retiring: true}\n  - {name: p2, product: dedicated, url: \"https://x\", "
		    "account_id: " ACCOUNT ", cluster_id: " CLUSTER ", management_token_file: t}",
		    "clusters[2]: \"p2\" is the same cluster as \"prod\"", "" },
		/* limits */
		{ "instance:", "deadline_most: 59s\ninstance:", "deadline_most: \"59s\"", "1m to 24h" },
		{ "instance:", "deadline_most: 25h\ninstance:", "deadline_most: \"25h\"", "" },
		{ "instance:", "sweep_interval: 4s\ninstance:", "sweep_interval: \"4s\"", "5s to 1h" },
		{ "instance:", "sweep_interval: 61m\ninstance:", "sweep_interval: \"61m\"", "5s to 1h" },
		{ "instance:", "deadline_most: 3600\ninstance:", "deadline_most: \"3600\"", "" },
		{ "instance:", "max_pending: 100001\ninstance:", "max_pending: \"100001\"", "" },
		{ "instance:", "max_pending: 0\ninstance:", "max_pending: \"0\"", "" },
		{ "instance:", "max_remembered: 99\ninstance:", "max_remembered: \"99\"", "100 to 100000000" },
		{ "instance:", "max_remembered: 999\ninstance:", "max_remembered: \"999\"", "at least max_pending" },
		{ "instance:", "workers: 257\ninstance:", "workers: \"257\"", "" },
		/* records */
		{ "instance:", "cloudevents: yes\ninstance:", "cloudevents: \"yes\"", "true or false" },
		{ "instance:", "reply_schema_id: 2147483648\ninstance:", "reply_schema_id: \"2147483648\"", "" },
		{ "instance:", "echo_headers: [x y]\ninstance:", "echo_headers: \"x y\"", "" },
		{ "instance:", "echo_headers: [Tokend-X]\ninstance:", "echo_headers: \"Tokend-X\"", "know already" },
		{ "instance:", "echo_headers: [ce_id]\ninstance:", "echo_headers: \"ce_id\"", "know already" },
		{ "instance:", "echo_headers: [Content-Type]\ninstance:", "echo_headers: \"Content-Type\"", "" },
		{ "instance:", "echo_headers: [x, y, x]\ninstance:", "echo_headers: \"x\" must be there once", "" },
		{ "instance:", "skip: [requests/6@1]\ninstance:", "skip: \"requests/6@1\"", "below 6" },
		{ "instance:", "skip: [replies/1@1]\ninstance:", "skip: \"replies/1@1\"", "tokend.requests/" },
		{ "instance:", "skip: [requests/1@]\ninstance:", "skip: \"requests/1@\"", "" },
		{ "instance:", "skip: [requests/@1]\ninstance:", "skip: \"requests/@1\"", "" },
		{ "instance:", "skip: [requests/1@1x]\ninstance:", "skip: \"requests/1@1x\"", "" },
		{ "instance:", "skip: [requests/1@9223372036854775807]\ninstance:", "skip: \"requests/1@9", "" },
		{ "instance:", "skip: [requests/1@99999999999999999999]\ninstance:", "skip: \"requests/1@9", "" },
		{ "instance:", "ops: {address: localhost}\ninstance:", "ops.address: \"localhost\"", "IP address" },
		{ "instance:", "ops: {port: 65536}\ninstance:", "ops.port: \"65536\"", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		char *text = changed(rows[i].from, rows[i].to);

		if (load_text(text, &e) != NULL)
			fail_msg("taken: %s", text);
		if (strstr(e.text, rows[i].said) == NULL || strstr(e.text, rows[i].too) == NULL)
			fail_msg("%s\ndoes not say \"%s\" and \"%s\"", e.text, rows[i].said, rows[i].too);
		assert_int_equal(strncmp(e.text, path, strlen(path)), 0);
		assert_null(strcasestr(e.text, "hunter2"));
		assert_int_equal(e.next, ERR_REFUSE);
		free(text);
	}
}

static void
what_the_protocol_owns_is_refused(void **state)
{
	static const char *const owned[] = { "isolation.level", "enable.auto.commit", "enable.auto.offset.store",
		"enable.partition.eof", "auto.offset.reset", "acks", "request.required.acks", "message.timeout.ms",
		"delivery.timeout.ms", "socket.timeout.ms", "max.poll.interval.ms", "queued.max.messages.kbytes",
		"queued.min.messages",
		"fetch.message.max.bytes", "max.partition.fetch.bytes", "group.id", "group.instance.id",
		"transactional.id", "partition.assignment.strategy", "session.timeout.ms", "transaction.timeout.ms",
		"heartbeat.interval.ms", "enable.idempotence" };

	(void)state;
	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
		struct err e = { 0 };
		char entry[80], *text;

		(void)snprintf(entry, sizeof(entry), "%s=1", owned[i]);
		text = changed("ssl.ca.location=/ca=1.pem", entry);
		assert_null(load_text(text, &e));
		assert_non_null(strstr(e.text, owned[i]));
		assert_non_null(strstr(e.text, "tokend itself"));
		free(text);
	}
}

static void
only_urls_that_lead_nowhere_else(void **state)
{
	static const char *const fine[] = { "https://a", "https://a.b-c.example:8443", "https://10.0.0.1",
		"https://[fe80::1]:443", "http://localhost", "http://localhost:1", "http://[::1]:8080",
		"https://under_score:65535" };
	static const char *const bad[] = { "ftp://a", "a", "https://", "https:///", "https://a/", "https://a/api",
		"https://a?x", "https://a#x", "https://user@a", "https://u:p@a", "https://a:", "https://a:0",
		"https://a:65536", "https://a:80x", "https://a:443:1", "https://[::1", "https://[]", "https://[::1]x",
		"https://[::g]", "https://a b", "HTTPS://a", "http://a", "http://127.0.0.1.evil.example",
		"http://127.0.0.1@evil.example", "http://localhost.evil.example", "http://[::2]", "https://a\\nb",
		"https://a%2fb", "https://ä" };

	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]) + sizeof(bad) / sizeof(bad[0]); i++) {
		bool is_fine = i < sizeof(fine) / sizeof(fine[0]);
		const char *url = is_fine ? fine[i] : bad[i - sizeof(fine) / sizeof(fine[0])];
		char *text = changed("https://console.influxdata.com", url);
		struct err e = { 0 };
		struct config *c = load_text(text, &e);

		if (is_fine != (c != NULL))
			fail_msg("%s: %s", url, c != NULL ? "taken" : e.text);
		if (c == NULL)
			assert_non_null(strstr(e.text, "clusters[0]: url: \""));
		config_free(c);
		free(text);
	}
}

static void
files_that_cannot_be_read(void **state)
{
	struct err e = { 0 };
	char *huge = malloc(2 * 1024 * 1024);

	(void)state;
	assert_null(config_load("/nonexistent/tokend.yaml", &e));
	assert_non_null(strstr(e.text, "/nonexistent/tokend.yaml: cannot be opened"));
	assert_null(config_load(directory, &e));
	assert_non_null(strstr(e.text, "cannot be read"));
	assert_null(load_text("", &e));
	assert_non_null(strstr(e.text, "empty"));
	assert_null(load_text("# nothing but a comment\n", &e));
	(void)snprintf(huge, 2 * 1024 * 1024, "%s---\nservice_id: another\n", good);
	assert_null(load_text(huge, &e));       /* a second document, that nobody would read */
	memset(huge, '#', 2 * 1024 * 1024 - 1);
	huge[2 * 1024 * 1024 - 1] = '\0';
	assert_null(load_text(huge, &e));
	assert_non_null(strstr(e.text, "more than"));
	free(huge);
}

static int
make_directory(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/tokend.yaml", directory);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_means),
		cmocka_unit_test(clusters_are_found_by_name_and_by_ids),
		cmocka_unit_test(a_long_key_is_cut_as_text),
		cmocka_unit_test(what_is_said_of_records),
		cmocka_unit_test(bad_files_are_refused_by_name),
		cmocka_unit_test(what_the_protocol_owns_is_refused),
		cmocka_unit_test(only_urls_that_lead_nowhere_else),
		cmocka_unit_test(files_that_cannot_be_read),
	};

	return cmocka_run_group_tests_name("config", tests, make_directory, remove_directory);
}
