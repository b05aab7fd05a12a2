/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an operator's probe gets the truth: alive while the loop turns, ready when requests would be
 * worked on, and why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/durations.h"
#include "service/base/err.h"
#include "service/ops.h"

static struct health health;
static struct ops *ops;
static uint16_t port;

static struct sockaddr_in
loopback(uint16_t at)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(at),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t
free_port(void)
{
	struct sockaddr_in at = loopback(0);
	socklen_t bytes = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, bytes), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
	(void)close(fd);
	return ntohs(at.sin_port);
}

/* The whole answer, head and body; free() it. */
static char *
ask(const char *method, const char *path)
{
	struct sockaddr_in at = loopback(port);
	char *answer = calloc(1, 65536);
	size_t got = 0;
	ssize_t n;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_true(dprintf(fd, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path) > 0);
	while ((n = read(fd, answer + got, 65535 - got)) > 0)
		got += (size_t)n;
	(void)close(fd);
	return answer;
}

static void
assert_answer(const char *method, const char *path, const char *status, const char *body)
{
	char *answer = ask(method, path), *blank = strstr(answer, "\r\n\r\n");
	char start[40];

	(void)snprintf(start, sizeof(start), "HTTP/1.1 %s ", status);
	if (strncmp(answer, start, strlen(start)) != 0 || blank == NULL)
		fail_msg("%s %s: %s", method, path, answer);
	assert_string_equal(blank + 4, body);
	free(answer);
}

static int
start(void **state)
{
	struct err e;

	(void)state;
	port = free_port();
	memset(&health, 0, sizeof(health));
	health.heartbeat_boot_ms = clock_boot_ms();
	health.joined = 1;
	ops = ops_start("127.0.0.1", port, &health, &e);
	return ops == NULL;
}

static int
stop(void **state)
{
	(void)state;
	ops_stop(ops);
	ops_stop(NULL);
	return 0;
}

static void
well(void **state)
{
	(void)state;
	assert_answer("GET", "/livez", "200", "ok\n");
	assert_answer("GET", "/readyz", "200", "ok\n");
	assert_answer("HEAD", "/readyz", "200", "");
	assert_answer("GET", "/readyz?verbose", "200", "ok\n");
}

static void
a_loop_that_stands_still_is_not_alive(void **state)
{
	(void)state;
	health.heartbeat_boot_ms = clock_boot_ms() - duration_ms(DURATION_LOOP_STALL) - 1000;
	assert_answer("GET", "/livez", "503", "the loop has stopped turning\n");
	assert_answer("GET", "/readyz", "503", "the loop has stopped turning\n");
	health.heartbeat_boot_ms = clock_boot_ms() + 5000;      /* a beat after we looked is no stall of centuries */
	assert_answer("GET", "/livez", "200", "ok\n");
}

static void
not_ready_says_why_and_stays_alive(void **state)
{
	(void)state;
	health.joined = 0;
	assert_answer("GET", "/readyz", "503", "not in the consumer group yet\n");
	health.journal_closed = 2;
	assert_answer("GET", "/readyz", "503", "a partition is closed because its journal cannot be trusted\n");
	health.draining = 1;
	assert_answer("GET", "/readyz", "503", "draining\n");
	assert_answer("GET", "/livez", "200", "ok\n");
}

static void
metrics_are_told(void **state)
{
	char *answer = ask("GET", "/metrics");

	(void)state;
	assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
	assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "\ntokend_pending 0\n"));
	free(answer);
}

static void
nothing_else_is(void **state)
{
	char *answer = ask("POST", "/metrics");

	(void)state;
	assert_int_equal(strncmp(answer, "HTTP/1.1 405 ", 13), 0);
	assert_non_null(strstr(answer, "Allow: GET, HEAD\r\n"));
	free(answer);
	assert_answer("DELETE", "/livez", "405", "only GET and HEAD\n");
	assert_answer("GET", "/", "404", "only /livez, /readyz and /metrics\n");
	assert_answer("GET", "/livez/", "404", "only /livez, /readyz and /metrics\n");
	assert_answer("GET", "/../livez", "404", "only /livez, /readyz and /metrics\n");
}

static void
a_taken_port_is_named(void **state)
{
	struct err e = { 0 };
	char expected[64];

	(void)state;
	assert_null(ops_start("127.0.0.1", port, &health, &e));
	(void)snprintf(expected, sizeof(expected), "127.0.0.1 port %u: Address already in use", port);
	if (strstr(e.text, expected) == NULL)
		fail_msg("%s", e.text);
	assert_null(ops_start("localhost", port, &health, &e));
	assert_non_null(strstr(e.text, "\"localhost\" is not an IP address"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(well),
		TEST(a_loop_that_stands_still_is_not_alive),
		TEST(not_ready_says_why_and_stays_alive),
		TEST(metrics_are_told),
		TEST(nothing_else_is),
		TEST(a_taken_port_is_named),
	};

	return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
