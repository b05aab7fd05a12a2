/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: text keeps its words on a terminal and in troff, whatever troff would take them for; lines stay lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/ctl/help_pen.h"

static char written[4096];

/* What the call prints on stdout. */
static const char *
written_by(void (*write)(enum help_pen pen, const char *text), enum help_pen pen, const char *text)
{
	FILE *file = tmpfile();
	int before = dup(STDOUT_FILENO);
	size_t n;

	(void)fflush(stdout);
	(void)dup2(fileno(file), STDOUT_FILENO);
	write(pen, text);
	(void)fflush(stdout);
	(void)dup2(before, STDOUT_FILENO);
	(void)close(before);
	rewind(file);
	n = fread(written, 1, sizeof(written) - 1, file);
	written[n] = '\0';
	(void)fclose(file);
	return written;
}

static void
test_troff_prints_our_words_as_they_are(void **state)
{
	(void)state;
	assert_string_equal(written_by(help_pen_paragraphs, HELP_TROFF, ".dot"), "\\&.dot\n");
	assert_string_equal(written_by(help_pen_paragraphs, HELP_TROFF, "'it"), "\\&\\(aqit\n");
	assert_string_equal(written_by(help_pen_paragraphs, HELP_TROFF, "a\n.b"), "a .b\n");
	assert_string_equal(written_by(help_pen_paragraphs, HELP_TROFF, "--flag \\n \"q\" `c` ~ ^"),
	    "\\-\\-flag \\en \\(dqq\\(dq \\(gac\\(ga \\(ti \\(ha\n");
	assert_string_equal(written_by(help_pen_literal, HELP_TROFF, ".x -y"), ".RS 4\n.nf\n\\&.x \\-y\n.fi\n.RE\n");
}

static void
test_a_terminal_s_lines_are_filled(void **state)
{
	char words[2000] = "";
	size_t longest = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		strcat(words, i % 7 == 0 ? "wörter " : "word\n");
	(void)written_by(help_pen_paragraphs, HELP_TERMINAL, words);
	for (char *line = strtok(written, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		assert_memory_equal(line, "    w", 5);
		longest = strlen(line) > longest ? strlen(line) : longest;
	}
	assert_in_range(longest, 70, 86);       /* 78 columns; ö has two bytes */
}

static void
test_paragraphs_and_lines_stay_apart(void **state)
{
	static const char text[] = "one\ntwo\n\n  line  one\n    line two\n\nthree\n";

	(void)state;
	assert_string_equal(written_by(help_pen_paragraphs, HELP_TERMINAL, text),
	    "    one two\n\n        line  one\n          line two\n\n    three\n");
	assert_string_equal(written_by(help_pen_paragraphs, HELP_TROFF, text),
	    "one two\n.PP\n.RS 4\n.nf\nline  one\n.fi\n.RE\n.RS 4\n.nf\n  line two\n.fi\n.RE\n.PP\nthree\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_troff_prints_our_words_as_they_are),
		cmocka_unit_test(test_a_terminal_s_lines_are_filled),
		cmocka_unit_test(test_paragraphs_and_lines_stay_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
