/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the durations still fit one another, and only a test build shortens any, and of those only the
 * API's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/base/durations.h"

/* What the protocol's proof leans on: change a duration, and this asks whether the others still hold. */
static void
durations_hold_together(void **state)
{
	(void)state;
	assert_true(duration_ms(DURATION_INTENT_LIFE) ==
	    duration_ms(DURATION_TRANSACTION) + duration_ms(DURATION_LEASE) + duration_ms(DURATION_CALL));
	assert_true(duration_ms(DURATION_DRAIN) > duration_ms(DURATION_CALL));
	assert_true(duration_ms(DURATION_MAX_POLL) > duration_ms(DURATION_DRAIN));
	assert_true(duration_ms(DURATION_CONNECT) < duration_ms(DURATION_CALL));
	assert_true(duration_ms(DURATION_DEADLINE_DEFAULT) <= duration_ms(DURATION_DEADLINE_MOST));
	assert_true(duration_ms(DURATION_BACKOFF_BASE) <= duration_ms(DURATION_BACKOFF_CAP));
	assert_true(duration_ms(DURATION_BREAKER_FIRST) <= duration_ms(DURATION_BREAKER_MOST));
}

/* The scale is set before the first use, in main; 5 s of the breaker become 50 ms where builds may scale. */
static void
only_the_apis_are_scaled(void **state)
{
	(void)state;
#ifdef TOKEND_SCALED_TIME
	assert_true(duration_ms(DURATION_BREAKER_FIRST) == 50);
	assert_true(duration_ms(DURATION_BACKOFF_BASE) == 5);
#else
	assert_true(duration_ms(DURATION_BREAKER_FIRST) == 5000);
	assert_true(duration_ms(DURATION_BACKOFF_BASE) == 500);
#endif
	assert_true(duration_ms(DURATION_LEASE) == 5000);
	assert_true(duration_ms(DURATION_WINDOW) == UINT64_C(7) * 86400 * 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_hold_together),
		cmocka_unit_test(only_the_apis_are_scaled),
	};

	if (setenv("TOKEND_TIME_SCALE", "0.01", 1) != 0)
		return 1;
	return cmocka_run_group_tests_name("durations", tests, NULL, NULL);
}
