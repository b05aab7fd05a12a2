/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a line that is printed to be pasted means the same to a shell, whatever was typed; and what an address
 * answers to a token is read one way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/ctl/activation.h"
#include "service/ctl/again.h"
#include "service/ctl/command.h"
#include "service/ctl/deliver.h"

static void
assert_survives_the_shell(const char *text)
{
	struct arena a = { 0 };
	char back[512];
	FILE *shell = popen(arena_text(&a, "printf %%s. %s", again_word(text, &a)), "r");
	size_t n = fread(back, 1, sizeof(back) - 1, shell);

	back[n] = '\0';
	assert_int_equal(pclose(shell), 0);
	assert_string_equal(back, arena_text(&a, "%s.", text));
	arena_free(&a);
}

static void
test_a_word_is_the_same_to_a_shell(void **state)
{
	(void)state;
	assert_survives_the_shell("plain/word=1");
	assert_survives_the_shell("");
	assert_survives_the_shell("two words");
	assert_survives_the_shell("it's");
	assert_survives_the_shell("'");
	assert_survives_the_shell("$(touch /tmp/x) `id` \\ \" ! * ? ~ # ; & | < > { }");
	assert_survives_the_shell("line\nline");
	assert_survives_the_shell("äö…");
}

static void
test_the_line_has_what_the_profile_and_the_delivery_need(void **state)
{
	struct arena a = { 0 };
	struct globals g = { .config = "/a b/c.yaml", .profile = "other" };
	struct invocation v = { .globals = &g, .arena = &a };
	char *command[] = { "sh", "-c", "cat >x", NULL };
	const struct deliver_flags f = { .wait_active = "https://h/q?db=a&b", .command = command };
	const struct deliver_flags out = { .format = "json", .out = "it's" };

	(void)state;
	assert_string_equal(again_line(&v, "token open", "id-1", &f),
	    "tokenctl token open --request-id id-1 --config '/a b/c.yaml' --profile other "
	    "--wait-active 'https://h/q?db=a&b' --exec sh -c 'cat >x'");
	assert_string_equal(again_line(&v, "token create", "id-1", &out),
	    "tokenctl token create --request-id id-1 --config '/a b/c.yaml' --profile other --format json "
	    "--out 'it'\\''s'");
	g.profile = "default";
	assert_string_equal(again_line(&v, "reply open", "id-1", NULL),
	    "tokenctl reply open --request-id id-1 --config '/a b/c.yaml'");
	arena_free(&a);
}

static void
test_the_default_profile_needs_no_flags(void **state)
{
	struct arena a = { 0 };
	const struct globals g = { .config = "/x/tokend/tokenctl.yaml", .profile = "default" };
	const struct invocation v = { .globals = &g, .arena = &a };

	(void)state;
	assert_int_equal(setenv("XDG_CONFIG_HOME", "/x", 1), 0);
	assert_string_equal(again_line(&v, "token create", "id-1", NULL), "tokenctl token create --request-id id-1");
	arena_free(&a);
}

static void
test_what_a_status_says_of_a_token(void **state)
{
	static const struct { long status; enum activation what; } cases[] = {
		{ 200, ACTIVATION_ACTIVE }, { 204, ACTIVATION_ACTIVE }, { 400, ACTIVATION_ACTIVE },
		{ 403, ACTIVATION_ACTIVE }, { 404, ACTIVATION_ACTIVE },
		{ 401, ACTIVATION_NOT_YET }, { 408, ACTIVATION_NOT_YET },
		{ 429, ACTIVATION_NOT_YET }, { 500, ACTIVATION_NOT_YET }, { 503, ACTIVATION_NOT_YET },
		{ 301, ACTIVATION_UNKNOWN }, { 302, ACTIVATION_UNKNOWN }, { 399, ACTIVATION_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(activation_of_status(cases[i].status), cases[i].what);
}

static void
test_a_token_is_sent_to_safe_places_alone(void **state)
{
	static const char *const safe[] = { "https://h.example/q?db=a", "https://127.0.0.1:1",
		"http://127.0.0.1:8087/query?db=a", "http://localhost/", "http://[::1]:8087/", "HTTPS://h.example/" };
	static const char *const unsafe[] = { "http://h.example/", "http://127.0.0.1.example/",
		"http://127.0.0.1@h.example/", "https://u:p@h.example/", "https://u@h.example/", "ftp://127.0.0.1/",
		"file:///etc/passwd", "h.example", "127.0.0.1", "", "http://", "http://localhost.example",
		"https:// h/", "http://10.0.0.1/", "http://[::2]/" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
		if (activation_check(safe[i], &e) != 0)
			fail_msg("%s: %s", safe[i], e.text);
	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
		if (activation_check(unsafe[i], &e) == 0)
			fail_msg("%s was taken", unsafe[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_word_is_the_same_to_a_shell),
		cmocka_unit_test(test_the_line_has_what_the_profile_and_the_delivery_need),
		cmocka_unit_test(test_the_default_profile_needs_no_flags),
		cmocka_unit_test(test_what_a_status_says_of_a_token),
		cmocka_unit_test(test_a_token_is_sent_to_safe_places_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
