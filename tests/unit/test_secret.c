/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a secret is read whole or not at all, and leaves nothing behind where it lay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/err.h"
#include "service/base/secret.h"

static char directory[] = "/tmp/test_secret.XXXXXX";
static char path[64];

static void
write_file(const char *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void
reads_texts_and_bytes(void **state)
{
	struct err e = { 0 };
	struct secret *s;

	(void)state;
	write_file("token\r\n\n", 8);
	s = secret_read_file(path, 100, true, &e);
	assert_non_null(s);
	assert_true(span_is(secret_bytes(s), "token"));
	assert_int_equal(secret_bytes(s).data[5], '\0');
	secret_release(s);

	s = secret_read_file(path, 8, false, &e);
	assert_non_null(s);
	assert_true(span_is(secret_bytes(s), "token\r\n\n"));
	secret_release(s);
	secret_release(NULL);

	write_file("a\0b", 3);
	s = secret_read_file(path, 100, false, &e);
	assert_non_null(s);
	assert_int_equal(secret_bytes(s).bytes, 3);
	secret_release(s);
}

/* Kubernetes projects a secret through two symlinks. */
static void
follows_symlinks(void **state)
{
	struct err e = { 0 };
	char link_path[80];
	struct secret *s;

	(void)state;
	write_file("token", 5);
	(void)snprintf(link_path, sizeof(link_path), "%s/link", directory);
	assert_int_equal(symlink(path, link_path), 0);
	s = secret_read_file(link_path, 100, true, &e);
	assert_non_null(s);
	secret_release(s);
	assert_int_equal(unlink(link_path), 0);
}

static void
assert_refused(const char *at, size_t max_bytes, const char *why)
{
	struct err e = { 0 };

	assert_null(secret_read_file(at, max_bytes, true, &e));
	if (strstr(e.text, at) == NULL || strstr(e.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
	assert_null(strstr(e.text, "token"));
}

static void
says_what_is_wrong_and_never_what_it_read(void **state)
{
	char fifo[80];

	(void)state;
	assert_refused("/nonexistent/secret", 100, "cannot be opened");
	assert_refused(directory, 100, "not a regular file");
	write_file("", 0);
	assert_refused(path, 100, "empty");
	write_file("\n\n", 2);
	assert_refused(path, 100, "nothing but newlines");
	write_file("token", 5);
	assert_refused(path, 4, "more than 4");
	write_file("tok\0en", 6);
	assert_refused(path, 100, "NUL");
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_refused(fifo, 100, "not a regular file");
	assert_int_equal(unlink(fifo), 0);
}

static void
private_means_nobody_else(void **state)
{
	static const struct { mode_t mode; bool is_private; } rows[] = {
		{ 0400, true }, { 0600, true }, { 0440, true }, { 0444, false }, { 0602, false }, { 0644, false }
	};

	(void)state;
	write_file("token", 5);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(chmod(path, rows[i].mode), 0);
		assert_int_equal(secret_file_is_private(path), rows[i].is_private);
	}
	assert_int_equal(chmod(path, 0600), 0);
	assert_false(secret_file_is_private("/nonexistent/secret"));
}

static void
the_allocator_moves_and_keeps(void **state)
{
	unsigned char *p = secret_malloc(1), *q = secret_calloc(3, 5);
	char *text = secret_strdup("text");

	(void)state;
	p[0] = 7;
	for (size_t bytes = 2; bytes < 100000; bytes *= 3) {
		p = secret_realloc(p, bytes);
		assert_non_null(p);
		assert_int_equal(p[0], 7);
	}
	p = secret_realloc(p, 1);
	assert_int_equal(p[0], 7);
	for (int i = 0; i < 15; i++)
		assert_int_equal(q[i], 0);
	assert_string_equal(text, "text");
	assert_null(secret_realloc(p, 0));
	secret_free(q);
	secret_free(text);
	secret_free(NULL);
}

/* In a child, whose exit code says what failed: the hook must be set before OpenSSL allocates, and is
 * for good. */
static int
in_child(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int
harden_and_look(void)
{
	size_t locked = 0;
	struct err e = { 0 };
	struct rlimit core;

	if (secret_process_harden(&locked, &e) != 0)
		return 1;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
		return 3;
	return locked > 0 ? 0 : 4;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)      /* whose mlock does nothing */
/* What can be locked is tried out: a capability would outrank the limit, so it is given up. */
static size_t
lockable_with_limit(rlim_t bytes)
{
	const struct rlimit limit = { bytes, bytes };
	size_t locked = SIZE_MAX;
	struct err e = { 0 };

	(void)prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0);
	if ((geteuid() == 0 && setresuid(65532, 65532, 65532) != 0) || setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
	    secret_process_harden(&locked, &e) != 0)
		return SIZE_MAX;
	return locked;
}

static int
nothing_can_be_locked(void)
{
	struct err e = { 0 };

	if (lockable_with_limit(0) != 0)
		return 1;
	return secret_read_file("/etc/passwd", 1024 * 1024, true, &e) != NULL ? 0 : 2;     /* it works all the same */
}

static int
a_little_can_be_locked(void)
{
	return lockable_with_limit(64 * 1024) == 64 * 1024 ? 0 : 1;
}

static int
much_can_be_locked(void)
{
	struct rlimit ours;

	if (getrlimit(RLIMIT_MEMLOCK, &ours) != 0 || ours.rlim_max < 2 * 1024 * 1024)
		return 0;               /* more than we have cannot be given */
	return lockable_with_limit(2 * 1024 * 1024) == 2 * 1024 * 1024 ? 0 : 1;
}
#endif

static int
harden_too_late(void)
{
	size_t locked = 0;
	struct err e = { 0 };

	OPENSSL_free(OPENSSL_malloc(100));
	return secret_process_harden(&locked, &e) == -1 && strstr(e.text, "OpenSSL") != NULL ? 0 : 1;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* Reads memory that was given back, which only a plain build may. What malloc writes into free memory
 * is its first 16 bytes, so look behind them. */
static int
what_openssl_frees_is_wiped(void)
{
	size_t locked = 0;
	struct err e = { 0 };
	volatile unsigned char *kept;
	unsigned char *p;

	if (secret_process_harden(&locked, &e) != 0)
		return 1;
	p = OPENSSL_malloc(200);
	memset(p, 'S', 200);
	kept = p;
	OPENSSL_free(p);
	for (int i = 32; i < 200; i++)
		if (kept[i] == 'S')
			return 2;
	return 0;
}
#endif

/* Guard pages: one byte past the end ends the process. */
static int
read_past_the_end(void)
{
	volatile unsigned char *p = secret_guarded_new(4096);

	(void)signal(SIGSEGV, SIG_DFL);
	return p[4096] == 0 ? 0 : 1;
}

static int
write_to_a_secret(void)
{
	struct err e = { 0 };
	struct secret *s = secret_read_file(path, 100, true, &e);

	(void)signal(SIGSEGV, SIG_DFL);
	*(volatile unsigned char *)(uintptr_t)secret_bytes(s).data = 0;
	return 0;
}

static void
the_process_is_hardened(void **state)
{
	(void)state;
	assert_int_equal(in_child(harden_and_look), 0);
	assert_int_equal(in_child(harden_too_late), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_int_equal(in_child(what_openssl_frees_is_wiped), 0);
	assert_int_equal(in_child(nothing_can_be_locked), 0);
	assert_int_equal(in_child(a_little_can_be_locked), 0);
	assert_int_equal(in_child(much_can_be_locked), 0);
#endif
}

static void
guarded_memory_is_guarded(void **state)
{
	(void)state;
	write_file("token", 5);
	assert_int_equal(in_child(read_past_the_end), 128 + SIGSEGV);
	assert_int_equal(in_child(write_to_a_secret), 128 + SIGSEGV);
}

static int
make_directory(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/secret", directory);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_process_is_hardened),
		cmocka_unit_test(guarded_memory_is_guarded),
		cmocka_unit_test(reads_texts_and_bytes),
		cmocka_unit_test(follows_symlinks),
		cmocka_unit_test(says_what_is_wrong_and_never_what_it_read),
		cmocka_unit_test(private_means_nobody_else),
		cmocka_unit_test(the_allocator_moves_and_keeps),
	};

	return cmocka_run_group_tests_name("secret", tests, make_directory, remove_directory);
}
