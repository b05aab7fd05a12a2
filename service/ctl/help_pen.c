/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manual page, written for a terminal or for troff.
 *
 * One walk over the tables (help.c) writes both, so `tokenctl help` and man(1) cannot differ. On a
 * terminal, text is filled to 78 columns here; troff fills by itself and only has to be kept from
 * taking our words for its own: a backslash, a dot that begins a line, a hyphen that someone will
 * paste into a shell.
 */
#include "service/ctl/help_pen.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 78
#define BODY 4                          /* where text begins, */
#define ITEM 8                          /* and what is said of an item */

/* ---- troff ---- */

/* Text that troff prints as it is. */
static void
put_troff(const char *text, size_t bytes)
{
	if (bytes > 0 && (text[0] == '.' || text[0] == '\''))
		(void)fputs("\\&", stdout);
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			(void)putchar(' ');             /* else the next line might begin with a dot */
		else if (text[i] == '\\')
			(void)fputs("\\e", stdout);
		else if (text[i] == '-')
			(void)fputs("\\-", stdout);
		else if (text[i] == '"')
			(void)fputs("\\(dq", stdout);
		else if (text[i] == '`')
			(void)fputs("\\(ga", stdout);
		else if (text[i] == '\'')
			(void)fputs("\\(aq", stdout);
		else if (text[i] == '~')
			(void)fputs("\\(ti", stdout);
		else if (text[i] == '^')
			(void)fputs("\\(ha", stdout);
		else
			(void)putchar(text[i]);
	}
}

static void
put_troff_line(const char *request, const char *text, size_t bytes)
{
	(void)fputs(request, stdout);
	put_troff(text, bytes);
	(void)putchar('\n');
}

/* ---- the terminal ---- */

/* Columns, for our texts: bytes that do not continue a character. */
static int
columns(const char *text, size_t bytes)
{
	int n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* Words, filled from column indent on. */
static void
fill(const char *text, size_t bytes, int indent)
{
	const char *end = text + bytes;
	int at = 0;

	while (text < end) {
		size_t word = 0;

		while (text + word < end && !isspace((unsigned char)text[word]))
			word++;
		if (word > 0) {
			int width = columns(text, word);

			if (at > 0 && at + 1 + width > WIDTH) {
				(void)putchar('\n');
				at = 0;
			}
			at += at == 0 ? printf("%*s", indent, "") : printf(" ");
			(void)fwrite(text, 1, word, stdout);
			at += width;
		}
		text += word < (size_t)(end - text) ? word + 1 : word;
	}
	if (at > 0)
		(void)putchar('\n');
}

/* ---- both ---- */

static void
put_paragraph(enum help_pen pen, const char *text, size_t bytes)
{
	if (pen == HELP_TROFF)
		put_troff_line("", text, bytes);
	else
		fill(text, bytes, BODY);
}

void
help_pen_title(enum help_pen pen, const char *name, int section)
{
	if (pen != HELP_TROFF)
		return;
	(void)fputs(".TH ", stdout);
	for (const char *p = name; *p != '\0'; p++)
		(void)putchar(*p == ' ' ? '-' : toupper((unsigned char)*p));
	(void)printf(" %d \"\" \"tokend %s\" \"tokend\"\n", section, TOKEND_VERSION);
}

void
help_pen_section(enum help_pen pen, const char *title)
{
	static int sections;

	if (pen == HELP_TROFF)
		put_troff_line(".SH ", title, strlen(title));
	else
		(void)printf("%s%s\n", sections++ > 0 ? "\n" : "", title);
}

void
help_pen_subsection(enum help_pen pen, const char *title)
{
	if (pen == HELP_TROFF)
		put_troff_line(".SS ", title, strlen(title));
	else
		(void)printf("\n  %s\n", title);
}

void
help_pen_paragraphs(enum help_pen pen, const char *text)
{
	while (*text != '\0') {
		const char *end = text;

		if (*text == '\n') {
			(void)fputs(pen == HELP_TROFF ? ".PP\n" : "\n", stdout);
			text++;
			continue;
		}
		if (*text == ' ') {
			char line[256];

			end = strchrnul(text, '\n');
			(void)snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
			help_pen_literal(pen, line + (line[1] == ' ' ? 2 : 1));      /* what is further in, stays so */
			text = *end != '\0' ? end + 1 : end;
			continue;
		}
		/* To the blank line, or to the first that begins with a blank. */
		while (*end != '\0' && !(*end == '\n' && (end[1] == '\n' || end[1] == ' ' || end[1] == '\0')))
			end++;
		put_paragraph(pen, text, (size_t)(end - text));
		text = *end != '\0' ? end + 1 : end;
	}
}

void
help_pen_item(enum help_pen pen, const char *term, const char *text)
{
	if (pen == HELP_TROFF) {
		put_troff_line(".TP\n.B ", term, strlen(term));
		put_troff_line("", text, strlen(text));
	} else {
		(void)printf("%*s%s\n", BODY, "", term);
		fill(text, strlen(text), ITEM);
	}
}

void
help_pen_literal(enum help_pen pen, const char *line)
{
	if (pen == HELP_TROFF) {
		put_troff_line(".RS 4\n.nf\n", line, strlen(line));
		(void)fputs(".fi\n.RE\n", stdout);
	} else {
		(void)printf("%*s%s\n", ITEM, "", line);
	}
}
