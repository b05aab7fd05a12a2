/* SPDX-License-Identifier: Apache-2.0 */
/* An opened token handed over: printed, written to a file, or given to a program. */
#ifndef TOKEND_CTL_DELIVER_H
#define TOKEND_CTL_DELIVER_H

#include "service/ctl/command.h"
#include "service/ctl/options.h"

struct err;
struct output_place;
struct reply;

struct deliver_flags {
	const char *format, *out, *wait_active;
	char **command;                 /* ends with NULL */
};

/* Rows for a command whose own struct has a struct deliver_flags as that member. */
#define DELIVER_ROWS(structure, member) \
	{ "format", 0, OPTION_TEXT, offsetof(structure, member.format), 0, "table|json|token", \
	    "how to print the token (default table; with --out and --exec the token alone)" }, \
	{ "out", 0, OPTION_TEXT, offsetof(structure, member.out), 0, "FILE", \
	    "write it to a new file that you alone can read, instead of standard output; never over an " \
	    "existing one" }, \
	{ "wait-active", 0, OPTION_TEXT, offsetof(structure, member.wait_active), 0, "URL", \
	    "hand the token over only when URL has stopped answering 401 to it; --timeout is for this waiting, too; " \
	    "https, or http on this machine" }, \
	{ "exec", 0, OPTION_COMMAND, offsetof(structure, member.command), 0, "CMD [ARG...]", \
	    "run the rest of the command line, with the token and nothing else on its standard input" }

/* Before anything is asked for: can it be handed over so? Fails (ERR_REFUSE) with a sentence. */
int deliver_check(const struct deliver_flags *f, struct err *ret_err);

/* Was any of them given? */
bool deliver_wanted(const struct deliver_flags *f);

/* Wait until the token is active, if that is wanted, then hand it over. again: the command that gets it once more;
 * printed when something fails, for the token exists. */
enum command_exit deliver_token(const struct invocation *v, const struct deliver_flags *f, const struct reply *r,
    const struct output_place *where, const char *again);

#endif
