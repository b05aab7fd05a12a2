/* Goal: a strained cluster gets fewer calls, a dead one a single probe at a time, a healthy one all it may have;
 * no permit is ever lost. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "workers/gate.h"

static const struct gate_options options = {
	.start = 4, .most = 8, .breaker_first_ms = 5000, .breaker_most_ms = 60000, .breaker_failures = 5,
};

static int
setup(void **state)
{
	static struct gate g;

	gate_init(&g, &options);
	*state = &g;
	return 0;
}

static bool
acquire(struct gate *g, uint64_t now)
{
	uint64_t retry;

	return gate_acquire(g, now, &retry);
}

static uint64_t
retry_at(struct gate *g, uint64_t now)
{
	uint64_t retry = 0;

	assert_false(gate_acquire(g, now, &retry));
	return retry;
}

/* One call after the other, all alike. */
static void
calls(struct gate *g, unsigned n, uint64_t now, enum verdict v)
{
	while (n-- > 0) {
		assert_true(acquire(g, now));
		gate_release(g, now, v, 0);
	}
}

static unsigned
permits(struct gate *g, uint64_t now)
{
	unsigned n = 0;

	while (acquire(g, now))
		n++;
	for (unsigned i = 0; i < n; i++)
		gate_cancel(g);
	return n;
}

static void
it_begins_with_four(void **state)
{
	struct gate *g = *state;

	for (int i = 0; i < 4; i++)
		assert_true(acquire(g, 0));
	assert_int_equal(retry_at(g, 0), UINT64_MAX);
	gate_cancel(g);
	assert_true(acquire(g, 0));
}

static void
it_never_begins_above_the_most(void **state)
{
	struct gate g;
	struct gate_options few = options;

	(void)state;
	few.most = 2;
	gate_init(&g, &few);
	assert_int_equal(permits(&g, 0), 2);
}

static void
a_window_of_answers_adds_one(void **state)
{
	struct gate *g = *state;

	calls(g, 4, 0, VERDICT_CREATED);
	assert_int_equal(permits(g, 0), 4);
	calls(g, 1, 0, VERDICT_REJECTED);       /* refusals come quickly, too: no sign of strain */
	assert_int_equal(permits(g, 0), 5);
	calls(g, 1000, 0, VERDICT_CREATED);
	assert_int_equal(permits(g, 0), 8);
}

static void
strain_halves_the_window_once_per_round_trip(void **state)
{
	struct gate *g = *state;

	calls(g, 1000, 0, VERDICT_CREATED);
	for (int i = 0; i < 8; i++)
		assert_true(acquire(g, 0));
	for (int i = 0; i < 4; i++) {
		gate_release(g, 0, VERDICT_THROTTLED, 0);
		assert_int_equal(g->limit, 4);
	}
	for (int i = 0; i < 4; i++)
		gate_release(g, 0, VERDICT_THROTTLED, 0);
	assert_int_equal(g->limit, 4);
	calls(g, 1, 0, VERDICT_THROTTLED);       /* one that began after the halving */
	assert_int_equal(g->limit, 2);
}

static void
the_window_never_closes(void **state)
{
	struct gate *g = *state;

	calls(g, 20, 0, VERDICT_THROTTLED);
	assert_int_equal(permits(g, 0), 1);
}

static void
a_call_that_was_not_sent_says_nothing_about_load(void **state)
{
	struct gate *g = *state;

	calls(g, 4, 0, VERDICT_NOT_SENT);
	assert_int_equal(permits(g, 0), 4);
}

static void
retry_after_holds_the_whole_cluster(void **state)
{
	struct gate *g = *state;

	assert_true(acquire(g, 100));
	assert_true(acquire(g, 100));
	gate_release(g, 100, VERDICT_THROTTLED, 3000);
	gate_release(g, 200, VERDICT_THROTTLED, 1000);  /* a shorter one does not shorten it */
	assert_int_equal(retry_at(g, 200), 3100);
	assert_int_equal(retry_at(g, 3099), 3100);
	assert_true(acquire(g, 3100));
}

static void
five_failures_in_a_row_open_the_breaker(void **state)
{
	static const enum verdict failures[] = {
		VERDICT_AMBIGUOUS, VERDICT_NOT_SENT, VERDICT_CREDENTIAL, VERDICT_REDIRECTED, VERDICT_NOT_SENT,
	};
	struct gate *g = *state;

	for (int i = 0; i < 5; i++)
		calls(g, 1, 1000, failures[i]);
	assert_int_equal(g->breaker, GATE_OPEN);
	assert_int_equal(retry_at(g, 1000), 6000);
	assert_int_equal(retry_at(g, 5999), 6000);
}

static void
an_answer_in_between_begins_the_row_anew(void **state)
{
	static const enum verdict answers[] = {
		VERDICT_CREATED, VERDICT_REJECTED, VERDICT_NOT_FOUND,
		VERDICT_CONFLICT, VERDICT_THROTTLED, VERDICT_DELETED,
	};
	struct gate *g = *state;

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		calls(g, 4, 0, VERDICT_NOT_SENT);
		calls(g, 1, 0, answers[i]);
		assert_int_equal(g->breaker, GATE_CLOSED);
	}
}

static void
one_probe_closes_it_or_doubles_the_wait(void **state)
{
	static const uint64_t waits[] = { 5000, 10000, 20000, 40000, 60000, 60000 };
	struct gate *g = *state;
	uint64_t now = 0;

	calls(g, 5, now, VERDICT_NOT_SENT);
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		assert_int_equal(retry_at(g, now), now + waits[i]);
		now += waits[i];
		assert_true(acquire(g, now));
		assert_int_equal(retry_at(g, now), UINT64_MAX);         /* only one */
		gate_release(g, now, VERDICT_AMBIGUOUS, 0);
	}
	now += 60000;
	calls(g, 1, now, VERDICT_CREATED);
	assert_int_equal(g->breaker, GATE_CLOSED);
	assert_true(permits(g, now) > 0);
	calls(g, 5, now, VERDICT_NOT_SENT);
	assert_int_equal(retry_at(g, now), now + 5000);                 /* from the beginning */
}

static void
a_call_from_before_is_not_taken_for_the_probe(void **state)
{
	struct gate *g = *state;

	assert_true(acquire(g, 0));              /* hangs */
	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_int_equal(retry_at(g, 5000), UINT64_MAX);
	gate_release(g, 7000, VERDICT_CREATED, 0);
	assert_int_equal(g->breaker, GATE_OPEN);
	assert_true(acquire(g, 7000));
	assert_int_equal(g->breaker, GATE_HALF_OPEN);
}

static void
late_failures_do_not_lengthen_the_wait(void **state)
{
	struct gate *g = *state;

	assert_true(acquire(g, 0));
	calls(g, 5, 0, VERDICT_NOT_SENT);
	gate_release(g, 4000, VERDICT_AMBIGUOUS, 0);
	assert_int_equal(retry_at(g, 4000), 5000);
}

static void
a_probe_that_was_not_made_leaves_the_next_one(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_true(acquire(g, 5000));
	gate_cancel(g);
	assert_true(acquire(g, 5000));
	assert_int_equal(g->breaker, GATE_HALF_OPEN);
}

static void
the_later_of_both_waits_counts(void **state)
{
	struct gate *g = *state;

	calls(g, 4, 0, VERDICT_NOT_SENT);
	assert_true(acquire(g, 0));
	gate_release(g, 0, VERDICT_AMBIGUOUS, 9000);
	assert_int_equal(g->breaker, GATE_OPEN);
	assert_int_equal(retry_at(g, 5000), 9000);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_begins_with_four),
		TEST(it_never_begins_above_the_most),
		TEST(a_window_of_answers_adds_one),
		TEST(strain_halves_the_window_once_per_round_trip),
		TEST(the_window_never_closes),
		TEST(a_call_that_was_not_sent_says_nothing_about_load),
		TEST(retry_after_holds_the_whole_cluster),
		TEST(five_failures_in_a_row_open_the_breaker),
		TEST(an_answer_in_between_begins_the_row_anew),
		TEST(one_probe_closes_it_or_doubles_the_wait),
		TEST(a_call_from_before_is_not_taken_for_the_probe),
		TEST(late_failures_do_not_lengthen_the_wait),
		TEST(a_probe_that_was_not_made_leaves_the_next_one),
		TEST(the_later_of_both_waits_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
