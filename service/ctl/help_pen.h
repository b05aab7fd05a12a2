/* SPDX-License-Identifier: Apache-2.0 */
/* A manual page written on stdout, for a terminal or for troff. */
#ifndef TOKEND_CTL_HELP_PEN_H
#define TOKEND_CTL_HELP_PEN_H

enum help_pen { HELP_TERMINAL, HELP_TROFF };

/* The page's head; section is the manual's, 1 for programs. A terminal has no need of it. */
void help_pen_title(enum help_pen pen, const char *name, int section);

void help_pen_section(enum help_pen pen, const char *title);
void help_pen_subsection(enum help_pen pen, const char *title);

/* Paragraphs as struct command's about holds them: refilled, but for the lines that begin with blanks. */
void help_pen_paragraphs(enum help_pen pen, const char *text);

/* A term and, below it, what it means. */
void help_pen_item(enum help_pen pen, const char *term, const char *text);

/* A line as it is typed. */
void help_pen_literal(enum help_pen pen, const char *line);

#endif
