/* Goal: once a call is over and its lease returned, no eight bytes of a token lie anywhere in this process's
 * memory, however the call ended; and the management token lies in one place only. */
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server, which knows the tokens, is a child process. This one knows them only masked, and looks for them
 * in everything it may read: heap, stacks, libraries' data, guarded memory. That the search finds what is
 * there is shown while the lease is held. A sanitizer's shadow memory is too large to be searched, so under
 * one there is nothing to run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/wait.h>

#include "tests/unit/scripted_server.h"

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/mailbox.h"
#include "workers/job.h"
#include "workers/pool.h"

#define MASK 0x5a5a5a5a5a5a5a5aull
#define TOKEN_BYTES 72
#define PIECES (TOKEN_BYTES / 8)
#define SCAN_BYTES (1 << 20)
#define DESCRIPTION "residue [tokend/1:svc:p:0:66666666-6666-4666-8666-666666666666]"

struct secrets {
	uint64_t token[PIECES], management[PIECES];     /* masked */
};

static struct secrets masked;
static char url[64], token_file[64];
static unsigned char scan_buffer[SCAN_BYTES + 7];

/* ---- the child ---- */

static void
invent(char token[TOKEN_BYTES + 1], uint64_t ret_masked[PIECES])
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

	for (int i = 0; i < TOKEN_BYTES; i++)
		token[i] = characters[randombytes_uniform(64)];
	token[TOKEN_BYTES] = '\0';
	for (int i = 0; i < PIECES; i++) {
		memcpy(&ret_masked[i], token + 8 * i, 8);
		ret_masked[i] ^= MASK;
	}
}

/* Serves one script, and tells the parent, on fd, its port and the masked secrets. Ends when the parent closes
 * its end. */
static void
serve(int fd)
{
	char token[TOKEN_BYTES + 1], management[TOKEN_BYTES + 1], good[1024], other[1024], cut[1024], list[1024];
	char error[1024], end;
	const char *body = "{\"id\":\"55555555-5555-4555-8555-555555555555\",\"description\":\"" DESCRIPTION "\","
	    "\"permissions\":[{\"action\":\"%s\",\"resource\":\"db\"}],"
	    "\"createdAt\":\"2023-12-21T17:32:28Z\",\"accessToken\":\"%s\"}";
	const struct step steps[] = {
		{ good, false }, { other, false }, { cut, true }, { list, false }, { error, false }
	};
	struct server *s = server_new();
	int head;

	invent(token, masked.token);
	invent(management, masked.management);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	head = snprintf(good, sizeof(good), "HTTP/1.1 200 OK\r\nContent-Length: @\r\n\r\n");
	(void)snprintf(good + head, sizeof(good) - (size_t)head, body, "read", token);
	head = snprintf(other, sizeof(other), "HTTP/1.1 200 OK\r\nContent-Length: @\r\n\r\n");
	(void)snprintf(other + head, sizeof(other) - (size_t)head, body, "write", token);
	head = snprintf(cut, sizeof(cut), "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
	(void)snprintf(cut + head, sizeof(cut) - (size_t)head, body, "read", token);
	head = snprintf(list, sizeof(list), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	head += snprintf(list + head, sizeof(list) - (size_t)head, "1\r\n[\r\n%x\r\n",
	    (unsigned)(snprintf(NULL, 0, body, "read", token)));
	head += snprintf(list + head, sizeof(list) - (size_t)head, body, "read", token);
	(void)snprintf(list + head, sizeof(list) - (size_t)head, "\r\n1\r\n]\r\n0\r\n\r\n");
#pragma GCC diagnostic pop
	(void)snprintf(error, sizeof(error),
	    "HTTP/1.1 401 No\r\nContent-Length: @\r\n\r\n{\"message\":\"bad %s and %s\"}", token, management);
	server_script(s, steps, sizeof(steps) / sizeof(*steps));

	(void)snprintf(token_file, sizeof(token_file), "/tmp/tokend-test-%d", (int)getpid());
	head = open(token_file, O_WRONLY | O_CREAT | O_EXCL, 0400);
	(void)dprintf(head, "%s", management);
	(void)close(head);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", s->port);
	if (write(fd, &masked, sizeof(masked)) < 0 || write(fd, url, sizeof(url)) < 0 ||
	    write(fd, token_file, sizeof(token_file)) < 0 || read(fd, &end, 1) < 0)
		_exit(1);
	_exit(0);
}

/* ---- the search ---- */

static unsigned
pieces_in(const unsigned char *memory, size_t bytes, const uint64_t secret[PIECES])
{
	unsigned found = 0;

	for (size_t at = 0; at + 8 <= bytes; at++) {
		uint64_t here;

		memcpy(&here, memory + at, 8);
		here ^= MASK;
		for (int i = 0; i < PIECES; i++)
			found += here == secret[i];
	}
	return found;
}

/* How many pieces of the secret lie in all memory that can be read. */
static unsigned
pieces(const uint64_t secret[PIECES])
{
	static char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from, to;
	unsigned found = 0;
	char access[5];

	assert_true(maps != NULL && memory >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) != 3 || access[0] != 'r')
			continue;
		for (; from < to; from += SCAN_BYTES) {
			size_t most = SCAN_BYTES + 7 < to - from ? SCAN_BYTES + 7 : to - from;
			ssize_t n = pread(memory, scan_buffer, most, (off_t)from);

			if (n > 0)
				found += pieces_in(scan_buffer, (size_t)n, secret);
			explicit_bzero(scan_buffer, sizeof(scan_buffer));
		}
	}
	(void)close(memory);
	(void)fclose(maps);
	return found;
}

/* ---- the test ---- */

static const struct permission asked[] = { { PERMISSION_READ, "db" } };
static struct cluster cluster = { .product = CLUSTER_CLUSTERED, .max_concurrency = 1 };
static struct mailbox *outcomes;
static struct pool *pool;

static void
call(struct job *job, enum job_verb verb, enum verdict expected)
{
	struct pollfd fd = { .fd = mailbox_fd(outcomes), .events = POLLIN };
	uint64_t now = clock_boot_ms();

	*job = (struct job){ .verb = verb, .lease_until_boot_ms = now + 5000, .not_after_boot_ms = now + 10000,
	    .description = DESCRIPTION, .permissions = asked, .n_permissions = 1, .looked_for = "[tokend/1:svc:" };
	pool_submit(pool, job);
	assert_int_equal(poll(&fd, 1, SERVER_PATIENCE_S * 1000), 1);
	assert_ptr_equal(mailbox_take(outcomes), job);
	if (job->verdict != expected)
		fail_msg("%s: %s", verdict_label(job->verdict), job->message);
}

static void
a_token_is_gone_when_its_lease_is_returned(void **state)
{
	struct job job;

	(void)state;
	call(&job, JOB_CREATE, VERDICT_CREATED);
	assert_int_equal(pieces(masked.token), PIECES);         /* the lease, and nothing else */
	pool_return(pool, &job);
	assert_int_equal(pieces(masked.token), 0);
}

static void
a_token_that_was_not_believed_is_gone(void **state)
{
	struct job job;

	(void)state;
	call(&job, JOB_CREATE, VERDICT_AMBIGUOUS);
	assert_int_equal(pieces(masked.token), 0);
}

static void
a_token_in_an_answer_that_was_cut_is_gone(void **state)
{
	struct job job;

	(void)state;
	call(&job, JOB_CREATE, VERDICT_AMBIGUOUS);
	assert_int_equal(pieces(masked.token), 0);
}

/* No API should show one there; this one does. */
static void
a_token_in_a_list_is_gone(void **state)
{
	struct job job;

	(void)state;
	call(&job, JOB_LIST, VERDICT_LISTED);
	assert_int_equal(job.n_listed, 1);
	assert_int_equal(pieces(masked.token), 0);
	pool_return(pool, &job);
}

static void
an_echoed_secret_is_gone(void **state)
{
	struct job job;

	(void)state;
	call(&job, JOB_CREATE, VERDICT_CREDENTIAL);
	assert_int_equal(pieces(masked.token), 0);
	assert_int_equal(pieces(masked.management), PIECES);
}

/* The last call reads the new one, behind the reload in its worker's inbox. */
static void
a_management_token_that_was_replaced_is_gone(void **state)
{
	struct job job;
	FILE *file;

	(void)state;
	assert_int_equal(unlink(token_file), 0);
	file = fopen(token_file, "w");
	assert_true(file != NULL && fputs("another-management-token", file) >= 0 && fclose(file) == 0);
	pool_reload(pool);
	call(&job, JOB_CREATE, VERDICT_CREDENTIAL);
	assert_int_equal(pieces(masked.management), 0);
}

static int
setup(void **state)
{
	static char name[] = "prod";

	(void)state;
	cluster.name = name;
	cluster.url = url;
	cluster.management_token_file = token_file;
	outcomes = mailbox_new(NULL);
	pool = pool_new(&(struct pool_options){
	    .threads = 1, .clusters = &cluster, .n_clusters = 1, .outcomes = outcomes }, NULL);
	return pool != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	pool_free(pool);
	mailbox_free(outcomes);
	return pieces(masked.management) == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_gone_when_its_lease_is_returned),
		cmocka_unit_test(a_token_that_was_not_believed_is_gone),
		cmocka_unit_test(a_token_in_an_answer_that_was_cut_is_gone),
		cmocka_unit_test(a_token_in_a_list_is_gone),
		cmocka_unit_test(an_echoed_secret_is_gone),
		cmocka_unit_test(a_management_token_that_was_replaced_is_gone),
	};
	int ends[2], failed;
	pid_t child;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)puts("1..0 # SKIP a sanitizer keeps freed memory as it was");
	return 0;
#endif
	if (sodium_init() < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 || (child = fork()) < 0)
		return 1;
	if (child == 0) {
		(void)close(ends[0]);
		serve(ends[1]);
	}
	(void)close(ends[1]);
	if (recv(ends[0], &masked, sizeof(masked), MSG_WAITALL) != sizeof(masked) ||
	    recv(ends[0], url, sizeof(url), MSG_WAITALL) != sizeof(url) ||
	    recv(ends[0], token_file, sizeof(token_file), MSG_WAITALL) != sizeof(token_file))
		return 1;
	failed = cmocka_run_group_tests(tests, setup, teardown);
	(void)unlink(token_file);
	(void)close(ends[0]);
	(void)waitpid(child, NULL, 0);
	return failed;
}
