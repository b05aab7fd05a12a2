/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: only what the RFC calls JSON is taken, a slip is told by the place where an editor finds it, and no name counts
 * twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/base/err.h"
#include "service/ctl/jsondoc.h"

static void
assert_refused(const char *text, const char *said)
{
	struct err e;
	cJSON *value = jsondoc_parse("f", span_str(text), &e);

	if (value != NULL)
		fail_msg("was taken: %s", text);
	if (strncmp(e.text, said, strlen(said)) != 0)
		fail_msg("%s: %s, not %s", text, e.text, said);
}

static void
test_json_is_taken(void **state)
{
	static const char *const texts[] = {
		"{}", " [ ] ", "{\"a\":[1,-2.5e3,true,false,null,\"\\u00e4\\\\\\\"\"],\"b\":{}}\n", "\"\\\\u0000\"",
		"[{}, {}]",
		"{\"a\":{\"x\":1},\"b\":{\"x\":2}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct err e;
		cJSON *value = jsondoc_parse("f", span_str(texts[i]), &e);

		if (value == NULL)
			fail_msg("%s: %s", texts[i], e.text);
		cJSON_Delete(value);
	}
}

static void
test_a_slip_is_told_by_its_place(void **state)
{
	(void)state;
	assert_refused("{\"a\":1,}", "f:1:7: a comma with nothing behind it");
	assert_refused("[1,\n 2 ,\n]", "f:2:4: a comma with nothing behind it");
	assert_refused("{\n\t\"a\": [\n\t\t{},\n\t]\n}", "f:3:5: a comma with nothing behind it");
	assert_refused("{\"ä\": 1,}", "f:1:8: a comma with nothing behind it");
	assert_refused("{} {}", "f:1:4: this is not JSON from here on: {}");
	assert_refused("{}{}", "f:1:3: this is not JSON from here on: {}");
	assert_refused("{a: 1}", "f:1:2: this is not JSON from here on: a: 1}");
	assert_refused("{\"a\" 1}", "f:1:6: this is not JSON from here on: 1}");
	assert_refused("[1, nil]", "f:1:5: this is not JSON from here on: nil]");
	assert_refused("[,1]", "f:1:2: this is not JSON from here on: ,1]");
	assert_refused("{,}", "f:1:2: this is not JSON from here on: ,}");
	assert_refused("[1", "f:1:3: the JSON ends too early");
	assert_refused("{\"a\":", "f:1:6: the JSON ends too early");
	assert_refused("", "f:1:1: the JSON ends too early");
	assert_refused("[\"a\x1b\"]", "f:1:4: a control character in a string");
	assert_refused("[\"a\\u0000\"]", "f:1:4: \\u0000 in a string");
	assert_refused("[\"\\\\\\u0000\"]", "f:1:5: \\u0000 in a string");
	assert_refused("[\"a\\u00zz\"]", "f:1:4: \\u without four hexadecimal digits");
	assert_refused("[\"a\\u000\"]", "f:1:4: \\u without four hexadecimal digits");
	assert_refused("[\"a\\u", "f:1:4: \\u without four hexadecimal digits");
	assert_refused("[\"\xff\"]", "f is not UTF-8");
}

/* Each in memory of its own: a sanitizer sees when what is not there is read. */
static void
test_every_beginning_is_refused(void **state)
{
	static const char whole[] = "{\"a\": [\"b\\u00e4\", {\"c\": -1.5e3}], \"d\": null}";

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		char *text = strndup(whole, n);

		assert_refused(text, "f:1:");
		free(text);
	}
}

static void
test_a_name_stands_once_in_an_object(void **state)
{
	(void)state;
	assert_refused("{\"a\":1,\"b\":2,\"a\":3}", "f: \"a\" stands twice");
	assert_refused("[[{\"\\u0061\":1,\"a\":2}]]", "f: \"a\" stands twice");
}

static void
test_members_are_known_or_refused(void **state)
{
	static const char *const known[] = { "a", "b" };
	struct err e;
	const char *text = NULL;
	cJSON *o = jsondoc_parse("f", span_str("{\"a\": \"x\", \"b\": 1}"), &e);

	(void)state;
	assert_non_null(o);
	assert_int_equal(jsondoc_only(o, "f", known, 2, &e), 0);
	assert_int_equal(jsondoc_only(o, "f", known, 1, &e), -1);
	assert_string_equal(e.text, "f: nothing is known of a member \"b\"; it may have a");
	assert_int_equal(jsondoc_text(o, "f", "c", &text, &e), 0);
	assert_null(text);
	assert_int_equal(jsondoc_text(o, "f", "b", &text, &e), -1);
	assert_string_equal(e.text, "f: b must be a string");
	assert_int_equal(jsondoc_text(o, "f", "a", &text, &e), 0);
	assert_string_equal(text, "x");
	cJSON_Delete(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_is_taken),
		cmocka_unit_test(test_a_slip_is_told_by_its_place),
		cmocka_unit_test(test_every_beginning_is_refused),
		cmocka_unit_test(test_a_name_stands_once_in_an_object),
		cmocka_unit_test(test_members_are_known_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
