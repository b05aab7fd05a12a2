/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever kills the process while a record is decoded, its last words name that record as `skip` wants
 * it, and the process still dies of that signal; whatever kills it at another time, or in another thread,
 * says nothing of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/crash.h"

#define TOPIC "prod.requests"
#define CHILD_MOST_S 60
#define SAID_MOST (64 * 1024)

/* ---- ways to die ------------------------------------------------------------------------------------------------- */

static void
die_of_a_write(void)
{
	volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 1;
}

static void
die_of_abort(void)
{
	abort();
}

static void
die_of_a_cut_file(void)
{
	FILE *f = tmpfile();
	volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);

	*page = 1;                      /* there is no such byte in the file */
}

static void
die_of_an_instruction(void)
{
	__builtin_trap();
}

/* By hand: dividing by zero is undefined, and the sanitizers say so before the processor does. */
static void
die_of_arithmetic(void)
{
	(void)raise(SIGFPE);
}

static void
die_of_another(void)
{
	(void)kill(getpid(), SIGSEGV);
	for (;;)
		(void)pause();
}

static unsigned
deeper(unsigned more)
{
	volatile unsigned room[1024];

	room[0] = more;
	return more > 0 ? deeper(more - 1) + room[0] : 0;
}

static void
die_of_depth(void)
{
	struct rlimit small = { 256 * 1024, 256 * 1024 };

	(void)setrlimit(RLIMIT_STACK, &small);
	(void)deeper(1000000);
}

static void *
die_in_a_thread(void *unused)
{
	sigset_t none;

	(void)unused;
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);        /* so the signal meets this one */
	die_of_another();
	return NULL;
}

static void
die_in_another_thread(void)
{
	pthread_t thread;
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (pthread_create(&thread, NULL, die_in_a_thread, NULL) != 0)
		_exit(1);
	(void)pthread_join(thread, NULL);
}

/* ---- a child that dies ------------------------------------------------------------------------------------------- */

struct death {
	int status;                     /* as waitpid gives it */
	char said[SAID_MOST];           /* all of its standard error */
};

static void
live(int standard_error, bool decoding, void (*die)(void))
{
	static const struct rlimit no_core = { 0, 0 };

	(void)dup2(standard_error, STDERR_FILENO);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)alarm(CHILD_MOST_S);
	for (int signo = 1; signo < 32; signo++)        /* cmocka's own handlers are of the parent's tests */
		(void)signal(signo, SIG_DFL);
	crash_watch(TOPIC);
	crash_decoding(6, 41);
	crash_decoded();
	crash_decoding(7, INT64_C(9007199254740993));
	if (!decoding)
		crash_decoded();
	die();
	_exit(0);
}

static void
see_die(bool decoding, void (*die)(void), struct death *ret)
{
	size_t n = 0;
	ssize_t got;
	int ends[2];
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	(void)fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		live(ends[1], decoding, die);
	}
	close(ends[1]);
	while (n < sizeof ret->said - 1 && (got = read(ends[0], ret->said + n, sizeof ret->said - 1 - n)) > 0)
		n += (size_t)got;
	ret->said[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &ret->status, 0), child);
}

/* Under a sanitizer whoever had the signal before is the sanitizer's runtime, or nobody as here: SIG_DFL. */
static void
assert_died_of(const struct death *d, int signo)
{
	assert_true(WIFSIGNALED(d->status));
	assert_int_equal(WTERMSIG(d->status), signo);
}

/* Its last words are one line of JSON; the caller deletes it. */
static cJSON *
last_words(const struct death *d)
{
	const char *line = strstr(d->said, "{\"ts\":");
	cJSON *words;

	assert_non_null(line);
	assert_non_null(strchr(line, '\n'));
	assert_null(strstr(line + 1, "{\"ts\":"));
	words = cJSON_ParseWithOpts(line, NULL, false);
	assert_non_null(words);
	return words;
}

static void
assert_names_the_record(const struct death *d, int signo)
{
	cJSON *words = last_words(d);

	assert_string_equal(cJSON_GetObjectItem(words, "skip")->valuestring, TOPIC "/7@9007199254740993");
	assert_string_equal(cJSON_GetObjectItem(words, "level")->valuestring, "error");
	assert_string_equal(cJSON_GetObjectItem(words, "logger")->valuestring, "crash");
	assert_int_equal(cJSON_GetObjectItem(words, "signal")->valueint, signo);
	assert_int_equal(strlen(cJSON_GetObjectItem(words, "ts")->valuestring), strlen("2026-01-01T00:00:00Z"));
	cJSON_Delete(words);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const struct { void (*die)(void); int signo; } ways[] = {
	{ die_of_a_write, SIGSEGV }, { die_of_abort, SIGABRT }, { die_of_a_cut_file, SIGBUS },
	{ die_of_an_instruction, SIGILL },
	{ die_of_arithmetic, SIGFPE }, { die_of_another, SIGSEGV }, { die_of_depth, SIGSEGV },
};

static void
a_crash_while_decoding_names_the_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct death d;

		see_die(true, ways[i].die, &d);
		assert_names_the_record(&d, ways[i].signo);
		assert_died_of(&d, ways[i].signo);
	}
}

static void
a_crash_at_another_time_names_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct death d;

		see_die(false, ways[i].die, &d);
		assert_null(strstr(d.said, "skip"));
		assert_died_of(&d, ways[i].signo);
	}
}

static void
another_threads_crash_names_none(void **state)
{
	struct death d;

	(void)state;
	see_die(true, die_in_another_thread, &d);
	assert_null(strstr(d.said, "skip"));
	assert_died_of(&d, SIGSEGV);
}

static void
live_on(void)
{
}

static void
who_lives_says_nothing(void **state)
{
	struct death d;

	(void)state;
	see_die(true, live_on, &d);
	assert_string_equal(d.said, "");
	assert_true(WIFEXITED(d.status) && WEXITSTATUS(d.status) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_while_decoding_names_the_record),
		cmocka_unit_test(a_crash_at_another_time_names_none),
		cmocka_unit_test(another_threads_crash_names_none),
		cmocka_unit_test(who_lives_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
