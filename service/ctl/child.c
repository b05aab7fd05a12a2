/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is given a token.
 *
 * By a pipe to its standard input: arguments and environment can be read by others on the machine, a
 * pipe cannot. A token is far smaller than a pipe's buffer, so it is written before the program runs
 * and nobody waits for anybody. posix_spawn, because this process has threads and locked memory, of
 * which a forked child would hold a copy until it execs.
 */
#include "service/ctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/err.h"
#include "service/base/span.h"
#include "service/base/text.h"
#include "service/ctl/output.h"

static bool
is_in_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[4096];

	for (const char *end; path != NULL && *path != '\0'; path = *end == ':' ? end + 1 : end) {
		end = strchrnul(path, ':');
		if ((size_t)(end - path) + strlen(program) + 2 > sizeof(file))
			continue;
		(void)snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path, program);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

int
child_check(const char *program, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (strchr(program, '/') != NULL ? access(program, X_OK) == 0 : is_in_path(program))
		return 0;
	return err_set(ret_err, ERR_REFUSE, "--exec: there is no program \"%s\" that can be run",
	    text_shown(span_str(program), shown));
}

/* A pipe that already holds all that will ever be in it; its reading end, or -1 with errno. */
static int
pipe_with(const char *text)
{
	struct err e;
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	result = output_write(ends[1], text, strlen(text), &e);
	(void)close(ends[1]);
	if (result == 0)
		return ends[0];
	(void)close(ends[0]);
	errno = EIO;
	return -1;
}

static int
spawn(char *const *argv, int input, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	int failed = posix_spawn_file_actions_init(&actions);

	if (failed != 0)
		return failed;
	failed = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (failed == 0)
		failed = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return failed;
}

int
child_run(char *const *argv, const char *token, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	int input = pipe_with(token), status, failed = input >= 0 ? 0 : errno;
	pid_t pid;

	(void)text_shown(span_str(argv[0]), shown);
	if (failed == 0)
		failed = spawn(argv, input, &pid);
	if (input >= 0)
		(void)close(input);
	if (failed != 0)
		return err_set(ret_err, ERR_REFUSE, "cannot run %s: %s", shown, strerror(failed));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(ret_err, ERR_REFUSE, "cannot tell how %s ended: %s", shown, strerror(errno));
	if (WIFSIGNALED(status))
		return err_set(ret_err, ERR_REFUSE, "%s was ended by signal %d (%s)", shown, WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0)
		return err_set(ret_err, ERR_REFUSE, "%s ended with exit status %d", shown, WEXITSTATUS(status));
	return 0;
}
