/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a flood of lines becomes a few and a number; a trickle is told whole, and nothing is left out uncounted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>

#include "service/base/log_limit.h"
#include "service/base/metrics.h"

#define NOW UINT64_C(1000000)
#define THREADS 4
#define TRIES 10000

static long
metric(const char *series)
{
	size_t bytes;
	char *text = metrics_text(&bytes), *at = strstr(text, series);
	long value = at != NULL ? strtol(at + strlen(series), NULL, 10) : 0;

	free(text);
	return value;
}

/* How many of n at one moment pass; what the passing ones tell is added up. */
static int
passed(struct log_limit *l, int n, uint64_t now, int64_t *told)
{
	int passes = 0;

	while (n-- > 0) {
		int64_t left_out = -1;

		if (log_limit_passes(l, "test", now, &left_out)) {
			passes++;
			*told += left_out;
		}
	}
	return passes;
}

static void
the_first_pass_then_one_a_second(void **state)
{
	struct log_limit l = { 0 };
	int64_t told = 0;

	(void)state;
	assert_int_equal(passed(&l, LOG_LIMIT_BURST, NOW, &told), LOG_LIMIT_BURST);
	assert_int_equal(told, 0);
	assert_int_equal(passed(&l, 1000, NOW, &told), 0);
	assert_int_equal(passed(&l, 7, NOW + LOG_LIMIT_EVERY_MS - 1, &told), 0);
	assert_int_equal(told, 0);
	assert_int_equal(passed(&l, 5, NOW + LOG_LIMIT_EVERY_MS, &told), 1);
	assert_int_equal(told, 1007);
	assert_int_equal(passed(&l, 1, NOW + 2 * LOG_LIMIT_EVERY_MS, &told), 1);
	assert_int_equal(told, 1007 + 4);
}

static void
a_trickle_is_told_whole(void **state)
{
	struct log_limit l = { 0 };
	int64_t told = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(passed(&l, 1, NOW + i * LOG_LIMIT_EVERY_MS, &told), 1);
	assert_int_equal(told, 0);
}

/* Quiet for as long as a burst lasts, and all of a burst may come again; not more, however long it was quiet. */
static void
what_was_not_used_is_not_saved_up(void **state)
{
	struct log_limit l = { 0 };
	int64_t told = 0;

	(void)state;
	assert_int_equal(passed(&l, 1000, NOW, &told), LOG_LIMIT_BURST);
	assert_int_equal(passed(&l, 1000, NOW * 1000, &told), LOG_LIMIT_BURST);
}

static void
what_is_left_out_is_counted(void **state)
{
	struct log_limit l = { 0 };
	int64_t told = 0;
	long before = metric("tokend_log_lines_left_out_total{logger=\"test\"} ");

	(void)state;
	assert_int_equal(passed(&l, LOG_LIMIT_BURST + 3, NOW, &told), LOG_LIMIT_BURST);
	assert_int_equal(metric("tokend_log_lines_left_out_total{logger=\"test\"} "), before + 3);
}

struct shared { struct log_limit limit; atomic_int passed; _Atomic int64_t told; };

static void *
flood(void *arg)
{
	struct shared *s = arg;
	int64_t told = 0;

	for (uint64_t i = 0; i < TRIES; i++)
		s->passed += passed(&s->limit, 1, NOW + i, &told);
	s->told += told;
	return NULL;
}

static void
threads_lose_none(void **state)
{
	static struct shared s;
	pthread_t threads[THREADS];
	int64_t left_out = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, flood, &s), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(log_limit_passes(&s.limit, "test", NOW * 2, &left_out));
	assert_int_equal(s.passed + s.told + left_out, THREADS * TRIES);
	assert_in_range(s.passed, LOG_LIMIT_BURST, LOG_LIMIT_BURST + TRIES / LOG_LIMIT_EVERY_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_pass_then_one_a_second),
		cmocka_unit_test(a_trickle_is_told_whole),
		cmocka_unit_test(what_was_not_used_is_not_saved_up),
		cmocka_unit_test(what_is_left_out_is_counted),
		cmocka_unit_test(threads_lose_none),
	};

	return cmocka_run_group_tests_name("log_limit", tests, NULL, NULL);
}
