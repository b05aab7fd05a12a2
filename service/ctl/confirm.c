/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before something that cannot be undone: is it meant?
 *
 * Asked is whoever sits at the terminal of standard input, on standard error, so that a result in a pipe stays
 * clean. Without a terminal nobody is asked and nothing is assumed: a script says --force, and has then said it in
 * writing. An end of input, an empty line, anything but yes is no.
 */
#include "service/ctl/confirm.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "service/base/err.h"

#define ANSWER_ROOM 16

int
confirm_check(bool force, struct err *ret_err)
{
	if (force || isatty(STDIN_FILENO))
		return 0;
	return err_set(ret_err, ERR_REFUSE,
	    "standard input is no terminal, so nobody can be asked whether this is meant: --force says so");
}

int
confirm_ask(bool force, const char *question, struct err *ret_err)
{
	char answer[ANSWER_ROOM] = "";

	if (force)
		return 0;
	(void)fprintf(stderr, "%s [y/N] ", question);
	(void)fflush(stderr);
	if (fgets(answer, sizeof(answer), stdin) != NULL)
		answer[strcspn(answer, "\n")] = '\0';
	if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
		return 0;
	return err_set(ret_err, ERR_REFUSE, "not confirmed; nothing was done");
}
