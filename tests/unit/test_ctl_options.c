/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever order things are typed in, flags, words and a command behind them end up apart, and whole; and what is
 * wrong is told by its flag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/ctl/options.h"

#define WORDS_MOST 16

struct flags {
	const char *name;
	bool loud;
	int32_t count;
	uint64_t wait_ms;
	struct options_list list;
	char **command;
};

static const struct option rows[] = {
	{ "name", 'n', OPTION_TEXT, offsetof(struct flags, name), 0, "NAME", "" },
	{ "loud", 0, OPTION_SWITCH, offsetof(struct flags, loud), 0, NULL, "" },
	{ "count", 0, OPTION_NUMBER, offsetof(struct flags, count), 0, "N", "" },
	{ "wait", 0, OPTION_DURATION, offsetof(struct flags, wait_ms), 0, "DURATION", "" },
	{ "read", 0, OPTION_LIST, offsetof(struct flags, list), 1, "X", "" },
	{ "write", 0, OPTION_LIST, offsetof(struct flags, list), 2, "X", "" },
	{ "exec", 0, OPTION_COMMAND, offsetof(struct flags, command), 0, "CMD [ARG...]", "" },
};

/* A command line, split at blanks; NULL behind it as behind main's. */
struct typed {
	char text[256];
	char *argv[WORDS_MOST + 1];
	int argc;
	struct arena arena;
	struct flags flags;
	struct err err;
};

static int
parse(struct typed *t, enum options_extent extent, const char *line)
{
	const struct option_set set = { rows, sizeof(rows) / sizeof(rows[0]), &t->flags };

	*t = (struct typed){ 0 };
	strcpy(t->text, line);
	for (char *word = strtok(t->text, " "); word != NULL; word = strtok(NULL, " "))
		t->argv[t->argc++] = word;
	return options_parse(&set, 1, extent, t->argv, &t->argc, &t->arena, &t->err);
}

static void
assert_words(char *const *argv, int n, const char *const *words, size_t n_words)
{
	assert_int_equal(n, (int)n_words);
	for (size_t i = 0; i < n_words; i++)
		assert_string_equal(argv[i], words[i]);
	assert_null(argv[n_words]);
}

#define ASSERT_WORDS(argv, n, ...) \
	assert_words((argv), (n), (const char *const[]){ __VA_ARGS__ }, \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static void
test_flags_and_words_in_any_order(void **state)
{
	struct typed t;

	(void)state;
	assert_int_equal(parse(&t, OPTIONS_ALL, "one --name=a=b two --loud --count 3 - three --wait 1m30s -n c"), 0);
	ASSERT_WORDS(t.argv, t.argc, "one", "two", "-", "three");
	assert_string_equal(t.flags.name, "c");
	assert_true(t.flags.loud);
	assert_int_equal(t.flags.count, 3);
	assert_int_equal(t.flags.wait_ms, 90000);
	arena_free(&t.arena);
}

static void
test_two_flags_share_a_list_and_keep_their_order(void **state)
{
	struct typed t;

	(void)state;
	assert_int_equal(parse(&t, OPTIONS_ALL, "--write a --read b --write=c"), 0);
	assert_int_equal(t.flags.list.n, 3);
	assert_int_equal(t.flags.list.items[0].tag, 2);
	assert_string_equal(t.flags.list.items[1].value, "b");
	assert_int_equal(t.flags.list.items[1].tag, 1);
	assert_string_equal(t.flags.list.items[2].value, "c");
	arena_free(&t.arena);
}

static void
test_behind_two_dashes_everything_is_a_word(void **state)
{
	struct typed t;

	(void)state;
	assert_int_equal(parse(&t, OPTIONS_ALL, "--loud -- --name -- x"), 0);
	ASSERT_WORDS(t.argv, t.argc, "--name", "--", "x");
	assert_null(t.flags.name);
}

static void
test_global_flags_end_at_the_first_word(void **state)
{
	struct typed t;

	(void)state;
	assert_int_equal(parse(&t, OPTIONS_UNTIL_FIRST_WORD, "--name a token --loud --frob"), 0);
	ASSERT_WORDS(t.argv, t.argc, "token", "--loud", "--frob");
	assert_false(t.flags.loud);
}

/* As main reads a line: global flags, then the command's own. What was moved leaves no copy behind the command. */
static void
test_a_command_is_all_that_follows_and_no_more(void **state)
{
	const struct option_set set = { rows, sizeof(rows) / sizeof(rows[0]), NULL };
	struct option_set own = set;
	struct typed t;

	(void)state;
	assert_int_equal(parse(&t, OPTIONS_UNTIL_FIRST_WORD, "--name a --count 2 go x --loud --exec sh -c --loud y"),
	    0);
	own.target = &t.flags;
	assert_int_equal(options_parse(&own, 1, OPTIONS_ALL, t.argv, &t.argc, &t.arena, &t.err), 0);
	ASSERT_WORDS(t.argv, t.argc, "go", "x");
	assert_words(t.flags.command, 4, (const char *const[]){ "sh", "-c", "--loud", "y" }, 4);
	arena_free(&t.arena);
}

static void
test_two_dashes_may_stand_before_the_command(void **state)
{
	struct typed t;

	(void)state;
	assert_int_equal(parse(&t, OPTIONS_ALL, "x --exec -- -odd name"), 0);
	assert_words(t.flags.command, 2, (const char *const[]){ "-odd", "name" }, 2);
}

static void
test_what_is_wrong_is_told_by_its_flag(void **state)
{
	static const struct { const char *line, *said; } cases[] = {
		{ "--frob", "there is no flag --frob" },
		{ "-x", "there is no flag -x" },
		{ "--name", "--name wants a value: NAME" },
		{ "--loud=1", "--loud takes no value" },
		{ "--count 0", "--count wants a whole number from 1 on, not \"0\"" },
		{ "--count 3x", "not \"3x\"" },
		{ "--count 4294967297", "not \"4294967297\"" },
		{ "--wait 5", "--wait wants a duration such as 90s, 1m0s or 1h, not \"5\"" },
		{ "--wait 11y", "not \"11y\"" },
		{ "--wait 4000d", "not \"4000d\"" },
		{ "--exec", "--exec wants a command" },
		{ "--exec --", "--exec wants a command" },
		{ "--exec=sh -c", "--exec wants a command" },
	};
	struct typed t;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&t, OPTIONS_ALL, cases[i].line), -1);
		if (strstr(t.err.text, cases[i].said) == NULL)
			fail_msg("%s: %s", cases[i].line, t.err.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags_and_words_in_any_order),
		cmocka_unit_test(test_two_flags_share_a_list_and_keep_their_order),
		cmocka_unit_test(test_behind_two_dashes_everything_is_a_word),
		cmocka_unit_test(test_global_flags_end_at_the_first_word),
		cmocka_unit_test(test_a_command_is_all_that_follows_and_no_more),
		cmocka_unit_test(test_two_dashes_may_stand_before_the_command),
		cmocka_unit_test(test_what_is_wrong_is_told_by_its_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
