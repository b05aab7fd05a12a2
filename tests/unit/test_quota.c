/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a limit holds for its window, its principal and its partition, and for no other; and however long the service
 * lives, its counters take the room of one day's principals times the partitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <malloc.h>

#include "service/quota.h"

#define MINUTE 60
#define DAY 86400
#define MIDNIGHT INT64_C(1795478400)     /* 2026-11-24T00:00:00Z */
#define PRINCIPALS 3000
#define PARTITIONS 7

static void
windows_are_the_clocks(void **state)
{
	struct quota *q = quota_new();

	(void)state;
	assert_int_equal(quota_take(q, "a", 0, 1, 0, MIDNIGHT - 1), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "a", 0, 1, 0, MIDNIGHT - 1), QUOTA_MINUTE_FULL);
	assert_int_equal(quota_take(q, "a", 0, 1, 0, MIDNIGHT), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "a", 0, 1, 0, MIDNIGHT + MINUTE - 1), QUOTA_MINUTE_FULL);
	assert_int_equal(quota_take(q, "a", 0, 1, 0, MIDNIGHT + MINUTE), QUOTA_TAKEN);

	assert_int_equal(quota_take(q, "b", 0, 0, 2, MIDNIGHT), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "b", 0, 0, 2, MIDNIGHT + DAY / 2), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "b", 0, 0, 2, MIDNIGHT + DAY - 1), QUOTA_DAY_FULL);
	assert_int_equal(quota_take(q, "b", 0, 0, 2, MIDNIGHT + DAY), QUOTA_TAKEN);
	quota_free(q);
}

static void
each_principal_and_partition_counts_alone(void **state)
{
	struct quota *q = quota_new();

	(void)state;
	assert_int_equal(quota_take(q, "a", 0, 1, 1, MIDNIGHT), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "a", 1, 1, 1, MIDNIGHT), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "b", 0, 1, 1, MIDNIGHT), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "a", 0, 1, 1, MIDNIGHT), QUOTA_MINUTE_FULL);
	assert_int_equal(quota_take(q, "a", 1, 1, 1, MIDNIGHT), QUOTA_MINUTE_FULL);
	for (int32_t partition = 0; partition < 1000; partition++)       /* so many that some share a slot's way */
		assert_int_equal(quota_take(q, "c", partition, 1, 1, MIDNIGHT), QUOTA_TAKEN);
	quota_free(q);
}

/* What was refused has not been counted, so that a raised limit helps at once; a lowered one holds at once. */
static void
limits_may_change(void **state)
{
	struct quota *q = quota_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(quota_take(q, "a", 0, 0, 3, MIDNIGHT), QUOTA_TAKEN);
	for (int i = 0; i < 5; i++)
		assert_int_equal(quota_take(q, "a", 0, 0, 3, MIDNIGHT), QUOTA_DAY_FULL);
	assert_int_equal(quota_take(q, "a", 0, 0, 4, MIDNIGHT), QUOTA_TAKEN);
	assert_int_equal(quota_take(q, "a", 0, 0, 2, MIDNIGHT), QUOTA_DAY_FULL);
	assert_int_equal(quota_take(q, "a", 0, 0, 0, MIDNIGHT), QUOTA_TAKEN);
	quota_free(q);
	quota_free(NULL);
}

static void
take_all(struct quota *q, int64_t now, enum quota_verdict expected)
{
	char name[20];

	for (int i = 0; i < PRINCIPALS; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		if (quota_take(q, name, i % PARTITIONS, 0, 1, now) != expected)
			fail_msg("%s", name);
	}
}

/* Growing loses no count. */
static void
many_counters(void **state)
{
	struct quota *q = quota_new();

	(void)state;
	for (int day = 0; day < 2; day++) {
		take_all(q, MIDNIGHT + day * DAY, QUOTA_TAKEN);
		take_all(q, MIDNIGHT + day * DAY, QUOTA_DAY_FULL);
	}
	quota_free(q);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)      /* whose allocators keep no such books */
static size_t
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Names that were in the policy on one day and are gone on the next. */
static void
past_days_take_no_room(void **state)
{
	struct quota *q = quota_new();
	size_t before = allocated(), first_days = 0;
	char name[30];

	(void)state;
	for (int day = 0; day < 30; day++) {
		for (int i = 0; i < PRINCIPALS; i++) {
			(void)snprintf(name, sizeof(name), "d%d-%d", day, i);
			assert_int_equal(quota_take(q, name, 0, 0, 1, MIDNIGHT + day * DAY), QUOTA_TAKEN);
		}
		if (day == 0)
			first_days = allocated() - before;
	}
	assert_true(first_days > PRINCIPALS * sizeof(int64_t));
	assert_in_range(allocated() - before, 1, 2 * first_days);
	quota_free(q);
}

/* Who has no limit costs nothing. */
static void
without_limits_nothing_is_kept(void **state)
{
	struct quota *q = quota_new();
	size_t before = allocated();
	char name[20];

	(void)state;
	for (int i = 0; i < PRINCIPALS; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(quota_take(q, name, 0, 0, 0, MIDNIGHT), QUOTA_TAKEN);
	}
	assert_true(allocated() == before);
	quota_free(q);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_are_the_clocks),
		cmocka_unit_test(each_principal_and_partition_counts_alone),
		cmocka_unit_test(limits_may_change),
		cmocka_unit_test(many_counters),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(past_days_take_no_room),
		cmocka_unit_test(without_limits_nothing_is_kept),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
