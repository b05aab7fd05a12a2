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

/* The breaker's time is over: the list is tried, and comes to this. */
static void
probe(struct gate *g, uint64_t now, enum verdict v)
{
	uint64_t retry;

	assert_true(gate_probe(g, now, &retry));
	gate_probed(g, now, v, 0);
}

/* No probe now; when to ask again. */
static uint64_t
no_probe(struct gate *g, uint64_t now)
{
	uint64_t retry = 0;

	assert_false(gate_probe(g, now, &retry));
	return retry;
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
		VERDICT_CREATED, VERDICT_REJECTED, VERDICT_THROTTLED, VERDICT_DELETED,
	};
	struct gate *g = *state;

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		calls(g, 4, 0, VERDICT_NOT_SENT);
		calls(g, 1, 0, answers[i]);
		assert_int_equal(g->breaker, GATE_CLOSED);
	}
}

static void
a_list_and_then_one_call_close_it(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_int_equal(no_probe(g, 4999), 5000);
	assert_int_equal(retry_at(g, 5000), 5000);              /* no permit: a probe is due */
	probe(g, 5000, VERDICT_LISTED);
	assert_int_equal(g->breaker, GATE_HALF_OPEN);
	assert_true(acquire(g, 5000));
	assert_int_equal(retry_at(g, 5000), UINT64_MAX);        /* only one */
	assert_int_equal(no_probe(g, 5000), UINT64_MAX);
	gate_release(g, 6000, VERDICT_CREATED, 0);
	assert_int_equal(g->breaker, GATE_CLOSED);
	assert_int_equal(permits(g, 6000), 4);
	calls(g, 5, 6000, VERDICT_NOT_SENT);
	assert_int_equal(no_probe(g, 6000), 11000);             /* the waits are from the beginning again */
}

/* What a list can find out, no POST is spent on. */
static void
a_list_that_fails_doubles_the_wait(void **state)
{
	static const uint64_t waits[] = { 5000, 10000, 20000, 40000, 60000, 60000 };
	static const enum verdict failures[] = {
		VERDICT_NOT_SENT, VERDICT_AMBIGUOUS, VERDICT_CREDENTIAL, VERDICT_NOT_FOUND, VERDICT_THROTTLED,
		VERDICT_REDIRECTED,
	};
	struct gate *g = *state;
	uint64_t now = 0;

	calls(g, 5, now, VERDICT_NOT_SENT);
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		assert_int_equal(no_probe(g, now), now + waits[i]);
		now += waits[i];
		probe(g, now, failures[i]);
		assert_int_equal(g->breaker, GATE_OPEN);
		assert_int_equal(retry_at(g, now), no_probe(g, now));
	}
}

static void
a_call_that_fails_behind_a_good_list_doubles_the_wait(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	probe(g, 5000, VERDICT_LISTED);
	calls(g, 1, 5000, VERDICT_AMBIGUOUS);
	assert_int_equal(g->breaker, GATE_OPEN);
	assert_int_equal(no_probe(g, 5000), 15000);
}

static void
there_is_one_probe_at_a_time_and_no_call_beside_it(void **state)
{
	struct gate *g = *state;
	uint64_t retry;

	assert_int_equal(no_probe(g, 0), UINT64_MAX);           /* closed: nothing to find out */
	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_true(gate_probe(g, 5000, &retry));
	assert_int_equal(no_probe(g, 5000), UINT64_MAX);
	assert_int_equal(retry_at(g, 99000), UINT64_MAX);
	gate_probed(g, 99000, VERDICT_LISTED, 0);
	assert_true(acquire(g, 99000));
}

static void
a_probe_that_was_not_made_is_due_again(void **state)
{
	struct gate *g = *state;
	uint64_t retry;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_true(gate_probe(g, 5000, &retry));
	gate_probe_cancel(g);
	assert_int_equal(retry_at(g, 5000), 5000);
	probe(g, 5000, VERDICT_LISTED);
	assert_true(acquire(g, 5000));
}

static void
a_call_from_before_holds_the_probe_up(void **state)
{
	struct gate *g = *state;

	assert_true(acquire(g, 0));              /* hangs */
	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_int_equal(no_probe(g, 5000), UINT64_MAX);
	assert_int_equal(retry_at(g, 5000), UINT64_MAX);
	gate_release(g, 7000, VERDICT_CREATED, 0);
	assert_int_equal(g->breaker, GATE_OPEN);
	probe(g, 7000, VERDICT_LISTED);
}

static void
it_knows_since_when_it_has_not_been_closed(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 3000, VERDICT_NOT_SENT);
	assert_int_equal(g->open_since_ms, 3000);
	probe(g, 8000, VERDICT_NOT_SENT);
	probe(g, 18000, VERDICT_LISTED);
	calls(g, 1, 18000, VERDICT_NOT_SENT);
	assert_int_equal(g->open_since_ms, 3000);               /* none of that was a recovery */
	probe(g, 38000, VERDICT_LISTED);
	calls(g, 1, 38000, VERDICT_CREATED);
	calls(g, 5, 50000, VERDICT_NOT_SENT);
	assert_int_equal(g->open_since_ms, 50000);
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
the_one_call_that_was_not_made_is_the_next_ones_right(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	probe(g, 5000, VERDICT_LISTED);
	assert_true(acquire(g, 5000));
	gate_cancel(g);
	assert_int_equal(no_probe(g, 5000), UINT64_MAX);        /* the list need not be tried again */
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
	assert_int_equal(no_probe(g, 5000), 9000);
}

static void
a_probe_is_told_to_wait_too(void **state)
{
	struct gate *g = *state;
	uint64_t retry;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_true(gate_probe(g, 5000, &retry));
	gate_probed(g, 5000, VERDICT_THROTTLED, 30000);
	assert_int_equal(no_probe(g, 5000), 35000);
}

/* An outage that nobody saw the end of is over, for all one knows. */
static void
after_a_long_silence_it_has_only_just_opened(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	probe(g, 20000, VERDICT_AMBIGUOUS);
	assert_int_equal(g->open_since_ms, 0);
	probe(g, 3600000, VERDICT_AMBIGUOUS);
	assert_int_equal(g->open_since_ms, 3600000);
	probe(g, 3620000, VERDICT_AMBIGUOUS);
	assert_int_equal(g->open_since_ms, 3600000);
}

/* Tried by somebody who only wanted a list, it may stay half open for hours: that is no outage. */
static void
half_open_the_first_call_after_a_silence_starts_the_clock(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	probe(g, 5000, VERDICT_LISTED);
	assert_false(gate_stalled(g, 3600000, 30000));
	assert_true(acquire(g, 3600000));
	assert_false(gate_stalled(g, 3630000, 30000));
	assert_true(gate_stalled(g, 3630001, 30000));
	gate_release(g, 3640000, VERDICT_AMBIGUOUS, 0);
	assert_true(gate_stalled(g, 3640000, 30000));
	probe(g, 3650000, VERDICT_LISTED);
	assert_false(gate_stalled(g, 3650000, 30000));          /* the next may go at once */
	assert_true(acquire(g, 3650000));
	assert_true(gate_stalled(g, 3650000, 30000));           /* nobody was silent since */
	gate_release(g, 3650000, VERDICT_CREATED, 0);
	assert_false(gate_stalled(g, 9999999, 30000));
}

static void
half_open_a_long_list_was_no_silence(void **state)
{
	struct gate *g = *state;
	uint64_t retry;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	assert_true(gate_probe(g, 5000, &retry));
	gate_probed(g, 95000, VERDICT_LISTED, 0);
	assert_true(acquire(g, 95000));
	assert_true(gate_stalled(g, 95000, 30000));
}

/* One call that was not made after the other is no silence; nor is the wait that the API asked for. */
static void
half_open_whoever_asked_was_not_silent(void **state)
{
	struct gate *g = *state;

	calls(g, 5, 0, VERDICT_NOT_SENT);
	probe(g, 5000, VERDICT_LISTED);
	gate_patience(g, 5000, 60000);
	for (uint64_t now = 65000; now < 165000; now += 20000) {
		assert_true(acquire(g, now));
		assert_true(gate_stalled(g, now, 30000));
		gate_cancel(g);
	}
}

/* A gateway that lost what is behind it: each POST is answered 404, and the list that would confirm it fails. */
static void
a_404_without_a_list_is_a_failure(void **state)
{
	struct gate *g = *state;

	calls(g, 4, 0, VERDICT_NOT_SENT);
	calls(g, 3, 0, VERDICT_NOT_FOUND);
	assert_int_equal(g->failures, 4);
	gate_listed(g, 0, VERDICT_NOT_FOUND, 0);
	assert_int_equal(g->breaker, GATE_OPEN);
	gate_listed(g, 0, VERDICT_NOT_FOUND, 0);
	assert_int_equal(g->open_until_ms, 5000);       /* late news do not lengthen it */
}

static void
a_404_that_a_list_confirms_is_none(void **state)
{
	struct gate *g = *state;

	calls(g, 4, 0, VERDICT_NOT_SENT);
	calls(g, 1, 0, VERDICT_NOT_FOUND);
	gate_listed(g, 0, VERDICT_LISTED, 0);
	calls(g, 4, 0, VERDICT_NOT_SENT);
	assert_int_equal(g->breaker, GATE_CLOSED);
	calls(g, 1, 0, VERDICT_NOT_SENT);
	probe(g, 5000, VERDICT_LISTED);
	calls(g, 1, 5000, VERDICT_NOT_FOUND);           /* behind a good list it is the API's own word */
	assert_int_equal(g->breaker, GATE_CLOSED);
}

static void
tickets_lists_wait_for_the_breaker_and_for_retry_after(void **state)
{
	struct gate *g = *state;
	uint64_t retry;

	assert_true(gate_may_list(g, 0, &retry));
	gate_listed(g, 0, VERDICT_THROTTLED, 2000);
	assert_false(gate_may_list(g, 1999, &retry));
	assert_int_equal(retry, 2000);
	assert_true(gate_may_list(g, 2000, &retry));
	assert_false(acquire(g, 1999));
	calls(g, 5, 2000, VERDICT_NOT_SENT);
	assert_false(gate_may_list(g, 9000, &retry));
	assert_int_equal(retry, UINT64_MAX);
	probe(g, 9000, VERDICT_LISTED);
	assert_true(gate_may_list(g, 9000, &retry));
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
		TEST(a_list_and_then_one_call_close_it),
		TEST(a_list_that_fails_doubles_the_wait),
		TEST(a_call_that_fails_behind_a_good_list_doubles_the_wait),
		TEST(there_is_one_probe_at_a_time_and_no_call_beside_it),
		TEST(a_probe_that_was_not_made_is_due_again),
		TEST(a_call_from_before_holds_the_probe_up),
		TEST(it_knows_since_when_it_has_not_been_closed),
		TEST(late_failures_do_not_lengthen_the_wait),
		TEST(the_one_call_that_was_not_made_is_the_next_ones_right),
		TEST(the_later_of_both_waits_counts),
		TEST(a_probe_is_told_to_wait_too),
		TEST(after_a_long_silence_it_has_only_just_opened),
		TEST(half_open_the_first_call_after_a_silence_starts_the_clock),
		TEST(half_open_a_long_list_was_no_silence),
		TEST(half_open_whoever_asked_was_not_silent),
		TEST(a_404_without_a_list_is_a_failure),
		TEST(a_404_that_a_list_confirms_is_none),
		TEST(tickets_lists_wait_for_the_breaker_and_for_retry_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
