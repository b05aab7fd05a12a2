/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: sentences (struct err, struct status) stay one line of UTF-8 within their room, and the table's
 * numbers are the contract's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/base/err.h"
#include "service/base/text.h"
#include "service/status.h"
#include "tokend/v1/token.pb-c.h"

static void
errors_are_one_line_and_fit(void **state)
{
	static char endless[2000];
	struct err e;

	(void)state;
	assert_int_equal(err_set(NULL, ERR_FATAL, "unheard"), -1);
	assert_int_equal(err_prefix(NULL, "unheard"), -1);
	assert_int_equal(err_set(&e, ERR_RETRY, "broker said: %s", "line\nline\t\x7f.\n"), -1);
	assert_string_equal(e.text, "broker said: line line  .");
	assert_int_equal(e.next, ERR_RETRY);
	assert_int_equal(err_prefix(&e, "partition %d", 3), -1);
	assert_string_equal(e.text, "partition 3: broker said: line line  .");
	assert_int_equal(e.next, ERR_RETRY);
	for (size_t i = 0; i + 2 < sizeof(endless); i += 2)
		memcpy(endless + i, "ü", 2);
	for (int front = 0; front < 2; front++) {
		assert_int_equal(err_set(&e, ERR_REFUSE, "%.*s%s", front, "x", endless), -1);
		assert_in_range(strlen(e.text), ERR_TEXT_BYTES - 8, ERR_TEXT_BYTES - 1);
		assert_true(text_is_utf8(span_str(e.text)));
	}
	assert_int_equal(err_prefix(&e, "%s", endless), -1);
	assert_true(text_is_utf8(span_str(e.text)));
	assert_int_equal(err_set(&e, ERR_REFUSE, "again: %s", e.text), -1);
	assert_int_equal(strncmp(e.text, "again: ü", strlen("again: ü")), 0);
}

/* Ours are written without the generated header, so that base/ and the rooms need not know it: compare here. */
static void
numbers_are_the_contracts(void **state)
{
	(void)state;
	assert_int_equal(ABOUT_OUTCOME, TOKEND__V1__ABOUT__OUTCOME);
	assert_int_equal(ABOUT_RECORD, TOKEND__V1__ABOUT__RECORD);
	assert_int_equal(RETRY_NONE, TOKEND__V1__RETRY__RETRY_UNSPECIFIED);
	assert_int_equal(RETRY_NEVER, TOKEND__V1__RETRY__NEVER);
	assert_int_equal(RETRY_SAME_RECORD, TOKEND__V1__RETRY__SAME_RECORD);
	assert_int_equal(RETRY_NEW_ID, TOKEND__V1__RETRY__NEW_ID);
	assert_int_equal(RETRY_LATER, TOKEND__V1__RETRY__LATER);
}

static void
rows_agree_with_the_codes(void **state)
{
	(void)state;
	for (int c = 0; c < STATUS_COUNT; c++) {
		const struct status_row *row = status_row((enum status_cause)c);

		assert_string_equal(row->code_name, status_code_name((int32_t)row->code));
		assert_true((row->code == CODE_OK) == (row->retry == RETRY_NONE));
		assert_true((row->code == CODE_OK) == (row->reason[0] == '\0'));
	}
	assert_string_equal(status_row(STATUS_POLICY_DENIED)->cause, "POLICY_DENIED");
	assert_string_equal(status_row(STATUS_STILL_IN_FLIGHT)->reason, "IN_FLIGHT");
	assert_string_equal(status_code_name(15), "DATA_LOSS");
	assert_string_equal(status_code_name(16), "UNAUTHENTICATED");
	assert_string_equal(status_code_name(17), "UNKNOWN");
	assert_string_equal(status_code_name(-1), "UNKNOWN");
}

static void
statuses_are_filled_and_cut(void **state)
{
	static char endless[2000];
	struct status s;

	(void)state;
	memset(&s, 0xff, sizeof(s));
	assert_int_equal(status_set(&s, STATUS_CLOCK_SKEW, "issued %d s ahead", 300), -1);
	assert_string_equal(s.message, "issued 300 s ahead");
	assert_int_equal(s.cause, STATUS_CLOCK_SKEW);
	assert_int_equal(s.n_details, 0);
	status_detail(&s, "service_time", "%s", "2026-11-24T08:20:00Z");
	for (size_t i = 0; i + 3 < sizeof(endless); i += 3)
		memcpy(endless + i, "€", 3);
	status_detail(&s, "field", "x%s", endless);
	assert_int_equal(s.n_details, 2);
	assert_string_equal(s.details[0].value, "2026-11-24T08:20:00Z");
	assert_string_equal(s.details[1].key, "field");
	assert_true(text_is_utf8(span_str(s.details[1].value)));
	assert_in_range(strlen(s.details[1].value), 70, 79);
	for (int front = 0; front < 3; front++) {
		(void)status_set(&s, STATUS_INTERNAL, "%.*s%s", front, "xx", endless);
		assert_true(text_is_utf8(span_str(s.message)));
		assert_in_range(strlen(s.message), STATUS_MESSAGE_BYTES - 8, STATUS_MESSAGE_BYTES - 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_one_line_and_fit),
		cmocka_unit_test(numbers_are_the_contracts),
		cmocka_unit_test(rows_agree_with_the_codes),
		cmocka_unit_test(statuses_are_filled_and_cut),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
