/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: times and durations mean what RFC 3339 and the README say, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "service/base/text.h"

static void
assert_time(const char *text, int64_t seconds, int32_t nanos)
{
	int64_t got_seconds = -1;
	int32_t got_nanos = -1;

	if (!text_parse_time(span_str(text), &got_seconds, &got_nanos))
		fail_msg("%s was refused", text);
	assert_int_equal(got_seconds, seconds);
	assert_int_equal(got_nanos, nanos);
}

static void
reads_what_rfc3339_allows(void **state)
{
	(void)state;
	assert_time("1970-01-01T00:00:00Z", 0, 0);
	assert_time("2026-11-24T08:20:00Z", 1795508400, 0);
	assert_time("2026-11-24t08:20:00z", 1795508400, 0);
	assert_time("2026-11-24 09:20:00+01:00", 1795508400, 0);
	assert_time("2026-11-24T09:20:00+0100", 1795508400, 0);
	assert_time("2026-11-24T02:50:00-05:30", 1795508400, 0);
	assert_time("2026-11-24T08:20:00-00:00", 1795508400, 0);
	assert_time("2026-11-24T08:20:00.5Z", 1795508400, 500000000);
	assert_time("2026-11-24T08:20:00.000000001Z", 1795508400, 1);
	assert_time("2026-11-24T08:20:00.1234567899Z", 1795508400, 123456789);
	assert_time("2024-02-29T00:00:00Z", 1709164800, 0);
	assert_time("2000-02-29T00:00:00Z", 951782400, 0);
	assert_time("2016-12-31T23:59:60Z", 1483228800, 0);
	assert_time("0001-01-01T00:00:00Z", -62135596800, 0);
	assert_time("9999-12-31T23:59:59Z", 253402300799, 0);
}

static void
refuses_all_else(void **state)
{
	static const char *const bad[] = { "", "now", "2026-11-24", "2026-11-24T08:20Z",
		"2026-11-24T08:20:00", "26-11-24T08:20:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T08:60:00Z", "2026-11-24T08:20:61Z",
		"2026-11-24T08:20:00.Z", "2026-11-24T08:20:00,5Z", "2026-11-24T08:20:00+1", "2026-11-24T08:20:00+24:00",
		"2026-11-24T08:20:00+01:60", "2026-11-24T08:20:00ZZ", " 2026-11-24T08:20:00Z", "2026-11-24T08:20:00Z ",
		"2026-1-24T08:20:00Z", "+026-11-24T08:20:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01", "2026/11/24T08:20:00Z", "2026-11-24T8:20:00Z" };
	int64_t seconds = 7;
	int32_t nanos = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (text_parse_time(span_str(bad[i]), &seconds, &nanos))
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(seconds, 7);
	assert_int_equal(nanos, 7);
}

static void
writes_and_reads_back(void **state)
{
	char room[TEXT_RFC3339_ROOM];

	(void)state;
	assert_string_equal(text_time(1795508400, -1, room), "2026-11-24T08:20:00Z");
	assert_string_equal(text_time(1795508400, 42, room), "2026-11-24T08:20:00.000042Z");
	assert_string_equal(text_time(-1, -1, room), "1969-12-31T23:59:59Z");
	assert_string_equal(text_time(INT64_MAX, 999999, room), "9999-12-31T23:59:59.999999Z");
	assert_string_equal(text_time(INT64_MIN, -1, room), "0001-01-01T00:00:00Z");
}

/* Against the C library's calendar, over four centuries and more. */
static void
agrees_with_gmtime(void **state)
{
	(void)state;
	for (int64_t at = -15000000000; at < 30000000000; at += 86400 * 13 + 3607) {
		char ours[TEXT_RFC3339_ROOM], theirs[TEXT_RFC3339_ROOM];
		time_t t = (time_t)at;
		struct tm tm;
		int64_t back;
		int32_t nanos;

		(void)strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
		assert_string_equal(text_time(at, -1, ours), theirs);
		assert_true(text_parse_time(span_str(ours), &back, &nanos));
		assert_true(back == at);
	}
}

static void
durations(void **state)
{
	static const struct { const char *text; uint64_t ms; } good[] = {
		{ "250ms", 250 }, { "10s", 10000 }, { "15m", 900000 }, { "1h", 3600000 }, { "90d", 7776000000 },
		{ "0s", 0 }, { "3650d", 315360000000 }, { "007s", 7000 }
	};
	static const char *const bad[] = { "", "1", "s", "1w", "1H", "-1s", "+1s", "1.5h", "1h30m", " 1s", "1s ", "1 s",
		"3651d", "99999999999999999999ms", "18446744073709551617ms", "0x1s" };
	uint64_t ms = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (text_parse_duration(span_str(bad[i]), &ms))
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(ms, 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(text_parse_duration(span_str(good[i].text), &ms));
		assert_true(ms == good[i].ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_rfc3339_allows),
		cmocka_unit_test(refuses_all_else),
		cmocka_unit_test(writes_and_reads_back),
		cmocka_unit_test(agrees_with_gmtime),
		cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests_name("text_time", tests, NULL, NULL);
}
