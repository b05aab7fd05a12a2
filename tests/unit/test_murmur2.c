/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a request's home is where Kafka's own clients put it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/base/murmur2.h"

/* From the tests of Kafka's Java client (UtilsTest.testMurmur2). */
static void
kafkas_known_values(void **state)
{
	static const struct { const char *key; int32_t hash; } known[] = {
		{ "21", -973932308 }, { "foobar", -790332482 }, { "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 }, { "abc", 479470107 },
		{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_int_equal((int32_t)murmur2(span_str(known[i].key)), known[i].hash);
}

/* The sign bit is masked away, not negated: -973932308 & 0x7fffffff = 1173551340. */
static void
partitions_are_never_negative(void **state)
{
	(void)state;
	assert_int_equal(murmur2_partition(span_str("21"), INT32_MAX), 1173551340);
	assert_int_equal(murmur2_partition(span_str("21"), 6), 1173551340 % 6);
	assert_int_equal(murmur2_partition(span_str("abc"), 6), 479470107 % 6);
	assert_int_equal(murmur2_partition(span_str("anything"), 1), 0);
	assert_in_range(murmur2_partition(span_of(NULL, 0), 7), 0, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kafkas_known_values),
		cmocka_unit_test(partitions_are_never_negative),
	};

	return cmocka_run_group_tests_name("murmur2", tests, NULL, NULL);
}
