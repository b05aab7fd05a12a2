/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each clause deletes on its evidence and on no less, each reason to keep keeps, and a delivered token is never
 * deleted, whatever else is known of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "service/base/durations.h"
#include "service/evidence.h"

#define BEFORE INT64_C(1800000000000)   /* an attempt's window: half a minute */
#define AFTER (BEFORE + 30000)
#define DELIVERED_ID "11111111-0000-4000-8000-000000000000"
#define OTHER_ID "22222222-0000-4000-8000-000000000000"

/* Of a token that is live, made inside of its attempt's window. */
#define INSIDE (BEFORE / 1000 + 1)

static enum evidence_clause
of(struct evidence e)
{
	return evidence_may_delete(&e);
}

/* The clause is this one, and a token that is dead already is never deleted, whatever is known. */
#define assert_clause(clause, deletes, ...) do { \
	struct evidence e_ = { .token_id = OTHER_ID, .not_before_ms = BEFORE, .not_after_ms = AFTER, __VA_ARGS__ }; \
	assert_string_equal(evidence_label(of(e_)), evidence_label(clause)); \
	assert_int_equal(evidence_deletes(clause), deletes); \
	e_.revoked = true; \
	assert_int_equal(of(e_), EVIDENCE_REVOKED); \
	assert_false(evidence_deletes(EVIDENCE_REVOKED)); \
} while (0)
#define assert_deletes(clause, ...) assert_clause(clause, true, __VA_ARGS__)
#define assert_keeps(clause, ...) assert_clause(clause, false, __VA_ARGS__)

static void
test_closed(void **state)
{
	(void)state;
	assert_deletes(EVIDENCE_CLOSED, .created_at = INSIDE, .found = FOUND_CLOSED, .closure = CLOSURE_COMMITTED);
	/* whenever it was made: its attempt has no other token to deliver */
	assert_deletes(EVIDENCE_CLOSED, .found = FOUND_CLOSED, .closure = CLOSURE_COMMITTED, .created_at = 0);
	assert_deletes(EVIDENCE_CLOSED, .found = FOUND_CLOSED, .closure = CLOSURE_COMMITTED,
	    .created_at = AFTER / 1000 + 3600);
}

static void
test_ended(void **state)
{
	(void)state;
	assert_deletes(EVIDENCE_ENDED, .created_at = INSIDE, .found = FOUND_CLOSED, .closure = CLOSURE_ENDED);
}

static void
test_inherited_is_no_evidence_before_a_commit(void **state)
{
	(void)state;
	assert_keeps(EVIDENCE_UNCOMMITTED, .created_at = INSIDE, .found = FOUND_CLOSED, .closure = CLOSURE_NONE);
}

static void
test_twin(void **state)
{
	(void)state;
	assert_deletes(EVIDENCE_TWIN, .created_at = INSIDE, .found = FOUND_DELIVERED, .delivered_id = DELIVERED_ID);
}

/* The window's ends, the second to which times are cut, and the clocks. */
static void
test_twin_inside_the_window_alone(void **state)
{
	static const struct { int64_t created_at, skew_ms; bool deletes; } cases[] = {
		{ BEFORE / 1000 - 1, 0, true },         { BEFORE / 1000 - 2, 0, false },
		{ AFTER / 1000 + 1, 0, true },          { AFTER / 1000 + 2, 0, false },
		{ BEFORE / 1000 - 11, 10000, true },    { BEFORE / 1000 - 12, 10000, false },
		{ AFTER / 1000 + 11, 10000, true },     { AFTER / 1000 + 12, 10000, false },
		{ AFTER / 1000 + 11, -10000, true },    { AFTER / 1000 + 12, -10000, false },
		{ AFTER / 1000 + 121, 120000, true },   { AFTER / 1000 + 121, 7200000, true },
		{ AFTER / 1000 + 122, 7200000, false }, /* a clock that is hours off does not widen it by hours */
		{ AFTER / 1000 + 122, -7200000, false },
		{ 0, 0, false },                        { 0, 7200000, false },
	};

	(void)state;
	assert_int_equal(duration_ms(DURATION_SKEW), 120000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum evidence_clause c = of((struct evidence){ .token_id = OTHER_ID, .created_at = cases[i].created_at,
		    .skew_ms = cases[i].skew_ms, .found = FOUND_DELIVERED, .delivered_id = DELIVERED_ID,
		    .not_before_ms = BEFORE, .not_after_ms = AFTER });

		if (c != (cases[i].deletes ? EVIDENCE_TWIN : EVIDENCE_OUTSIDE))
			fail_msg("case %zu: %s", i, evidence_label(c));
	}
	assert_false(evidence_deletes(EVIDENCE_OUTSIDE));
}

static void
test_string(void **state)
{
	(void)state;
	assert_deletes(EVIDENCE_STRING, .created_at = INSIDE, .string = true, .lost = true, .uncommitted = true);
	assert_keeps(EVIDENCE_DOUBTFUL, .created_at = INSIDE, .string = true, .lost = true, .uncommitted = false);
	assert_keeps(EVIDENCE_UNDER_WAY, .created_at = INSIDE, .string = true, .lost = false, .uncommitted = true);
	assert_keeps(EVIDENCE_UNDER_WAY, .created_at = INSIDE, .string = true, .lost = false, .uncommitted = false);
}

static void
test_kept(void **state)
{
	(void)state;
	assert_keeps(EVIDENCE_DELIVERED, .created_at = INSIDE, .found = FOUND_DELIVERED, .delivered_id = OTHER_ID);
	assert_keeps(EVIDENCE_DELIVERED, .created_at = INSIDE, .found = FOUND_DELIVERED, .delivered_id = NULL);
	assert_keeps(EVIDENCE_UNDER_WAY, .created_at = INSIDE, .found = FOUND_OPEN);
	assert_keeps(EVIDENCE_ELSEWHERE, .created_at = INSIDE, .found = FOUND_ELSEWHERE);
	assert_keeps(EVIDENCE_FOREIGN, .created_at = INSIDE, .found = FOUND_FOREIGN);
	assert_keeps(EVIDENCE_UNREAD, .created_at = INSIDE, .found = FOUND_UNREAD);
}

/* Never on absence; and what is older than the journal's memory is not even remarkable. */
static void
test_unknown(void **state)
{
	(void)state;
	assert_keeps(EVIDENCE_UNKNOWN, .created_at = INSIDE, .found = FOUND_NOWHERE);
	assert_keeps(EVIDENCE_UNKNOWN, .created_at = INSIDE, .found = FOUND_NOWHERE, .floor = BEFORE / 1000);
	assert_keeps(EVIDENCE_FORGOTTEN, .created_at = INSIDE, .found = FOUND_NOWHERE, .floor = INSIDE);
	assert_keeps(EVIDENCE_UNKNOWN, .found = FOUND_NOWHERE, .floor = INSIDE, .created_at = 0);
}

/* Over all that evidence can be: is e about a token that somebody received, or may have? */
static bool
may_be_delivered(const struct evidence *e)
{
	if (e->string)
		return !e->lost || !e->uncommitted;
	return e->found != FOUND_CLOSED && !(e->found == FOUND_DELIVERED && e->delivered_id != NULL &&
	    strcmp(e->delivered_id, e->token_id) != 0);
}

static void
test_a_delivered_token_is_never_deleted(void **state)
{
	static const char *const ids[] = { NULL, DELIVERED_ID, OTHER_ID };
	static const int64_t times[] = { 0, BEFORE / 1000 - 9, BEFORE / 1000, AFTER / 1000, AFTER / 1000 + 999999 };
	static const int64_t skews[] = { 0, -1, 1, -999999999, 999999999 };
	unsigned kept = 0, deleted = 0;

	(void)state;
	for (unsigned n = 0; n < 2 * 7 * 3 * 3 * 5 * 5 * 2 * 8; n++) {
		unsigned rest = n;
#define PICK(of) (rest % (of)); rest /= (of)
		unsigned revoked = PICK(2);
		unsigned found = PICK(7);
		unsigned closure = PICK(3);
		unsigned id = PICK(3);
		unsigned created = PICK(5);
		unsigned skew = PICK(5);
		unsigned old = PICK(2);
		unsigned hand = PICK(8);
#undef PICK
		struct evidence e = { .token_id = OTHER_ID, .revoked = revoked, .found = (enum evidence_found)found,
		    .closure = (enum closure)closure, .delivered_id = ids[id], .created_at = times[created],
		    .skew_ms = skews[skew], .floor = old ? INT64_MAX : 0, .string = hand & 1, .lost = hand >> 1 & 1,
		    .uncommitted = hand >> 2 & 1, .not_before_ms = BEFORE, .not_after_ms = AFTER };
		bool deletes = evidence_deletes(evidence_may_delete(&e));

		if (may_be_delivered(&e))
			assert_false(deletes);
		kept += !deletes;
		deleted += deletes;
	}
	assert_true(kept > 0 && deleted > 0);
}

static void
test_every_clause_has_its_words(void **state)
{
	(void)state;
	for (int c = 0; c < EVIDENCE_COUNT; c++) {
		assert_true(evidence_label((enum evidence_clause)c)[0] != '\0');
		assert_true(evidence_why((enum evidence_clause)c)[0] != '\0');
		assert_int_equal(evidence_deletes((enum evidence_clause)c), c <= EVIDENCE_STRING);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_inherited_is_no_evidence_before_a_commit),
		cmocka_unit_test(test_twin),
		cmocka_unit_test(test_twin_inside_the_window_alone),
		cmocka_unit_test(test_string),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_a_delivered_token_is_never_deleted),
		cmocka_unit_test(test_every_clause_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
