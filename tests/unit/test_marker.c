/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is written is read back, and nothing else is taken for it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/marker.h"

#define UUID "00010203-0405-0607-0809-0a0b0c0d0eff"
#define MARKER "[tokend/1:svc:telemetry:12:" UUID "]"

static const struct marker written = {
	.partition = 12, .uuid = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255 }
};

static void
test_there_and_back(void **state)
{
	struct arena a;
	struct marker m;
	const char *description;

	(void)state;
	arena_init(&a);
	description = marker_describe(&a, "a [looks] odd", "svc", "telemetry", &written);
	assert_string_equal(description, "a [looks] odd " MARKER);
	assert_string_equal(marker_of(description), MARKER);
	assert_true(marker_read(marker_of(description), "svc", &m));
	assert_int_equal(m.partition, 12);
	assert_memory_equal(m.uuid, written.uuid, sizeof m.uuid);
	arena_free(&a);
}

static void
test_prefix(void **state)
{
	char room[MARKER_PREFIX_ROOM];

	(void)state;
	assert_string_equal(marker_prefix("svc", room), "[tokend/1:svc:");
	assert_int_equal(strlen(marker_prefix("a-service-id-of-32-characters-xx", room)), 10 + 32 + 1);
}

static void
test_what_is_none(void **state)
{
	static const char *const none[] = {
		"", "[", "[tokend/1:svc:",
		"[tokend/1:svc2:telemetry:12:" UUID "]", "[tokend/2:svc:telemetry:12:" UUID "]",
		"[tokend/1:svc:telemetry:12:" UUID "] by hand", "[tokend/1:svc:telemetry:12:" UUID,
		"[tokend/1:svc:telemetry:12:" UUID "x]", "[tokend/1:svc:telemetry:12:" UUID "x",
		"[tokend/1:svc:telemetry:12:00010203-0405-0607-0809-0a0b0c0d0ef]",
		"[tokend/1:svc:telemetry:12:00010203-0405-0607-0809-0A0B0C0D0EFF]", "[tokend/1:svc::12:" UUID "]",
		"[tokend/1:svc:tele metry:12:" UUID "]", "[tokend/1:svc:telemetry::" UUID "]",
		"[tokend/1:svc:telemetry:-1:" UUID "]", "[tokend/1:svc:telemetry: 1:" UUID "]",
		"[tokend/1:svc:telemetry:2147483648:" UUID "]",
		"[tokend/1:svc:telemetry:99999999999999999999:" UUID "]",
		"[tokend/1:svc:telemetry:12x:" UUID "]", "[tokend/1:svc:telemetry", "[tokend/1:svc:telemetry:12",
	};
	struct marker m = { .partition = -7 };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		if (marker_read(none[i], "svc", &m))
			fail_msg("taken for a marker: %s", none[i]);
		assert_int_equal(m.partition, -7);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
