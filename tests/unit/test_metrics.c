/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what Prometheus reads is well formed and counts what happened, from many threads, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "service/base/metrics.h"

#define THREADS 4
#define EACH 50000

/* The text holds this line, whole? */
static void
assert_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
		if ((at == text || at[-1] == '\n') && at[length] == '\n')
			return;
	fail_msg("no line \"%s\" in\n%s", line, text);
}

static double
value_of(const char *text, const char *name)
{
	char start[100];
	const char *at;

	(void)snprintf(start, sizeof(start), "\n%s ", name);
	at = strstr(text, start);
	if (at == NULL)
		fail_msg("no %s", name);
	return strtod(at + strlen(start), NULL);
}

/* First of all, before anything was counted. */
static void
unlabelled_ones_are_there_from_the_start(void **state)
{
	size_t bytes;
	char *text = metrics_text(&bytes);

	(void)state;
	assert_int_equal(strlen(text), bytes);
	assert_line(text, "tokend_rebalances_total 0");
	assert_line(text, "tokend_pending 0");
	assert_line(text, "tokend_request_duration_seconds_bucket{le=\"+Inf\"} 0");
	assert_line(text, "tokend_request_duration_seconds_sum 0.000000");
	assert_null(strstr(text, "tokend_requests_total{"));
	free(text);
}

static void
help_and_type_stand_once_before_their_series(void **state)
{
	static const char *const names[] = {
#define ROW(id, kind, name, label1, label2, label3, help) name,
		METRICS(ROW)
#undef ROW
		"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
		"process_start_time_seconds"
	};
	size_t bytes;
	char *text;

	(void)state;
	(void)metrics_at(METRIC_INFLIGHT, "a", NULL);
	(void)metrics_at(METRIC_INFLIGHT, "b", NULL);
	text = metrics_text(&bytes);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char line[100];
		const char *at;

		(void)snprintf(line, sizeof(line), "# TYPE %s ", names[i]);
		at = strstr(text, line);
		if (at == NULL || strstr(at + 1, line) != NULL)
			fail_msg("%sstands not exactly once", line);
		(void)snprintf(line, sizeof(line), "# HELP %s ", names[i]);
		at = strstr(text, line);
		if (at == NULL || strstr(at + 1, line) != NULL)
			fail_msg("%sstands not exactly once", line);
	}
	free(text);
}

static void
counts_what_happened(void **state)
{
	struct series *ok = metrics_at(METRIC_REQUESTS, "CreateToken", "OK");
	struct series *gauge = metrics_at(METRIC_LAG, "3", NULL);
	size_t bytes;
	char *text;

	(void)state;
	assert_ptr_equal(metrics_at(METRIC_REQUESTS, "CreateToken", "OK"), ok);
	assert_ptr_not_equal(metrics_at(METRIC_REQUESTS, "OK", "CreateToken"), ok);
	metrics_add(ok, 2);
	metrics_add(ok, 1);
	metrics_set(gauge, 7);
	metrics_set(gauge, -5);
	text = metrics_text(&bytes);
	assert_line(text, "tokend_requests_total{method=\"CreateToken\",code=\"OK\"} 3");
	assert_line(text, "tokend_consumer_lag{partition=\"3\"} -5");
	free(text);
}

static void
as_many_labels_as_the_metric_has(void **state)
{
	size_t bytes;
	char *text;

	(void)state;
	metrics_add(metrics_at3(METRIC_API_REQUESTS, "prod", "create", "created"), 1);
	metrics_add(metrics_at3(METRIC_API_REQUESTS, "prod", "list", "created"), 2);
	metrics_add(metrics_at(METRIC_DEAD_LETTERS, "skip", NULL), 4);
	text = metrics_text(&bytes);
	assert_line(text, "tokend_api_requests_total{cluster=\"prod\",verb=\"create\",class=\"created\"} 1");
	assert_line(text, "tokend_api_requests_total{cluster=\"prod\",verb=\"list\",class=\"created\"} 2");
	assert_line(text, "tokend_dead_letters_total{reason=\"skip\"} 4");
	free(text);
}

static void
labels_are_escaped(void **state)
{
	size_t bytes;
	char *text;

	(void)state;
	metrics_add(metrics_at(METRIC_RETRIES, "a\"b\\c\nd", ""), 1);
	text = metrics_text(&bytes);
	assert_line(text, "tokend_retries_total{cluster=\"a\\\"b\\\\c\\nd\",reason=\"\"} 1");
	free(text);
}

static void
buckets_are_cumulative_and_in_seconds(void **state)
{
	struct series *s = metrics_at(METRIC_API_SECONDS, "p", "create");
	size_t bytes;
	char *text;

	(void)state;
	metrics_observe(s, 0);
	metrics_observe(s, 5000);               /* le means less or equal */
	metrics_observe(s, 5001);
	metrics_observe(s, 60000000);
	metrics_observe(s, 61000000);
	text = metrics_text(&bytes);
	assert_line(text, "tokend_api_request_duration_seconds_bucket{cluster=\"p\",verb=\"create\",le=\"0.005\"} 2");
	assert_line(text, "tokend_api_request_duration_seconds_bucket{cluster=\"p\",verb=\"create\",le=\"0.01\"} 3");
	assert_line(text, "tokend_api_request_duration_seconds_bucket{cluster=\"p\",verb=\"create\",le=\"30\"} 3");
	assert_line(text, "tokend_api_request_duration_seconds_bucket{cluster=\"p\",verb=\"create\",le=\"60\"} 4");
	assert_line(text, "tokend_api_request_duration_seconds_bucket{cluster=\"p\",verb=\"create\",le=\"+Inf\"} 5");
	assert_line(text, "tokend_api_request_duration_seconds_sum{cluster=\"p\",verb=\"create\"} 121.010001");
	assert_line(text, "tokend_api_request_duration_seconds_count{cluster=\"p\",verb=\"create\"} 5");
	free(text);
}

static void
the_process_is_seen(void **state)
{
	size_t bytes;
	char *text = metrics_text(&bytes);
	double start = value_of(text, "process_start_time_seconds"), now = (double)time(NULL);

	(void)state;
	assert_true(start > now - 600 && start < now + 2);
	assert_true(value_of(text, "process_resident_memory_bytes") > 100000);
	assert_true(value_of(text, "process_open_fds") >= 3);
	assert_true(value_of(text, "process_cpu_seconds_total") >= 0);
	free(text);
}

static void *
count(void *context)
{
	(void)context;
	for (int i = 0; i < EACH; i++) {
		metrics_add(metrics_at(METRIC_TRANSACTIONS, "committed", NULL), 1);
		metrics_observe(metrics_at(METRIC_COMMIT_SECONDS, NULL, NULL), 1000);
	}
	return NULL;
}

static void
threads_lose_no_count(void **state)
{
	pthread_t threads[THREADS];
	size_t bytes;
	char *text;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	free(metrics_text(&bytes));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	text = metrics_text(&bytes);
	assert_line(text, "tokend_transactions_total{result=\"committed\"} 200000");
	assert_line(text, "tokend_commit_duration_seconds_count 200000");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unlabelled_ones_are_there_from_the_start),
		cmocka_unit_test(help_and_type_stand_once_before_their_series),
		cmocka_unit_test(counts_what_happened),
		cmocka_unit_test(as_many_labels_as_the_metric_has),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(buckets_are_cumulative_and_in_seconds),
		cmocka_unit_test(the_process_is_seen),
		cmocka_unit_test(threads_lose_no_count),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
