/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an attempt of unknown fate is looked for at 0, 5, 30, 120 and 300 s, any attempt every 15 minutes for a day;
 * a list serves all that asked before it began and nobody who asks later; nothing that was asked for is forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "service/sweep_plan.h"

#define SLOT 5000u
#define EVERY 900000u
#define DAY 86400000u
#define NOW 1000000000u                 /* a slot begins here */
#define NEVER UINT64_MAX

static struct sweep_plan plan;

static int
setup(void **state)
{
	(void)state;
	sweep_plan_init(&plan, SLOT, EVERY, DAY);
	return 0;
}

/* When lists begin from now on, each at once when it is wanted, until one would be later than last; how many. */
static size_t
lists(uint64_t now, uint64_t last, uint64_t ret[], size_t most)
{
	size_t n = 0;

	while ((now = sweep_plan_next(&plan, now)) <= last) {
		assert_true(n < most);
		ret[n++] = now;
		sweep_plan_served(&plan, now);
	}
	return n;
}

static void
test_nothing_is_wanted_of_nobody(void **state)
{
	(void)state;
	assert_true(sweep_plan_next(&plan, NOW) == NEVER);
}

static void
test_an_unknown_attempt(void **state)
{
	static const unsigned wanted[] = { 30, 35, 60, 150, 330 };
	uint64_t at[8];

	(void)state;
	sweep_plan_attempt(&plan, NOW, NOW + 30000, true);
	assert_int_equal(lists(NOW, NOW + 400000, at, 8), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(at[i] - NOW, wanted[i] * 1000);
}

/* Never earlier than asked: what an attempt made may come until its not_after. */
static void
test_times_between_slots_are_rounded_up(void **state)
{
	(void)state;
	sweep_plan_attempt(&plan, NOW + 1, NOW + 30001, true);
	assert_int_equal(sweep_plan_next(&plan, NOW + 1) - NOW, 35000);
}

static void
test_any_attempt_is_looked_for_a_day_long(void **state)
{
	uint64_t at[100];
	size_t n;

	(void)state;
	sweep_plan_attempt(&plan, NOW, NOW + 30000, false);
	n = lists(NOW, NEVER - 1, at, 100);
	assert_int_equal(at[0] - NOW, EVERY);
	for (size_t i = 1; i < n; i++)
		assert_true(at[i] - at[i - 1] <= EVERY);
	assert_int_equal(at[n - 1] - NOW, 30000 + DAY);
	assert_int_equal(n, DAY / EVERY + 1);
}

static void
test_many_attempts_share_their_lists(void **state)
{
	uint64_t at[40];

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		sweep_plan_attempt(&plan, NOW, NOW + 30000 + i, true);   /* within ten seconds */
	assert_true(lists(NOW, NOW + 400000, at, 40) <= 15);
}

static void
test_a_list_resets_the_quarter_of_an_hour(void **state)
{
	uint64_t at[8];

	(void)state;
	sweep_plan_attempt(&plan, NOW, NOW, false);
	sweep_plan_at(&plan, NOW, NOW + EVERY - SLOT);
	assert_int_equal(lists(NOW, NOW + 2 * EVERY - SLOT, at, 8), 2);
	assert_int_equal(at[0] - NOW, EVERY - SLOT);
	assert_int_equal(at[1] - NOW, 2 * EVERY - SLOT);
}

/* While a breaker is open no list is begun; then one serves all that has come due. */
static void
test_what_is_due_stays_due(void **state)
{
	uint64_t at[8];

	(void)state;
	sweep_plan_attempt(&plan, NOW, NOW, true);
	assert_int_equal(sweep_plan_next(&plan, NOW), NOW);
	assert_int_equal(sweep_plan_next(&plan, NOW + 200000), NOW + 200000);
	assert_int_equal(lists(NOW + 200000, NOW + 400000, at, 8), 2);
	assert_int_equal(at[1] - NOW, 300000);
}

static void
test_a_list_serves_nobody_who_asked_after_it_began(void **state)
{
	(void)state;
	sweep_plan_at(&plan, NOW, NOW);
	sweep_plan_at(&plan, NOW, NOW + SLOT);
	assert_int_equal(sweep_plan_next(&plan, NOW), NOW);
	assert_int_equal(sweep_plan_next(&plan, NOW + 3 * SLOT), NOW + 3 * SLOT);
	sweep_plan_served(&plan, NOW);          /* it took so long */
	assert_int_equal(sweep_plan_next(&plan, NOW + 3 * SLOT), NOW + 3 * SLOT);
	sweep_plan_served(&plan, NOW + 3 * SLOT);
	assert_true(sweep_plan_next(&plan, NOW + 4 * SLOT) == NEVER);
}

/* After a restart: the attempt is hours old, its lists were due long ago, and the machine may be younger than it. */
static void
test_an_old_attempt_is_looked_for_at_once(void **state)
{
	uint64_t at[100];

	(void)state;
	sweep_plan_attempt(&plan, 60000, -3600000, true);
	assert_int_equal(sweep_plan_next(&plan, 60000), 60000);
	assert_int_equal(lists(60000, 60000 + EVERY, at, 100), 2);
	setup(NULL);
	sweep_plan_attempt(&plan, NOW, (int64_t)NOW - DAY, false);
	assert_true(sweep_plan_next(&plan, NOW) == NEVER);
}

/* Test builds make slots short, and the call's window stays long: more slots than the ring has. */
static void
test_beyond_the_ring_is_its_end(void **state)
{
	(void)state;
	sweep_plan_at(&plan, NOW, NOW + 2000u * SLOT);
	assert_int_equal(sweep_plan_next(&plan, NOW), NOW + SWEEP_PLAN_SLOTS * SLOT);
}

/* Nobody asked for days: the ring was left behind, and holds nothing of old. */
static void
test_a_long_silence(void **state)
{
	uint64_t at[8], later = NOW + 3ull * DAY;

	(void)state;
	sweep_plan_at(&plan, NOW, NOW + SLOT);
	assert_int_equal(sweep_plan_next(&plan, later), later);
	sweep_plan_served(&plan, later);
	sweep_plan_at(&plan, later, later + 7 * SLOT);
	assert_int_equal(lists(later, later + DAY, at, 8), 1);
	assert_int_equal(at[0], later + 7 * SLOT);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_wanted_of_nobody),
		TEST(test_an_unknown_attempt),
		TEST(test_times_between_slots_are_rounded_up),
		TEST(test_any_attempt_is_looked_for_a_day_long),
		TEST(test_many_attempts_share_their_lists),
		TEST(test_a_list_resets_the_quarter_of_an_hour),
		TEST(test_what_is_due_stays_due),
		TEST(test_a_list_serves_nobody_who_asked_after_it_began),
		TEST(test_an_old_attempt_is_looked_for_at_once),
		TEST(test_beyond_the_ring_is_its_end),
		TEST(test_a_long_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
