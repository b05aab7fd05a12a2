/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: timers come in order of time, each once, and a cleared one never. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "service/ticket.h"
#include "service/timers.h"

static void
test_order_and_clearing(void **state)
{
	enum { N = 500 };
	static struct ticket tickets[N];
	struct timers *h = timers_new();
	uint64_t last = 0;
	int seen = 0;
	struct ticket *t;

	(void)state;
	srandom(3);
	assert_true(timers_next(h) == UINT64_MAX);
	for (int i = 0; i < N; i++) {
		tickets[i].timer = -1;
		timers_set(h, &tickets[i], 1 + (uint64_t)(random() % 1000));
	}
	for (int i = 0; i < N; i += 3)
		timers_clear(h, &tickets[i]);
	for (int i = 1; i < N; i += 3)
		timers_set(h, &tickets[i], 1 + (uint64_t)(random() % 1000));
	while ((t = timers_take(h, UINT64_MAX)) != NULL) {
		assert_true(t->due_boot_ms >= last);
		assert_int_equal(t->timer, -1);
		assert_int_not_equal((t - tickets) % 3, 0);
		last = t->due_boot_ms;
		seen++;
	}
	assert_int_equal(seen, N - (N + 2) / 3);
	timers_free(h);
}

static void
test_not_before_its_time(void **state)
{
	static struct ticket t = { .timer = -1 };
	struct timers *h = timers_new();

	(void)state;
	timers_set(h, &t, 100);
	assert_null(timers_take(h, 99));
	assert_true(timers_next(h) == 100);
	timers_set(h, &t, 50);
	assert_ptr_equal(timers_take(h, 50), &t);
	assert_null(timers_take(h, UINT64_MAX));
	timers_clear(h, &t);
	timers_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order_and_clearing),
	    cmocka_unit_test(test_not_before_its_time) };

	return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
