/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl's help, from the tables that the flags are read by.
 *
 * A page has a manual page's sections, in its order, because that is where people look for an exit
 * status or an example. The same walk writes `tokenctl help COMMAND` and tokenctl(1), which `make
 * install` asks for with `tokenctl help --man`; nothing is written down twice.
 */
#include "service/ctl/help.h"

#include <stdio.h>
#include <string.h>

#include "service/ctl/command.h"

#define LINE 256

static const struct command_note general_exits[] = {
	{ "0", "Done." },
	{ "1", "The service refused, or what was looked at is not as it should be. Why, and what to do next, is on "
	    "standard error." },
	{ "2", "The command line, or a file on this machine, is wrong; nothing was sent." },
	{ "3", "Not finished: no valid reply in time, or a token that could not be handed over. Nothing is lost: the "
	    "command that goes on is printed." },
	{ NULL, NULL }
};

static const struct command_note general_files[] = {
	{ "~/.config/tokend/tokenctl.yaml", "Profiles: brokers, topics, keys. tokenctl init writes the first." },
	{ "~/.local/state/tokend/ID.request", "Each request's signed bytes, so that the very same ones can be sent "
	    "again. Where the profile's state_dir says." },
	{ NULL, NULL }
};

static const char *
typed(const struct option *row, char room[LINE])
{
	char letter[] = { '-', row->letter, ',', ' ', '\0' };

	(void)snprintf(room, LINE, "%s--%s%s%s", row->letter != 0 ? letter : "", row->name,
	    row->value_name != NULL ? " " : "", row->value_name != NULL ? row->value_name : "");
	return room;
}

static const char *
synopsis(const struct command *c, char room[LINE])
{
	(void)snprintf(room, LINE, "tokenctl [global flags] %s%s%s%s", c->name, c->n_options > 0 ? " [flags]" : "",
	    c->arguments[0] != '\0' ? " " : "", c->arguments);
	return room;
}

void
help_overview(const struct help *h)
{
	char left[LINE];

	printf("tokenctl %s: ask tokend for InfluxDB database tokens\n\n"
	    "  tokenctl [global flags] COMMAND [flags] [ARGUMENTS]\n\nCommands:\n", TOKEND_VERSION);
	for (size_t i = 0; i < h->n_commands; i++)
		printf("  %-24s  %s\n", h->commands[i]->name, h->commands[i]->summary);
	printf("  %-24s  %s\n\nGlobal flags:\n", "help [COMMAND]", "print this, or a command's page");
	for (size_t i = 0; i < h->n_globals; i++)
		printf("  %-24s  %s\n", typed(&h->globals[i], left), h->globals[i].help);
	printf("\nFirst of all: tokenctl init\n");
}

static void
write_options(enum help_pen pen, const struct option *rows, size_t n_rows)
{
	char term[LINE];

	for (size_t i = 0; i < n_rows; i++)
		help_pen_item(pen, typed(&rows[i], term), rows[i].help);
}

static void
write_notes(enum help_pen pen, const struct command_note *notes)
{
	for (; notes->what != NULL; notes++)
		help_pen_item(pen, notes->what, notes->tells);
}

/* Each with what it is an example of, and then the line. */
static void
write_examples(enum help_pen pen, const struct command_note *examples)
{
	for (; examples->what != NULL; examples++) {
		help_pen_paragraphs(pen, examples->tells);
		help_pen_literal(pen, examples->what);
		if (examples[1].what != NULL)
			help_pen_paragraphs(pen, "\n");
	}
}

static void
write_name(enum help_pen pen, const char *name, const char *summary)
{
	char line[2 * LINE];

	(void)snprintf(line, sizeof(line), "%s - %s", name, summary);
	help_pen_section(pen, "NAME");
	help_pen_paragraphs(pen, line);
}

void
help_command(const struct help *h, const struct command *c, enum help_pen pen)
{
	char name[LINE], line[LINE];

	(void)snprintf(name, sizeof(name), "tokenctl %s", c->name);
	help_pen_title(pen, name, 1);
	write_name(pen, name, c->summary);
	help_pen_section(pen, "SYNOPSIS");
	help_pen_paragraphs(pen, synopsis(c, line));
	help_pen_section(pen, "DESCRIPTION");
	help_pen_paragraphs(pen, c->about);
	if (c->n_options > 0) {
		help_pen_section(pen, "OPTIONS");
		write_options(pen, c->options, c->n_options);
	}
	help_pen_section(pen, "GLOBAL OPTIONS");
	write_options(pen, h->globals, h->n_globals);
	help_pen_section(pen, "EXIT STATUS");
	write_notes(pen, c->exits != NULL ? c->exits : general_exits);
	help_pen_section(pen, "FILES");
	write_notes(pen, c->files != NULL ? c->files : general_files);
	if (c->examples != NULL) {
		help_pen_section(pen, "EXAMPLES");
		write_examples(pen, c->examples);
	}
}

/* A command's part of the manual: what differs from command to command. */
static void
write_part(const struct command *c)
{
	char line[LINE];

	(void)snprintf(line, sizeof(line), "tokenctl %s%s%s%s", c->name, c->n_options > 0 ? " [flags]" : "",
	    c->arguments[0] != '\0' ? " " : "", c->arguments);
	help_pen_subsection(HELP_TROFF, line);
	help_pen_paragraphs(HELP_TROFF, c->about);
	write_options(HELP_TROFF, c->options, c->n_options);
	if (c->examples != NULL) {
		help_pen_paragraphs(HELP_TROFF, "\nExamples:\n\n");
		write_examples(HELP_TROFF, c->examples);
	}
}

void
help_manual(const struct help *h)
{
	help_pen_title(HELP_TROFF, "tokenctl", 1);
	write_name(HELP_TROFF, "tokenctl", "ask tokend for InfluxDB database tokens");
	help_pen_section(HELP_TROFF, "SYNOPSIS");
	help_pen_paragraphs(HELP_TROFF, "tokenctl [global flags] COMMAND [flags] [ARGUMENTS]");
	help_pen_section(HELP_TROFF, "DESCRIPTION");
	help_pen_paragraphs(HELP_TROFF,
	    "tokenctl is what people and pipelines type to get InfluxDB database tokens from tokend: it signs a "
	    "request, keeps its bytes, sends it by Kafka, and opens the reply that is sealed to the requester's own "
	    "key. It makes keys and configurations, too, and checks them.\n"
	    "\n"
	    "Results go to standard output, everything for people to standard error. Secrets come from files, never "
	    "from the command line or the environment. Flags are written --flag VALUE or --flag=VALUE; what follows "
	    "-- is no flag.");
	help_pen_section(HELP_TROFF, "GLOBAL OPTIONS");
	write_options(HELP_TROFF, h->globals, h->n_globals);
	help_pen_section(HELP_TROFF, "COMMANDS");
	for (size_t i = 0; i < h->n_commands; i++)
		write_part(h->commands[i]);
	help_pen_section(HELP_TROFF, "EXIT STATUS");
	write_notes(HELP_TROFF, general_exits);
	help_pen_section(HELP_TROFF, "FILES");
	write_notes(HELP_TROFF, general_files);
	help_pen_section(HELP_TROFF, "SEE ALSO");
	help_pen_paragraphs(HELP_TROFF, "tokend(8), tokend-sandbox(1)");
}
