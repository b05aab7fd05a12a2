/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl: what people and pipelines type.
 *
 *   tokenctl [global flags] COMMAND [SUBCOMMAND] [flags] [ARGUMENTS]
 *
 * influxctl's shape: global flags may stand before the command (and after it, too). main finds the
 * command in the list below, has the tables read the flags, and returns what the command returns.
 * Everything a command does stands in its own file.
 *
 * Secrets come from files that the profile names, never from the command line or the environment,
 * and leave by stdout alone.
 */
#include <stdio.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/help.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

#define TIMEOUT_DEFAULT_MS 60000
#define LISTED_ROOM 256
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In the order in which one comes to need them. */
static const struct command *const commands[] = {
	&init_command,
	&topics_create_command,
	&config_check_command,
	&policy_check_command,
	&policy_explain_command,
	&token_create_command,
	&token_open_command,
	&token_outcome_command,
	&token_revoke_command,
	&request_make_command,
	&reply_open_command,
	&keys_make_command,
	&keys_show_command,
	&keys_export_command,
	&journal_accept_loss_command,
};

static const struct option global_rows[] = {
	{ "config", 0, OPTION_TEXT, offsetof(struct globals, config), 0, "FILE",
	    "profiles (default ~/.config/tokend/tokenctl.yaml)" },
	{ "profile", 0, OPTION_TEXT, offsetof(struct globals, profile), 0, "NAME",
	    "which of them (default \"default\")" },
	{ "timeout", 0, OPTION_DURATION, offsetof(struct globals, timeout_ms), 0, "DURATION",
	    "how long to wait (default 1m0s)" },
	{ "cluster", 0, OPTION_TEXT, offsetof(struct globals, cluster), 0, "NAME",
	    "the cluster, by its name in the service's configuration" },
	{ "account", 0, OPTION_TEXT, offsetof(struct globals, account), 0, "UUID",
	    "the cluster by its ids instead, with --cluster-uuid" },
	{ "cluster-uuid", 0, OPTION_TEXT, offsetof(struct globals, cluster_uuid), 0, "UUID", "see --account" },
	{ "debug", 0, OPTION_SWITCH, offsetof(struct globals, debug), 0, NULL, "say more on stderr" },
	{ "help", 'h', OPTION_SWITCH, offsetof(struct globals, help), 0, NULL, "print this help, or a command's" },
	{ "version", 0, OPTION_SWITCH, offsetof(struct globals, version), 0, NULL, "print the version" },
};

/* How many words a command's name has, when these words begin with it; 0 otherwise. */
static int
name_matches(const char *name, char **words, int n_words)
{
	int taken = 0;

	while (*name != '\0') {
		size_t bytes = strcspn(name, " ");

		if (taken >= n_words || strlen(words[taken]) != bytes || memcmp(words[taken], name, bytes) != 0)
			return 0;
		name += bytes + (name[bytes] == ' ' ? 1 : 0);
		taken++;
	}
	return taken;
}

static const struct command *
find(char **words, int n_words, int *ret_taken)
{
	for (size_t i = 0; i < COUNT(commands); i++) {
		*ret_taken = name_matches(commands[i]->name, words, n_words);
		if (*ret_taken > 0)
			return commands[i];
	}
	return NULL;
}

static const struct help all = { commands, COUNT(commands), global_rows, COUNT(global_rows) };

static enum command_exit
version(void)
{
	printf("tokenctl %s (librdkafka %s)\n", TOKEND_VERSION, rd_kafka_version_str());
	return EXIT_DONE;
}

/* The commands that begin with that word: "a, b"; "" when there are none. */
static const char *
commands_of(const char *word, char room[LISTED_ROOM])
{
	size_t bytes = strlen(word), used = 0;

	room[0] = '\0';
	for (size_t i = 0; i < COUNT(commands); i++)
		if (strncmp(commands[i]->name, word, bytes) == 0 && commands[i]->name[bytes] == ' ' &&
		    used + strlen(commands[i]->name) + 3 < LISTED_ROOM)
			used += (size_t)sprintf(room + used, "%s%s", used > 0 ? ", " : "", commands[i]->name);
	return room;
}

static enum command_exit
no_such_command(char **words, int n_words)
{
	char room[TEXT_SHOWN_ROOM], more[TEXT_SHOWN_ROOM], listed[LISTED_ROOM];

	if (n_words == 0)
		return output_usage("a command is missing; tokenctl help lists them");
	(void)text_shown(span_str(words[0]), room);
	if (commands_of(words[0], listed)[0] == '\0')
		return output_usage("there is no command \"%s\"; tokenctl help lists them", room);
	if (n_words == 1)
		return output_usage("there is no command \"%s\" by itself; there are: %s", room, listed);
	return output_usage("there is no command \"%s %s\"; there are: %s", room, text_shown(span_str(words[1]), more),
	    listed);
}

/* words: what stands behind "help". --man, which is for `make install`, prints troff. */
static enum command_exit
help(char **words, int n_words)
{
	bool man = n_words > 0 && strcmp(words[0], "--man") == 0;
	const struct command *c;
	int taken;

	words += man;
	n_words -= man;
	if (n_words == 0) {
		(man ? help_manual : help_overview)(&all);
		return EXIT_DONE;
	}
	c = find(words, n_words, &taken);
	if (c == NULL)
		return no_such_command(words, n_words);
	help_command(&all, c, man ? HELP_TROFF : HELP_TERMINAL);
	return EXIT_DONE;
}

static void
set_defaults(struct globals *g, struct arena *a)
{
	if (g->config == NULL)
		g->config = profile_default_path(a);
	if (g->profile == NULL)
		g->profile = "default";
	if (g->timeout_ms == 0)
		g->timeout_ms = TIMEOUT_DEFAULT_MS;
}

/* words: the command's name and all behind it. */
static enum command_exit
run(const struct command *c, char **words, int n_words, struct globals *g, struct arena *a)
{
	struct invocation v = { .globals = g, .arena = a, .words = words, .n_words = n_words };
	struct option_set sets[] = { { c->options, c->n_options, NULL }, { global_rows, COUNT(global_rows), g } };
	struct err e;

	v.options = sets[0].target = arena_alloc(a, c->options_bytes);
	if (options_parse(sets, COUNT(sets), OPTIONS_ALL, v.words, &v.n_words, a, &e) != 0)
		return output_usage("%s; tokenctl help %s lists the flags", e.text, c->name);
	if (g->help) {
		help_command(&all, c, HELP_TERMINAL);
		return EXIT_DONE;
	}
	if (g->version)
		return version();
	set_defaults(g, a);
	return c->run(&v);
}

static enum command_exit
start(int n_words, char **words, struct arena *a)
{
	struct globals g = { 0 };
	const struct option_set set = { global_rows, COUNT(global_rows), &g };
	const struct command *c;
	struct err e;
	int taken;

	if (options_parse(&set, 1, OPTIONS_UNTIL_FIRST_WORD, words, &n_words, a, &e) != 0)
		return output_usage("%s; tokenctl help lists the global flags", e.text);
	if (g.version)
		return version();
	if (n_words > 0 && strcmp(words[0], "help") == 0)
		return help(words + 1, n_words - 1);
	c = find(words, n_words, &taken);
	if (c == NULL)
		return g.help ? help(words, n_words) : no_such_command(words, n_words);
	return run(c, words + taken, n_words - taken, &g, a);
}

int
main(int argc, char **argv)
{
	struct arena a = { 0 };
	struct err e;
	size_t locked_bytes;
	enum command_exit status;

	if (secret_process_harden(&locked_bytes, &e) != 0) {
		output_say("%s", e.text);
		return EXIT_USAGE;
	}
	output_setup();
	status = start(argc - 1, argv + 1, &a);
	if (fflush(stdout) != 0 && status == EXIT_DONE)
		status = output_usage("cannot write to stdout");
	arena_free(&a);
	return (int)status;
}
