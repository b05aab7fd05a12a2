/* SPDX-License-Identifier: Apache-2.0 */
/* What tokenctl's main and its commands say to each other.
 *
 * Add a command: write its file with a struct command in it, declare that here, and add it to the
 * list in tokenctl.c. Its help and its part of the man page are made from the struct. */
#ifndef TOKEND_CTL_COMMAND_H
#define TOKEND_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct option;

/* How tokenctl ends; scripts rely on these numbers. */
enum command_exit {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,               /* the service said no; or what was looked at is not as it should be */
	EXIT_USAGE = 2,                 /* the command line, or something on this machine, is wrong; nothing was sent */
	EXIT_NO_REPLY = 3               /* not finished; what was asked may happen yet, or has; how to go on is told */
};

/* The flags of every command. Strings are NULL when not given. */
struct globals {
	const char *config, *profile;
	const char *cluster, *account, *cluster_uuid;
	uint64_t timeout_ms;
	bool debug, help, version;
};

struct invocation {
	const struct globals *globals;
	struct arena *arena;            /* lives as long as the process: nothing in it need be freed */
	char **words;                   /* what the command line holds beside flags and the command's name */
	int n_words;
	void *options;                  /* the command's own flags, in its own struct */
};

/* A row of help: an exit status, a file or a command line, and what is to be said of it. */
struct command_note {
	const char *what, *tells;
};

struct command {
	const char *name;               /* "token create" */
	const char *arguments;          /* "DESCRIPTION"; "" when it takes none */
	const char *summary;            /* one line */
	const char *about;              /* paragraphs, blank lines between; lines that begin with blanks stay lines */
	const struct option *options;
	size_t n_options;
	size_t options_bytes;           /* of the struct that the options fill; it is zeroed first */
	const struct command_note *exits, *files, *examples;    /* each ends with an empty row, or is NULL */
	enum command_exit (*run)(struct invocation *v);
};

extern const struct command config_check_command;
extern const struct command init_command;
extern const struct command journal_accept_loss_command;
extern const struct command keys_export_command;
extern const struct command keys_make_command;
extern const struct command keys_show_command;
extern const struct command policy_check_command;
extern const struct command policy_explain_command;
extern const struct command reply_open_command;
extern const struct command request_make_command;
extern const struct command token_create_command;
extern const struct command token_open_command;
extern const struct command token_outcome_command;
extern const struct command token_revoke_command;
extern const struct command topics_create_command;

#endif
