/* Goal: each row of "what a result means", and that nothing is believed beyond it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "workers/verdict.h"

static enum verdict
create(int status)
{
	return verdict_of(&(struct exchange){ .verb = JOB_CREATE, .left = true, .whole = true, .http_status = status });
}

static enum verdict
delete(int status)
{
	return verdict_of(&(struct exchange){ .verb = JOB_DELETE, .left = true, .whole = true, .http_status = status });
}

static void
what_never_left_was_not_sent(void **state)
{
	(void)state;
	for (int verb = JOB_CREATE; verb < JOB_VERBS; verb++)
		assert_int_equal(verdict_of(&(struct exchange){ .verb = (enum job_verb)verb }), VERDICT_NOT_SENT);
}

static void
what_left_without_a_whole_answer_is_ambiguous(void **state)
{
	static const int statuses[] = { 0, 200, 201, 400, 401, 404, 409, 429, 500 };

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		assert_int_equal(verdict_of(&(struct exchange){
		    .verb = JOB_CREATE, .left = true, .whole = false, .http_status = statuses[i], .as_asked = true }),
		    VERDICT_AMBIGUOUS);
}

static void
created_is_200_or_201_with_what_was_asked_for(void **state)
{
	(void)state;
	for (int status = 200; status <= 299; status++) {
		struct exchange e = {
			.verb = JOB_CREATE, .left = true, .whole = true, .http_status = status, .as_asked = true
		};

		assert_int_equal(verdict_of(&e), status <= 201 ? VERDICT_CREATED : VERDICT_AMBIGUOUS);
		assert_int_equal(create(status), VERDICT_AMBIGUOUS);
	}
}

/* The table, row by row; whatever it does not name is ambiguous. */
static enum verdict
by_the_table(int status)
{
	static const struct { int status; enum verdict verdict; } rows[] = {
		{ 400, VERDICT_REJECTED }, { 405, VERDICT_REJECTED }, { 413, VERDICT_REJECTED },
		{ 415, VERDICT_REJECTED }, { 422, VERDICT_REJECTED }, { 501, VERDICT_REJECTED },
		{ 401, VERDICT_CREDENTIAL }, { 403, VERDICT_CREDENTIAL },
		{ 404, VERDICT_NOT_FOUND },
		{ 409, VERDICT_CONFLICT },
		{ 429, VERDICT_THROTTLED }, { 425, VERDICT_THROTTLED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].status == status)
			return rows[i].verdict;
	return status >= 300 && status <= 399 ? VERDICT_REDIRECTED : VERDICT_AMBIGUOUS;
}

static void
each_status_of_a_create(void **state)
{
	(void)state;
	for (int status = 0; status <= 999; status++)
		if (create(status) != by_the_table(status))
			fail_msg("%d means %s", status, verdict_label(create(status)));
}

static void
each_status_of_a_delete(void **state)
{
	(void)state;
	for (int status = 0; status <= 999; status++) {
		bool gone = status == 200 || status == 204 || status == 404 || status == 410;

		if (delete(status) != (gone ? VERDICT_DELETED : by_the_table(status)))
			fail_msg("%d means %s", status, verdict_label(delete(status)));
	}
}

static void
each_status_of_a_list(void **state)
{
	struct exchange e = { .verb = JOB_LIST, .left = true, .whole = true };

	(void)state;
	for (e.http_status = 0; e.http_status <= 999; e.http_status++) {
		e.as_asked = false;
		if (verdict_of(&e) != by_the_table(e.http_status))
			fail_msg("%d means %s", e.http_status, verdict_label(verdict_of(&e)));
		e.as_asked = true;
		if (verdict_of(&e) != (e.http_status == 200 ? VERDICT_LISTED : by_the_table(e.http_status)))
			fail_msg("%d, and fine, means %s", e.http_status, verdict_label(verdict_of(&e)));
	}
}

/* A fate that is wrong here is an orphan that nobody looks for. */
static void
only_what_was_refused_or_never_left_has_a_known_fate(void **state)
{
	(void)state;
	assert_int_equal(verdict_fate(VERDICT_AMBIGUOUS), JOB_FATE_UNKNOWN);
	assert_int_equal(verdict_fate(VERDICT_REDIRECTED), JOB_FATE_UNKNOWN);
	assert_int_equal(verdict_fate(VERDICT_NOT_SENT), JOB_FATE_NOT_SENT);
	assert_int_equal(verdict_fate(VERDICT_THROTTLED), JOB_FATE_REFUSED);
	assert_int_equal(verdict_fate(VERDICT_CREATED), JOB_FATE_NONE);
	assert_string_equal(verdict_label(VERDICT_AMBIGUOUS), "ambiguous");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_never_left_was_not_sent),
		cmocka_unit_test(what_left_without_a_whole_answer_is_ambiguous),
		cmocka_unit_test(created_is_200_or_201_with_what_was_asked_for),
		cmocka_unit_test(each_status_of_a_create),
		cmocka_unit_test(each_status_of_a_delete),
		cmocka_unit_test(each_status_of_a_list),
		cmocka_unit_test(only_what_was_refused_or_never_left_has_a_known_fate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
