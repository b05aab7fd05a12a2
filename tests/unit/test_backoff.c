/* Goal: no wait is longer than the widest window, none shorter than the server asked for, and only a Retry-After
 * that RFC 9110 knows is obeyed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "workers/backoff.h"

#define MOST 600000
#define NOW 784111777                   /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct backoff ordinary = { .base_ms = 500, .cap_ms = 60000 };

static void
the_window_doubles_up_to_the_cap(void **state)
{
	(void)state;
	assert_int_equal(backoff_ms(&ordinary, 0, 0, UINT32_MAX), 499);
	assert_int_equal(backoff_ms(&ordinary, 1, 0, UINT32_MAX), 999);
	assert_int_equal(backoff_ms(&ordinary, 6, 0, UINT32_MAX), 31999);
	assert_int_equal(backoff_ms(&ordinary, 7, 0, UINT32_MAX), 59999);
	assert_int_equal(backoff_ms(&ordinary, UINT32_MAX, 0, UINT32_MAX), 59999);
}

static void
the_dice_choose_anywhere_in_the_window(void **state)
{
	(void)state;
	assert_int_equal(backoff_ms(&ordinary, 3, 0, 0), 0);
	assert_int_equal(backoff_ms(&ordinary, 3, 0, 1u << 31), 2000);
}

static void
the_servers_word_comes_first(void **state)
{
	(void)state;
	assert_int_equal(backoff_ms(&ordinary, 0, 7000, 0), 7000);
	assert_int_equal(backoff_ms(&ordinary, 0, 7000, 1u << 31), 7250);
}

static void
a_cap_below_the_base_holds(void **state)
{
	const struct backoff odd = { .base_ms = 500, .cap_ms = 100 };

	(void)state;
	assert_int_equal(backoff_ms(&odd, 0, 0, UINT32_MAX), 99);
}

static uint64_t
after(const char *value)
{
	return backoff_retry_after_ms(span_str(value), NOW, MOST);
}

static void
seconds_are_understood(void **state)
{
	(void)state;
	assert_int_equal(after("0"), 0);
	assert_int_equal(after("1"), 1000);
	assert_int_equal(after("007"), 7000);
	assert_int_equal(after("600"), MOST);
	assert_int_equal(after("601"), MOST);
	assert_int_equal(after("18446744073709551617"), MOST);
	assert_int_equal(after("99999999999999999999999999999999999999"), MOST);
}

static void
all_three_forms_of_a_date_are_understood(void **state)
{
	(void)state;
	assert_int_equal(after("Sun, 06 Nov 1994 08:49:47 GMT"), 10000);
	assert_int_equal(after("Sunday, 06-Nov-94 08:49:47 GMT"), 10000);
	assert_int_equal(after("Sun Nov  6 08:49:47 1994"), 10000);
	assert_int_equal(after("Wed Nov 16 08:49:47 1994"), MOST);
	assert_int_equal(after("Sat, 31 Dec 2016 23:59:60 GMT"), MOST);
}

static void
the_past_is_no_wait(void **state)
{
	(void)state;
	assert_int_equal(after("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
	assert_int_equal(after("Sun, 06 Nov 1994 08:49:36 GMT"), 0);
	assert_int_equal(after("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
}

/* 1994: '44 is 50 years ahead, '45 would be 51, so it is 1945. */
static void
a_year_of_two_digits_is_at_most_50_years_ahead(void **state)
{
	(void)state;
	assert_int_equal(after("Sunday, 06-Nov-44 08:49:47 GMT"), MOST);
	assert_int_equal(after("Sunday, 06-Nov-45 08:49:47 GMT"), 0);
}

static void
anything_else_is_ignored(void **state)
{
	static const char *const bad[] = {
		"", " ", "-1", "+5", "5 ", " 5", "5s", "1.5", "soon", "Sun",
		"Sun, 06 Nov 2094 08:49:47", "Sun, 06 Nov 2094 08:49:47 UTC",
		"Sun, 06 Nov 2094 08:49:47 GMT ", "sun, 06 nov 2094 08:49:47 gmt", "Sun, 6 Nov 2094 08:49:47 GMT",
		"Sun, 00 Nov 2094 08:49:47 GMT", "Sun, 31 Feb 2094 08:49:47 GMT", "Sun, 06 Nov 2094 24:00:00 GMT",
		"Sun, 06 Nov 2094 08:60:47 GMT", "Sun, 06 Nov 2094 08:49:61 GMT", "Sun, 06 Xxx 2094 08:49:47 GMT",
		"Sun Nov 006 08:49:47 2094", "Sun Nov   08:49:47 2094", "Sun, -6 Nov 2094 08:49:47 GMT",
		"Sunday, 06-Nov-9x 08:49:47 GMT",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (after(bad[i]) != 0)
			fail_msg("\"%s\" was obeyed", bad[i]);
	assert_int_equal(backoff_retry_after_ms(span_of("5\0", 2), NOW, MOST), 0);
	assert_int_equal(backoff_retry_after_ms(span_of(NULL, 0), NOW, MOST), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_doubles_up_to_the_cap),
		cmocka_unit_test(the_dice_choose_anywhere_in_the_window),
		cmocka_unit_test(the_servers_word_comes_first),
		cmocka_unit_test(a_cap_below_the_base_holds),
		cmocka_unit_test(seconds_are_understood),
		cmocka_unit_test(all_three_forms_of_a_date_are_understood),
		cmocka_unit_test(the_past_is_no_wait),
		cmocka_unit_test(a_year_of_two_digits_is_at_most_50_years_ahead),
		cmocka_unit_test(anything_else_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
