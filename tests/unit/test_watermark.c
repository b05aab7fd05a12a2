/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the offset that may be committed never passes an unanswered record, whatever order answers come in (I7). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "service/watermark.h"

static void
test_order(void **state)
{
	struct watermark *w = watermark_new(10);

	(void)state;
	for (int64_t o = 10; o < 14; o++)
		assert_true(watermark_take(w, o));
	watermark_stage(w, 12);
	assert_int_equal(watermark_staged(w), 10);
	watermark_settle(w, 12, true);
	assert_int_equal(watermark_lowest(w), 10);
	watermark_stage(w, 10);
	watermark_stage(w, 11);
	assert_int_equal(watermark_staged(w), 13);
	assert_int_equal(watermark_lowest(w), 10);
	watermark_settle(w, 10, true);
	watermark_settle(w, 11, true);
	assert_int_equal(watermark_lowest(w), 13);
	watermark_free(w);
}

static void
test_abort_takes_back(void **state)
{
	struct watermark *w = watermark_new(0);

	(void)state;
	assert_true(watermark_take(w, 0));
	assert_true(watermark_take(w, 1));
	watermark_stage(w, 0);
	assert_int_equal(watermark_staged(w), 1);
	watermark_settle(w, 0, false);
	assert_int_equal(watermark_staged(w), 0);
	assert_int_equal(watermark_lowest(w), 0);
	watermark_free(w);
}

static void
test_gaps_hold_nothing(void **state)
{
	struct watermark *w = watermark_new(5);

	(void)state;
	assert_int_equal(watermark_staged(w), 5);
	assert_true(watermark_take(w, 9));          /* 5 to 8: markers, compaction */
	assert_int_equal(watermark_staged(w), 9);
	assert_true(watermark_take(w, 1000));
	watermark_stage(w, 9);
	assert_int_equal(watermark_staged(w), 1000);
	watermark_settle(w, 9, true);
	assert_int_equal(watermark_lowest(w), 1000);
	watermark_free(w);
}

static void
test_never_twice(void **state)
{
	struct watermark *w = watermark_new(3);

	(void)state;
	assert_false(watermark_take(w, 2));
	assert_true(watermark_take(w, 3));
	assert_false(watermark_take(w, 3));
	watermark_answered(w, 3);
	assert_int_equal(watermark_lowest(w), 4);
	assert_false(watermark_take(w, 3));
	watermark_free(w);
}

static void
test_span_is_bounded(void **state)
{
	struct watermark *w = watermark_new(0);
	int64_t o = 0;

	(void)state;
	while (watermark_room(w))
		assert_true(watermark_take(w, o++));
	assert_int_equal(o, WATERMARK_SPAN_MOST);
	watermark_answered(w, 0);
	assert_true(watermark_room(w));
	watermark_free(w);
}

/* A hundred thousand random answers against a plain model. */
static void
test_against_a_model(void **state)
{
	enum { N = 2000 };
	static char answered[N];
	struct watermark *w = watermark_new(0);
	int64_t taken = 0, lowest = 0;

	(void)state;
	srandom(7);
	while (lowest < N) {
		int64_t o;

		if (taken < N && random() % 2 == 0) {
			assert_true(watermark_take(w, taken++));
			continue;
		}
		if (lowest == taken)
			continue;
		o = lowest + random() % (taken - lowest);
		if (answered[o])
			continue;
		watermark_stage(w, o);
		answered[o] = random() % 3 != 0;
		watermark_settle(w, o, answered[o]);
		while (lowest < taken && answered[lowest])
			lowest++;
		assert_int_equal(watermark_lowest(w), lowest);
	}
	watermark_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_abort_takes_back),
		    cmocka_unit_test(test_gaps_hold_nothing),
		cmocka_unit_test(test_never_twice), cmocka_unit_test(test_span_is_bounded),
		    cmocka_unit_test(test_against_a_model),
	};

	return cmocka_run_group_tests_name("watermark", tests, NULL, NULL);
}
