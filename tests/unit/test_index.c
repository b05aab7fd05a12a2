/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the memory of a partition costs at most 96 bytes a request, finds each, and lets go of the oldest that
 * safety does not need, and of no other. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#include "service/base/durations.h"
#include "service/index.h"

#define NOW 1700000000
#define SKEW 120
#define DAY 86400

static struct index_entry *
add(struct index *x, uint64_t key_hash, enum index_state state, int64_t deadline, int64_t last_not_after)
{
	struct index_entry *e = index_insert(x, key_hash);

	e->state = (uint8_t)state;
	e->deadline = index_seconds(deadline);
	e->last_not_after = index_seconds(last_not_after);
	return e;
}

/* Full of a million, and on the way there: the table's slack and the allocator's included. */
static void
test_96_bytes_an_entry(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)state;
	skip();         /* the allocator is another one, which counts nothing */
#else
	struct mallinfo2 before = mallinfo2(), after;
	struct index *x = index_new();

	(void)state;
	for (size_t n = 1; n <= 1000000; n++) {
		size_t bytes;

		add(x, n * 0x9e3779b97f4a7c15u, INDEX_DONE, NOW, 0);
		if (n % 1000 != 0)
			continue;
		after = mallinfo2();
		bytes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
		assert_true(bytes >= n * sizeof(struct index_entry));
		if (n >= 50000 && bytes > n * 96)       /* below that, a chunk of 288 KiB is not yet used up */
			fail_msg("%zu entries take %zu bytes: %zu each", n, bytes, bytes / n);
		if (n < 50000 && bytes > 5000000)
			fail_msg("%zu entries take %zu bytes", n, bytes);
		if (n == 1000000)
			print_message("a million entries take %zu bytes each\n", bytes / n);
	}
	index_free(x);
#endif
}

/* Hashes that meet in the table, that come and go: what is there is found, and nothing else. */
static void
test_come_and_go(void **state)
{
	enum { KEYS = 3000, ROUNDS = 200000 };
	static bool there[KEYS];
	struct index *x = index_new();
	struct index_entry *e;
	size_t used = 0, at = 0, seen = 0;
	uint32_t dice = 1;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t key;

		dice = dice * 1664525 + 1013904223;
		key = dice >> 8 & 0xfff;
		if (key >= KEYS)
			continue;
		e = index_find(x, key / 3 << 32 | key % 3 << 20 | key / 40);
		assert_true((e != NULL) == there[key]);
		if (e != NULL) {
			assert_int_equal(e->deadline, key);
			index_drop(x, e);
			used--;
		} else {
			add(x, key / 3 << 32 | key % 3 << 20 | key / 40, INDEX_DONE, (int64_t)key, 0);
			used++;
		}
		there[key] = !there[key];
		assert_int_equal(index_used(x), used);
	}
	while ((e = index_each(x, &at)) != NULL) {
		assert_true(there[e->deadline]);
		there[e->deadline] = false;
		seen++;
	}
	assert_int_equal(seen, used);
	index_free(x);
}

static void
test_a_new_entry_is_empty(void **state)
{
	struct index *x = index_new();
	struct index_entry *e = add(x, 7, INDEX_DONE, NOW, NOW);

	(void)state;
	e->cluster = 1;
	assert_ptr_equal(index_insert(x, 7), e);
	index_drop(x, e);
	e = index_insert(x, 8);         /* in the same place */
	assert_int_equal(e->cluster, INDEX_NO_CLUSTER);
	assert_int_equal(e->last_not_after, 0);
	e->state = INDEX_DONE;
	index_free(x);
}

/* A clause at a time: who must stay, however full it is. */
static void
test_what_safety_needs_stays(void **state)
{
	const struct {
		const char *what;
		enum index_state state;
		int64_t deadline, last_not_after;
		bool leaves;
	} rows[] = {
		{ "decided, old, never attempted", INDEX_DONE, NOW - SKEW, 0, true },
		{ "its deadline and skew are not over", INDEX_DONE, NOW - SKEW + 1, 0, false },
		{ "an attempt a day ago", INDEX_DONE, NOW - DAY, NOW - DAY, true },
		{ "an attempt less than a day ago", INDEX_DONE, NOW - DAY, NOW - DAY + 1, false },
		{ "an open intent, however old", INDEX_BEGUN, NOW - 9 * DAY, NOW - 9 * DAY, false },
		{ "in flight, however old", INDEX_IN_FLIGHT, NOW - 9 * DAY, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct index *x = index_new();
		int64_t floor = 5;

		add(x, 1, rows[i].state, rows[i].deadline, rows[i].last_not_after);
		assert_int_equal(index_age(x, NOW, rows[i].deadline + SKEW - 1), 0);
		if (index_shed(x, 10, NOW, &floor) != rows[i].leaves)
			fail_msg("%s", rows[i].what);
		assert_int_equal(index_used(x), !rows[i].leaves);
		assert_int_equal(floor, rows[i].leaves ? rows[i].deadline + SKEW : 5);
		add(x, 1, rows[i].state, rows[i].deadline, rows[i].last_not_after);
		assert_int_equal(index_age(x, NOW, NOW + DAY), rows[i].leaves);
		index_free(x);
	}
}

/* The oldest by deadline go, as many as asked for, and the floor is raised to what went last. */
static void
test_the_oldest_go_first(void **state)
{
	enum { N = 20000 };
	struct index *x = index_new();
	int64_t floor = 0;

	(void)state;
	for (uint64_t i = 0; i < N; i++)        /* deadlines 10 s apart, in no order */
		add(x, i * 0x9e3779b97f4a7c15u, INDEX_DONE, NOW - 10 * DAY + (int64_t)(i * 7919 % N) * 10, 0);
	assert_int_equal(index_shed(x, N / 4, NOW, &floor), N / 4);
	assert_int_equal(index_used(x), N - N / 4);
	/* Within the bucket at the border the order is left open. */
	assert_true(floor >= NOW - 10 * DAY + (N / 4 - 1) * 10 + SKEW);
	assert_true(floor <= NOW - 10 * DAY + (N / 4 + N / 256 + 1) * 10 + SKEW);
	for (uint64_t i = 0; i < N; i++) {
		struct index_entry *e = index_find(x, i * 0x9e3779b97f4a7c15u);
		int64_t deadline = NOW - 10 * DAY + (int64_t)(i * 7919 % N) * 10;

		if (deadline + SKEW > floor)
			assert_non_null(e);
		if (deadline < NOW - 10 * DAY + (N / 4 - N / 256 - 1) * 10)
			assert_null(e);
	}
	index_free(x);
}

/* All of one age: as many as asked for, not all. */
static void
test_no_more_than_asked(void **state)
{
	struct index *x = index_new();
	int64_t floor = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		add(x, i, INDEX_DONE, NOW - DAY, 0);
	assert_int_equal(index_shed(x, 10, NOW, &floor), 10);
	assert_int_equal(index_used(x), 990);
	assert_int_equal(index_shed(x, 5000, NOW, &floor), 990);
	assert_int_equal(index_shed(x, 5000, NOW, &floor), 0);
	assert_int_equal(floor, NOW - DAY + SKEW);
	index_free(x);
}

static void
test_seconds(void **state)
{
	(void)state;
	assert_int_equal(index_seconds(NOW), NOW);
	assert_int_equal(index_seconds(-1), 0);
	assert_int_equal(index_seconds(INT64_MAX), UINT32_MAX);
	assert_int_equal(duration_ms(DURATION_SKEW), SKEW * 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_96_bytes_an_entry), cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_a_new_entry_is_empty), cmocka_unit_test(test_what_safety_needs_stays),
		cmocka_unit_test(test_the_oldest_go_first), cmocka_unit_test(test_no_more_than_asked),
		cmocka_unit_test(test_seconds),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
