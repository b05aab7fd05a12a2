/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: foreign bytes can neither pass for what they are not nor do harm where they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/base/text.h"

#define SPAN(literal) span_of(literal, sizeof(literal) - 1)

static void
assert_shown(struct span value, const char *expected)
{
	char room[TEXT_SHOWN_ROOM];

	assert_string_equal(text_shown(value, room), expected);
}

static void
shows_what_is_printable_and_escapes_the_rest(void **state)
{
	(void)state;
	assert_shown(SPAN("plain"), "plain");
	assert_shown(span_of(NULL, 0), "");
	assert_shown(SPAN("Größe ✓ 🎉"), "Größe ✓ 🎉");
	assert_shown(SPAN("a\nb\tc\x7f\0d"), "a\\x0ab\\x09c\\x7f\\x00d");
	assert_shown(SPAN("say \"hi\" \\"), "say \\x22hi\\x22 \\x5c");
	assert_shown(SPAN("\xff\xc3"), "\\xff\\xc3");
	assert_shown(SPAN("\xc2\x85"), "\\xc2\\x85");                    /* C1: next line */
	assert_shown(SPAN("\xe2\x80\xae" "evil"), "\\xe2\\x80\\xaeevil");  /* right-to-left override */
	assert_shown(SPAN("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");           /* line separator */
}

static void
shown_is_cut_at_a_character_and_fits_its_room(void **state)
{
	char value[300], room[TEXT_SHOWN_ROOM];

	(void)state;
	memset(value, '\x01', sizeof(value));
	assert_int_equal(strlen(text_shown(span_of(value, sizeof(value)), room)), TEXT_SHOWN_ROOM - 1);
	memset(value, 'a', sizeof(value));
	memcpy(value + 127, "ü", 2);
	(void)text_shown(span_of(value, sizeof(value)), room);
	assert_string_equal(room + 126, "a…");
	(void)text_shown(span_of(value, 128 - 1), room);
	assert_int_equal(strlen(room), 127);
}

static void
utf8_is_what_unicode_says(void **state)
{
	static const char *const good[] = { "", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82",
		"\xf0\x9f\x98", "\xe2\x28\xa1", "\xe2\x82\x28", "a\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(text_is_utf8(span_str(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(text_is_utf8(span_str(bad[i])));
	assert_false(text_is_utf8(SPAN("a\0b")));
}

static void
cut_never_splits_a_character(void **state)
{
	struct span value = SPAN("aü€🎉");        /* 1 + 2 + 3 + 4 bytes */
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

	(void)state;
	for (size_t most = 0; most < sizeof(expected) / sizeof(expected[0]); most++)
		assert_int_equal(text_cut(value, most).bytes, expected[most]);
	assert_int_equal(text_cut(SPAN("\x80\x80\x80\x80\x80\x80\x80\x80"), 5).bytes, 5);
}

static void
hex_and_uuid(void **state)
{
	static const unsigned char bytes[16] = { 0x00, 0x1f, 0xa0, 0xff, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	char room[40];

	(void)state;
	assert_string_equal(text_hex(span_of(bytes, 4), room), "001fa0ff");
	assert_string_equal(text_hex(span_of(NULL, 0), room), "");
	assert_string_equal(text_uuid(bytes, room), "001fa0ff-0405-0607-0809-0a0b0c0d0e0f");
	assert_true(text_is_uuid(span_str(room)));
	assert_false(text_is_uuid(SPAN("001FA0FF-0405-0607-0809-0a0b0c0d0e0f")));
	assert_false(text_is_uuid(SPAN("001fa0ff-0405-0607-0809-0a0b0c0d0e0")));
	assert_false(text_is_uuid(SPAN("001fa0ff-0405-0607-0809-0a0b0c0d0e0f0")));
	assert_false(text_is_uuid(SPAN("001fa0ff-0405-0607-0809a0a0b0c0d0e0f")));
	assert_false(text_is_uuid(SPAN("001fa0ff-0405-0607-0809-0a0b0c0d0e/f")));
	assert_false(text_is_uuid(SPAN("001fa0ff-0405-0607-0809-0a0b0c0d0e\0f")));
}

static void
names_follow_the_contract(void **state)
{
	char long_name[202];

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	assert_true(text_is_request_id(SPAN("A-z0.9_:")));
	assert_true(text_is_request_id(span_of(long_name, 128)));
	assert_false(text_is_request_id(span_of(long_name, 129)));
	assert_false(text_is_request_id(SPAN("")));
	assert_false(text_is_request_id(SPAN("a b")));
	assert_false(text_is_request_id(SPAN("a\0")));
	assert_false(text_is_request_id(SPAN("ä")));
	assert_true(text_is_principal(SPAN("team.a_b-1")));
	assert_false(text_is_principal(SPAN("Team")));
	assert_false(text_is_principal(span_of(long_name, 65)));
	assert_true(text_is_service_id(SPAN("prod-tokens")));
	assert_false(text_is_service_id(SPAN("prod.tokens")));
	assert_false(text_is_service_id(span_of(long_name, 33)));
	assert_true(text_is_database(SPAN("db/rp_1-X")));
	assert_false(text_is_database(SPAN("*")));
	assert_false(text_is_database(SPAN("telemetry_*")));
	assert_false(text_is_database(span_of(long_name, 65)));
	assert_true(text_is_description(span_of(long_name, 200)));
	assert_false(text_is_description(span_of(long_name, 201)));
}

static void
descriptions_cannot_forge_a_marker_or_hide_something(void **state)
{
	(void)state;
	assert_true(text_is_description(SPAN("für die Messwerte [tokend]")));
	assert_false(text_is_description(SPAN("")));
	assert_false(text_is_description(SPAN(" a")));
	assert_false(text_is_description(SPAN("a ")));
	assert_false(text_is_description(SPAN("a\nb")));
	assert_false(text_is_description(SPAN("a\x7f")));
	assert_false(text_is_description(SPAN("a\xc2\x9f" "b")));
	assert_false(text_is_description(SPAN("a\0b")));
	assert_false(text_is_description(SPAN("a\xff")));
	assert_false(text_is_description(SPAN("x [tokend/prod 1] y")));
}

static void
base64_is_one_text_for_each_sequence(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xff\xef\xbe", "/+++" } };
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm 8=", "Zm8=\n", "Zm8-", "Zm8_",
		"=AAA", "A=AA", "====", "Zg==Zg==", "AA=A" };
	unsigned char bytes[16];
	char room[32];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct span plain = span_str(pairs[i][0]);

		assert_string_equal(text_base64(plain, room), pairs[i][1]);
		assert_int_equal(text_parse_base64(span_str(pairs[i][1]), bytes, sizeof(bytes)), plain.bytes);
		assert_true(span_equal(span_of(bytes, plain.bytes), plain));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_parse_base64(span_str(bad[i]), bytes, sizeof(bytes)), -1);
	assert_int_equal(text_parse_base64(SPAN("AAA\0"), bytes, sizeof(bytes)), -1);
	assert_int_equal(text_parse_base64(SPAN("Zm9vYmFy"), bytes, 5), -1);
	assert_int_equal(text_parse_base64(SPAN("Zm9vYmFy"), bytes, 6), 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_is_printable_and_escapes_the_rest),
		cmocka_unit_test(shown_is_cut_at_a_character_and_fits_its_room),
		cmocka_unit_test(utf8_is_what_unicode_says),
		cmocka_unit_test(cut_never_splits_a_character),
		cmocka_unit_test(hex_and_uuid),
		cmocka_unit_test(names_follow_the_contract),
		cmocka_unit_test(descriptions_cannot_forge_a_marker_or_hide_something),
		cmocka_unit_test(base64_is_one_text_for_each_sequence),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
