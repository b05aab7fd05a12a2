/* SPDX-License-Identifier: Apache-2.0 */
/* tokenctl's help: an overview, a page for each command, and the manual page of all. */
#ifndef TOKEND_CTL_HELP_H
#define TOKEND_CTL_HELP_H

#include "service/ctl/help_pen.h"
#include "service/ctl/options.h"

struct command;

/* All that there is to tell of. */
struct help {
	const struct command *const *commands;
	size_t n_commands;
	const struct option *globals;
	size_t n_globals;
};

/* The commands, a line each. */
void help_overview(const struct help *h);

/* One command's page. */
void help_command(const struct help *h, const struct command *c, enum help_pen pen);

/* tokenctl(1), as troff. */
void help_manual(const struct help *h);

#endif
