/* Goal: whatever the server does to a call, its job comes back once, and says truly whether the request may have
 * left; and no request leaves twice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <sodium.h>

#include "tests/unit/scripted_server.h"

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "workers/call_options.h"
#include "workers/job.h"
#include "workers/pool.h"

#define ACCOUNT "11111111-1111-4111-8111-111111111111"
#define CLUSTER "33333333-3333-4333-8333-333333333333"
#define TOKENS_PATH "/api/v0/accounts/" ACCOUNT "/clusters/" CLUSTER "/tokens"
#define ID "55555555-5555-4555-8555-555555555555"
#define MANAGEMENT_TOKEN "management-token-of-the-test"
#define TOKEN "apiv1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DESCRIPTION "for a test [tokend/1:svc:telemetry:3:66666666-6666-4666-8666-666666666666]"

#define BODY "{\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" CLUSTER "\",\"id\":\"" ID "\"," \
	"\"description\":\"" DESCRIPTION "\",\"permissions\":[{\"action\":\"read\",\"resource\":\"db\"}]," \
	"\"createdAt\":\"2023-12-21T17:32:28.000Z\",\"accessToken\":\"" TOKEN "\"}"
#define DELETED "HTTP/1.1 204 No Content\r\n\r\n"
#define CREATED "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: @\r\n\r\n" BODY
#define ERROR(status, headers, body) "HTTP/1.1 " status "\r\n" headers "Content-Length: @\r\n\r\n" body

static const struct permission asked[] = { { PERMISSION_READ, "db" } };

struct rig {
	struct server *server;
	char url[64], token_file[64];
	struct cluster cluster;
	struct mailbox *outcomes;
	struct pool *pool;
	struct job job;
};

static void
write_token_file(struct rig *r, const char *content)
{
	int fd;

	(void)strcpy(r->token_file, "/tmp/tokend-test-XXXXXX");
	fd = mkstemp(r->token_file);
	assert_true(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	(void)close(fd);
}

static struct pool *
new_pool(struct rig *r, unsigned threads, struct err *ret_err)
{
	return pool_new(&(struct pool_options){
	    .threads = threads, .clusters = &r->cluster, .n_clusters = 1, .outcomes = r->outcomes }, ret_err);
}

static int
setup(void **state)
{
	static char account[] = ACCOUNT, cluster[] = CLUSTER, name[] = "prod";
	static struct rig r;
	struct err e;

	r = (struct rig){ .server = server_new(), .outcomes = mailbox_new(NULL) };
	(void)snprintf(r.url, sizeof(r.url), "http://127.0.0.1:%u", r.server->port);
	write_token_file(&r, MANAGEMENT_TOKEN "\n");
	r.cluster = (struct cluster){ .name = name, .product = CLUSTER_DEDICATED, .url = r.url, .account_id = account,
	    .cluster_id = cluster, .management_token_file = r.token_file, .max_concurrency = 32 };
	r.pool = new_pool(&r, 1, &e);
	*state = &r;
	return r.pool != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	pool_free(r->pool);
	mailbox_free(r->outcomes);
	server_free(r->server);
	return unlink(r->token_file);
}

/* ---- jobs ---- */

static struct job
a_create(void)
{
	uint64_t now = clock_boot_ms();

	return (struct job){ .verb = JOB_CREATE, .lease_until_boot_ms = now + 5000, .not_after_boot_ms = now + 10000,
	    .description = DESCRIPTION, .permissions = asked, .n_permissions = 1 };
}

static struct job
a_delete(const char *token_id)
{
	return (struct job){ .verb = JOB_DELETE, .not_after_boot_ms = clock_boot_ms() + 10000, .token_id = token_id };
}

static struct job
a_list(const char *looked_for)
{
	return (struct job){ .verb = JOB_LIST, .not_after_boot_ms = clock_boot_ms() + 10000, .looked_for = looked_for };
}

/* The jobs that are back, at least one. */
static struct job *
await(struct rig *r)
{
	struct pollfd fd = { .fd = mailbox_fd(r->outcomes), .events = POLLIN };

	assert_int_equal(poll(&fd, 1, SERVER_PATIENCE_S * 1000), 1);
	return (struct job *)mailbox_take(r->outcomes);
}

static struct job *
run(struct rig *r, struct job job)
{
	struct job *back;

	job.verdict = VERDICT_COUNT;            /* an out field that nobody sets shows */
	job.left = true;
	job.http_status = -1;
	job.retry_after_ms = 77;
	job.leased = &job;
	job.listed = (struct job_listed *)&job;
	job.n_listed = job.n_tokens = 77;
	job.skew_ms = 77;
	r->job = job;
	pool_submit(r->pool, &r->job);
	back = await(r);
	assert_ptr_equal(back, &r->job);
	assert_null(back->mail.next);
	return back;
}

#define SCRIPT(r, ...) do { \
	static const struct step steps_[] = { __VA_ARGS__ }; \
	server_script((r)->server, steps_, sizeof(steps_) / sizeof(*steps_)); \
} while (0)

static void
expect(const struct job *job, enum verdict verdict, bool left)
{
	if (job->verdict != verdict || job->left != left)
		fail_msg("%s, %s: %s", verdict_label(job->verdict), job->left ? "left" : "not left", job->message);
	if (verdict != VERDICT_CREATED)
		assert_null(job->leased);
	if (verdict != VERDICT_LISTED) {
		assert_null(job->listed);
		assert_int_equal(job->n_listed, 0);
		assert_int_equal(job->n_tokens, 0);
	}
}

/* ---- what is asked ---- */

static void
a_create_asks_for_what_it_should(void **state)
{
	struct rig *r = *state;
	char request[SERVER_REQUEST_BYTES];

	SCRIPT(r, { CREATED, false });
	expect(run(r, a_create()), VERDICT_CREATED, true);
	server_latest(r->server, request);
	assert_memory_equal(request, "POST " TOKENS_PATH " HTTP/1.1\r\n", strlen("POST " TOKENS_PATH " HTTP/1.1\r\n"));
	assert_non_null(strstr(request, "\r\nAuthorization: Bearer " MANAGEMENT_TOKEN "\r\n"));
	assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(request, "\r\nAccept: application/json\r\n"));
	assert_null(strcasestr(request, "accept-encoding"));
	assert_null(strcasestr(request, "expect:"));
	assert_non_null(strstr(request,
	    "\r\n\r\n{\"description\":\"" DESCRIPTION "\",\"permissions\":[{\"action\":\"read\","));
	pool_return(r->pool, &r->job);
}

static void
a_delete_names_its_token(void **state)
{
	static const char line[] = "DELETE " TOKENS_PATH "/" ID " HTTP/1.1\r\n";
	struct rig *r = *state;
	char request[SERVER_REQUEST_BYTES];

	SCRIPT(r, { DELETED, false }, { ERROR("404 Not Found", "", ""), false });
	expect(run(r, a_delete(ID)), VERDICT_DELETED, true);
	server_latest(r->server, request);
	assert_memory_equal(request, line, strlen(line));
	expect(run(r, a_delete(ID)), VERDICT_DELETED, true);
	expect(run(r, a_delete("../" ID)), VERDICT_NOT_SENT, false);
	assert_int_equal(server_requests(r->server), 2);
}

/* ---- what may come back ---- */

static void
a_token_comes_back_in_leased_memory_and_is_wiped(void **state)
{
	struct rig *r = *state;
	const unsigned char *memory;

	SCRIPT(r, { CREATED, false });
	expect(run(r, a_create()), VERDICT_CREATED, true);
	assert_int_equal(r->job.http_status, 200);
	assert_string_equal(r->job.message, "200 OK");
	assert_string_equal(r->job.created_id, ID);
	assert_true(r->job.marker_intact);
	assert_true(span_is(r->job.access_token, TOKEN));
	assert_true(r->job.took_us > 0 && r->job.took_us < 10000000);
	memory = r->job.access_token.data;
	pool_return(r->pool, &r->job);
	assert_null(r->job.leased);
	assert_null(r->job.access_token.data);
	for (size_t i = 0; i < strlen(BODY); i++)
		assert_int_equal(memory[i], 0);
	pool_return(r->pool, &r->job);           /* nothing more to return */
}

static void
a_token_that_nobody_asked_for_is_ambiguous(void **state)
{
	static const struct permission others[] = { { PERMISSION_WRITE, "db" } };
	struct rig *r = *state;
	struct job job = a_create();

	job.permissions = others;
	SCRIPT(r, { CREATED, false });
	expect(run(r, job), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "200 OK: the answer has other permissions than were asked for");
	SCRIPT(r, { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	SCRIPT(r, { DELETED, false });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
}

static void
a_throttled_call_says_until_when(void **state)
{
	struct rig *r = *state;
	struct job late = a_create();

	SCRIPT(r, { ERROR("429 No", "Retry-After: 7\r\n", "{\"code\":429,\"message\":\"easy, \\u0007\"}"), false });
	expect(run(r, a_create()), VERDICT_THROTTLED, true);
	assert_int_equal(r->job.retry_after_ms, 7000);
	assert_string_equal(r->job.message, "429 Too Many Requests: easy, \\x07");
	SCRIPT(r, { ERROR("503 No", "retry-after: Fri, 31 Dec 2100 23:59:59 GMT\r\n", ""), false });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	assert_int_equal(r->job.retry_after_ms, 600000);

	late.not_after_boot_ms = 0;               /* a slot keeps nothing of the call before */
	expect(run(r, late), VERDICT_NOT_SENT, false);
	assert_int_equal(r->job.retry_after_ms, 0);
	assert_int_equal(r->job.http_status, 0);
}

static void
errors_are_told_apart(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { ERROR("500 Oh", "", "{\"code\":500,\"message\":\"internal server error\"}"), false },
	    { ERROR("401 Who", "", ""), false }, { ERROR("400 What", "", "<html>"), false });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "500 Internal Server Error: internal server error");
	expect(run(r, a_create()), VERDICT_CREDENTIAL, true);
	assert_string_equal(r->job.message, "401 Unauthorized (tokend's own management token)");
	expect(run(r, a_create()), VERDICT_REJECTED, true);
}

static void
an_echoed_credential_is_left_out(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { ERROR("401 Who", "", "{\"message\":\"unknown: " MANAGEMENT_TOKEN "\"}"), false });
	expect(run(r, a_create()), VERDICT_CREDENTIAL, true);
	assert_string_equal(r->job.message, "401 Unauthorized (tokend's own management token): unknown: *");
}

static void
a_redirect_is_not_followed(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { ERROR("307 There", "Location: https://login.example.com/realm?token=s3cret\r\n", ""), false });
	expect(run(r, a_create()), VERDICT_REDIRECTED, true);
	assert_int_equal(server_requests(r->server), 1);
	assert_string_equal(r->job.message,
	    "307 Temporary Redirect: the cluster's url is wrong, the API points to \"https://login.example.com\"");
}

static void
interim_answers_are_passed_over(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" CREATED, false });
	expect(run(r, a_create()), VERDICT_CREATED, true);
	pool_return(r->pool, &r->job);
}

/* ---- lists ---- */

#define LISTED(id, description) "{\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" CLUSTER "\",\"id\":\"" id "\"," \
	"\"description\":\"" description "\",\"permissions\":[],\"createdAt\":\"2023-12-21T17:32:28.000Z\"}"
#define OTHER_ID "77777777-7777-4777-8777-777777777777"
#define LIST "[" LISTED(OTHER_ID, "by hand") "," LISTED(ID, DESCRIPTION) "]"
#define LIST_OF(bytes, body) "HTTP/1.1 200 OK\r\nContent-Length: " bytes "\r\n\r\n" body

static void
a_list_finds_what_it_looks_for(void **state)
{
	static const char line[] = "GET " TOKENS_PATH " HTTP/1.1\r\n";
	struct rig *r = *state;
	char request[SERVER_REQUEST_BYTES];

	SCRIPT(r, { LIST_OF("@", LIST), false });
	expect(run(r, a_list("[tokend/1:svc:")), VERDICT_LISTED, true);
	server_latest(r->server, request);
	assert_memory_equal(request, line, strlen(line));
	assert_non_null(strstr(request, "\r\nAuthorization: Bearer " MANAGEMENT_TOKEN "\r\n"));
	assert_null(strcasestr(request, "accept-encoding"));
	assert_null(strcasestr(request, "content-length"));
	assert_string_equal(r->job.message, "200 OK");
	assert_int_equal(r->job.n_tokens, 2);
	assert_int_equal(r->job.n_listed, 1);
	assert_string_equal(r->job.listed->token_id, ID);
	assert_string_equal(r->job.listed->marker, DESCRIPTION + strlen("for a test "));
	assert_int_equal(r->job.listed->created_at, 1703179948);
	pool_return(r->pool, &r->job);
	assert_null(r->job.listed);
	assert_int_equal(r->job.n_listed, 0);
	pool_return(r->pool, &r->job);           /* nothing more to return */
}

static void
a_list_may_only_be_tried(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { LIST_OF("@", LIST), false }, { LIST_OF("@", "[]"), false });
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	assert_int_equal(r->job.n_tokens, 2);
	assert_null(r->job.listed);
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	assert_int_equal(r->job.n_tokens, 0);
}

/* The API's clock is an hour ahead, or it does not say; and how long it took to send the list is no difference of
 * clocks. */
static void
a_list_tells_the_clocks_difference(void **state)
{
	static char answer[256];
	static const struct step ahead[] = { { answer, false } };
	struct rig *r = *state;
	time_t then = time(NULL) + 3600;
	char date[64];
	struct tm tm;

	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
	(void)snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 2\r\n\r\n[]", date);
	server_script(r->server, ahead, 1);
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	assert_in_range(r->job.skew_ms, 3600000 - 2000, 3600000 + 2000);
	SCRIPT(r, { LIST_OF("@", "[]"), false });
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	assert_int_equal(r->job.skew_ms, 0);
}

/* Far more than any answer's buffer holds. */
static void
a_list_may_be_long(void **state)
{
	enum { MANY = 4000 };
	static char answer[MANY * sizeof(LISTED(ID, DESCRIPTION)) + 1000];
	static const struct step steps[] = { { answer, false } };
	struct rig *r = *state;
	char *at = stpcpy(answer, "HTTP/1.1 200 OK\r\nContent-Length: @\r\n\r\n[");

	for (int i = 0; i < MANY; i++)
		at = stpcpy(stpcpy(at, i > 0 ? "," : ""), LISTED(ID, DESCRIPTION));
	(void)strcpy(at, "]");
	server_script(r->server, steps, 1);
	expect(run(r, a_list("[tokend/1:svc:")), VERDICT_LISTED, true);
	assert_int_equal(r->job.n_tokens, MANY);
	assert_int_equal(r->job.n_listed, MANY);
	pool_return(r->pool, &r->job);
}

static void
a_list_that_is_cut_says_nothing(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { LIST_OF("9999", LIST), true }, { LIST_OF("20", LIST), true }, { LIST_OF("0", ""), false },
	    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n", true }, { NULL, true },
	    { "HTTP/1.1 204 No Content\r\n\r\n", false });
	for (int i = 0; i < 6; i++)
		expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "204 No Content");
	SCRIPT(r, { LIST_OF("20", LIST), true }, { LIST_OF("0", ""), false });
	expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "200 OK: the list is cut short in or behind token 1");
	expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "200 OK: the answer is empty");
}

static void
what_is_no_list_is_not_read_to_its_end(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { LIST_OF("999999", "<html>"), false },
	    { "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: @\r\n\r\n\x1f\x8b\x08\x01", false },
	    { LIST_OF("@", "{\"code\":500}"), false }, { LIST_OF("@", LIST), false });
	expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "200 OK: the answer begins with \"<\": it is no JSON array");
	assert_int_equal(r->job.http_status, 200);
	expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "200 OK: the answer begins with \"\\x1f\": it is no JSON array");
	expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);     /* a slot keeps nothing of the list before */
}

static void
a_list_that_is_refused_says_why(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { ERROR("404 Not Found", "", "{\"code\":404,\"message\":\"no cluster\"}"), false },
	    { ERROR("401 Who", "", ""), false }, { ERROR("429 No", "Retry-After: 3\r\n", "[]"), false },
	    { ERROR("500 Oh", "", "[]"), false }, { ERROR("302 There", "Location: /\r\n", "[]"), false });
	expect(run(r, a_list(NULL)), VERDICT_NOT_FOUND, true);
	assert_string_equal(r->job.message, "404 Not Found: no cluster");
	expect(run(r, a_list(NULL)), VERDICT_CREDENTIAL, true);
	expect(run(r, a_list(NULL)), VERDICT_THROTTLED, true);
	assert_int_equal(r->job.retry_after_ms, 3000);
	expect(run(r, a_list(NULL)), VERDICT_AMBIGUOUS, true);
	expect(run(r, a_list(NULL)), VERDICT_REDIRECTED, true);
}

static void
a_list_may_be_asked_for_twice(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { LIST_OF("@", LIST), false }, { NULL, true }, { LIST_OF("@", LIST), false });
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	assert_int_equal(server_requests(r->server), 3);
	assert_int_equal(r->job.n_tokens, 2);
}

/* It begins well, and then nothing comes. */
static void
a_slow_list_ends_at_not_after(void **state)
{
	struct rig *r = *state;
	struct job job = a_list("[tokend/1:svc:");

	SCRIPT(r, { LIST_OF("9999", "[" LISTED(ID, DESCRIPTION) ","), false });
	job.not_after_boot_ms = clock_boot_ms() + 1200;
	expect(run(r, job), VERDICT_AMBIGUOUS, true);
	assert_true(clock_boot_ms() >= job.not_after_boot_ms - 50);
	assert_true(clock_boot_ms() < job.not_after_boot_ms + 2000);
}

/* ---- the management token ---- */

static void
carried(struct rig *r, const char *token)
{
	char request[SERVER_REQUEST_BYTES], line[100];

	(void)snprintf(line, sizeof(line), "\r\nAuthorization: Bearer %s\r\n", token);
	server_latest(r->server, request);
	if (strstr(request, line) == NULL)
		fail_msg("not %s", token);
}

static void
replace_token(struct rig *r, const char *content)
{
	FILE *file = fopen(r->token_file, "w");

	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void
a_refused_token_is_read_anew_at_once(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { ERROR("401 Who", "", ""), false }, { LIST_OF("@", "[]"), false });
	replace_token(r, "another-one\n");
	expect(run(r, a_create()), VERDICT_CREDENTIAL, true);
	carried(r, MANAGEMENT_TOKEN);
	expect(run(r, a_list(NULL)), VERDICT_LISTED, true);
	carried(r, "another-one");
}

/* The call in flight ends well with the token it began with; AddressSanitizer watches its memory. */
static void
a_reload_leaves_calls_in_flight_alone(void **state)
{
	struct rig *r = *state;
	struct job deleted = a_delete(ID), *back;

	SCRIPT(r, { NULL, false }, { DELETED, false });
	r->job = a_create();
	r->job.not_after_boot_ms = clock_boot_ms() + 1500;
	pool_submit(r->pool, &r->job);
	assert_true(server_wait(r->server, 1));
	replace_token(r, "another-one");
	pool_reload(r->pool);
	pool_reload(r->pool);
	pool_submit(r->pool, &deleted);
	back = await(r);
	assert_ptr_equal(back, &deleted);
	expect(back, VERDICT_DELETED, true);
	carried(r, "another-one");
	back = await(r);
	assert_ptr_equal(back, &r->job);
	expect(back, VERDICT_AMBIGUOUS, true);
}

static long
reloads(void)
{
	static const char *const results[] = { "changed", "unchanged", "failed" };
	size_t bytes;
	char *text = metrics_text(&bytes);
	long sum = 0;

	for (int i = 0; i < 3; i++) {
		char line[100], *at;

		(void)snprintf(line, sizeof(line), "{what=\"management_token\",result=\"%s\"} ", results[i]);
		at = strstr(text, line);
		assert_non_null(at);
		sum += strtol(at + strlen(line), NULL, 10);
	}
	free(text);
	return sum;
}

static void
a_storm_of_refusals_reads_the_file_once_a_second(void **state)
{
	enum { MANY = 200 };
	static struct job jobs[MANY];
	struct rig *r = *state;
	long before = reloads(), seconds;
	uint64_t began = clock_boot_ms();

	SCRIPT(r, { ERROR("403 No", "", ""), false });
	for (int i = 0; i < MANY; i++) {
		jobs[i] = a_create();
		jobs[i].mail.next = i + 1 < MANY ? &jobs[i + 1].mail : NULL;
	}
	pool_free(r->pool);
	assert_non_null(r->pool = new_pool(r, 4, NULL));
	pool_submit(r->pool, jobs);
	for (int n = 0; n < MANY;)
		for (struct job *job = await(r); job != NULL; job = (struct job *)job->mail.next, n++)
			expect(job, VERDICT_CREDENTIAL, true);
	seconds = (long)(clock_boot_ms() - began) / 1000 + 1;
	assert_in_range(reloads() - before, 1, seconds);
}

/* ---- what may go wrong ---- */

static void
a_connection_that_dies_is_ambiguous(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { NULL, true });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	assert_int_equal(r->job.http_status, 0);
	SCRIPT(r, { "HTTP/1.1 200 O", true });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	SCRIPT(r, { "SSH-2.0-OpenSSH_9.2\r\n", true });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	SCRIPT(r, { "HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\n{", true });
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
}

static void
a_body_of_another_length_is_ambiguous(void **state)
{
	char longer[2048], shorter[2048], cut[2048], whole[2048];
	const struct step steps[] = { { longer, true }, { shorter, true }, { cut, true }, { whole, true } };
	const size_t bytes = strlen(BODY);
	struct rig *r = *state;

	(void)snprintf(longer, sizeof(longer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", bytes + 1, BODY);
	(void)snprintf(shorter, sizeof(shorter), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", bytes - 1, BODY);
	(void)snprintf(cut, sizeof(cut),
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", bytes, BODY);
	(void)snprintf(whole, sizeof(whole),
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n", bytes, BODY);
	server_script(r->server, steps, 4);
	for (int i = 0; i < 3; i++)
		expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	expect(run(r, a_create()), VERDICT_CREATED, true);
	pool_return(r->pool, &r->job);
}

static void
an_endless_body_fills_no_memory(void **state)
{
	static char endless[100000] = "HTTP/1.1 200 OK\r\nContent-Length: @\r\n\r\n";
	static char error[100000] = "HTTP/1.1 400 No\r\nContent-Length: @\r\n\r\n";
	static const struct step steps[] = { { endless, false }, { error, false } };
	struct rig *r = *state;

	memset(endless + strlen(endless), ' ', sizeof(endless) - 1 - strlen(endless));
	memset(error + strlen(error), ' ', sizeof(error) - 1 - strlen(error));
	server_script(r->server, steps, 2);
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "200 OK: the answer is longer than what was asked for can be");
	expect(run(r, a_create()), VERDICT_REJECTED, true);
	assert_string_equal(r->job.message, "400 Bad Request");
}

/* Nobody waits 15 s for the end of what has none. */
static void
an_answer_without_an_end_is_cut(void **state)
{
	static char endless[3 * 1024 * 1024] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
	static const struct step steps[] = { { endless, false } };
	struct rig *r = *state;
	uint64_t began = clock_boot_ms();

	memset(endless + strlen(endless), ' ', sizeof(endless) - 1 - strlen(endless));
	server_script(r->server, steps, 1);
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	assert_string_equal(r->job.message, "the answer did not end where any answer does");
	assert_true(clock_boot_ms() - began < 10000);
}

static void
silence_ends_at_not_after(void **state)
{
	struct rig *r = *state;
	struct job job = a_create();

	SCRIPT(r, { NULL, false });
	job.not_after_boot_ms = clock_boot_ms() + 1100;
	expect(run(r, job), VERDICT_AMBIGUOUS, true);
	assert_true(clock_boot_ms() >= job.not_after_boot_ms - 50);
	assert_true(clock_boot_ms() < job.not_after_boot_ms + 2000);
}

static void
a_list_may_take_longer_than_a_call(void **state)
{
	struct job job = { .verb = JOB_CREATE, .not_after_boot_ms = 60000 };

	(void)state;
	assert_int_equal(call_options_time_left_ms(&job, 0), 15000);
	assert_int_equal(call_options_time_left_ms(&job, 50000), 10000);
	job.verb = JOB_DELETE;
	assert_int_equal(call_options_time_left_ms(&job, 0), 15000);
	job.verb = JOB_LIST;
	assert_int_equal(call_options_time_left_ms(&job, 0), 60000);
	assert_int_equal(call_options_time_left_ms(&job, 59999), 1);
	assert_int_equal(call_options_time_left_ms(&job, 60001), 0);
}

static void
too_little_time_is_no_call(void **state)
{
	struct rig *r = *state;
	struct job job = a_create();

	SCRIPT(r, { CREATED, false });
	job.not_after_boot_ms = clock_boot_ms() + 900;
	expect(run(r, job), VERDICT_NOT_SENT, false);
	assert_int_equal(server_requests(r->server), 0);
}

static void
a_lease_that_is_over_sends_nothing(void **state)
{
	struct rig *r = *state;
	struct job job = a_create();

	SCRIPT(r, { CREATED, false });
	job.lease_until_boot_ms = clock_boot_ms() - 1;
	expect(run(r, job), VERDICT_NOT_SENT, false);
	assert_non_null(strstr(r->job.message, "lease"));
	expect(run(r, a_create()), VERDICT_CREATED, true);
	pool_return(r->pool, &r->job);
	expect(run(r, job), VERDICT_NOT_SENT, false);   /* nor on a connection that stands already */
	assert_int_equal(server_requests(r->server), 1);
}

/* R7: the connection was kept, and the server closes it just as the next request arrives. libcurl would send
 * that again. */
static void
a_request_is_never_sent_twice(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { CREATED, false }, { NULL, true }, { CREATED, false });
	expect(run(r, a_create()), VERDICT_CREATED, true);
	pool_return(r->pool, &r->job);
	expect(run(r, a_create()), VERDICT_AMBIGUOUS, true);
	assert_non_null(strstr(r->job.message, "not sent again"));
	assert_int_equal(server_requests(r->server), 2);
	expect(run(r, a_create()), VERDICT_CREATED, true);
	assert_int_equal(server_requests(r->server), 3);
	pool_return(r->pool, &r->job);
}

/* The same race with DELETE, which may be repeated: the caller does not even notice. */
static void
a_delete_may_be_sent_twice(void **state)
{
	struct rig *r = *state;

	SCRIPT(r, { DELETED, false }, { NULL, true }, { DELETED, false });
	expect(run(r, a_delete(ID)), VERDICT_DELETED, true);
	expect(run(r, a_delete(ID)), VERDICT_DELETED, true);
	assert_int_equal(server_requests(r->server), 3);
}

static struct pool *
pool_for(struct rig *r, const char *origin, unsigned port)
{
	pool_free(r->pool);
	(void)snprintf(r->url, sizeof(r->url), "%s:%u", origin, port);
	return r->pool = new_pool(r, 1, NULL);
}

static void
without_a_connection_nothing_is_sent(void **state)
{
	struct rig *r = *state;
	struct server *closed = server_new();
	uint16_t port = closed->port;

	server_free(closed);
	assert_non_null(pool_for(r, "http://127.0.0.1", port));
	expect(run(r, a_create()), VERDICT_NOT_SENT, false);
	assert_non_null(pool_for(r, "https://127.0.0.1", r->server->port));      /* no TLS there */
	expect(run(r, a_create()), VERDICT_NOT_SENT, false);
	assert_non_null(pool_for(r, "http://no-such-host.invalid", port));
	expect(run(r, a_create()), VERDICT_NOT_SENT, false);
}

static void
the_environment_names_no_proxy(void **state)
{
	struct rig *r = *state;

	(void)setenv("http_proxy", "http://127.0.0.1:1", 1);
	(void)setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	SCRIPT(r, { CREATED, false });
	expect(run(r, a_create()), VERDICT_CREATED, true);
	(void)unsetenv("http_proxy");
	(void)unsetenv("ALL_PROXY");
	pool_return(r->pool, &r->job);
}

/* ---- many, and the end ---- */

static void
a_chain_of_jobs_comes_back_whole(void **state)
{
	enum { JOBS = 300 };
	static struct job jobs[JOBS];
	struct rig *r = *state;
	unsigned back = 0;

	pool_free(r->pool);
	r->pool = new_pool(r, 3, NULL);
	SCRIPT(r, { CREATED, false });
	for (int i = 0; i < JOBS; i++) {
		jobs[i] = a_create();
		jobs[i].mail.next = i + 1 < JOBS ? &jobs[i + 1].mail : NULL;
	}
	pool_submit(r->pool, jobs);
	while (back < JOBS) {
		for (struct job *job = await(r); job != NULL; job = (struct job *)job->mail.next, back++) {
			expect(job, VERDICT_CREATED, true);
			assert_true(span_is(job->access_token, TOKEN));
			pool_return(r->pool, job);
		}
	}
	assert_int_equal(server_requests(r->server), JOBS);
}

static void
stopping_cuts_what_is_in_flight(void **state)
{
	struct rig *r = *state;
	struct job *back;

	SCRIPT(r, { NULL, false });
	r->job = a_create();
	pool_submit(r->pool, &r->job);
	assert_true(server_wait(r->server, 1));
	pool_stop(r->pool);
	back = (struct job *)mailbox_take(r->outcomes);
	assert_ptr_equal(back, &r->job);
	expect(back, VERDICT_AMBIGUOUS, true);
}

static void
a_job_behind_the_end_of_time_is_not_sent(void **state)
{
	struct rig *r = *state;
	struct job job = a_create();

	job.not_after_boot_ms = 0;
	expect(run(r, job), VERDICT_NOT_SENT, false);
	assert_non_null(strstr(r->job.message, "time"));
}

static void
calls_are_counted(void **state)
{
	struct rig *r = *state;
	size_t bytes;
	char *text;

	SCRIPT(r, { ERROR("409 Conflict", "", ""), false });
	expect(run(r, a_create()), VERDICT_CONFLICT, true);
	text = metrics_text(&bytes);
	assert_non_null(strstr(text,
	    "tokend_api_requests_total{cluster=\"prod\",verb=\"create\",class=\"conflict\"} 1\n"));
	assert_non_null(strstr(text, "tokend_api_request_duration_seconds_count{cluster=\"prod\",verb=\"create\"}"));
	free(text);
}

static void
a_credential_that_fits_no_header_is_refused(void **state)
{
	static const char *const bad[] = { "two words", "two\nlines", "tab\tbed", "caf\xc3\xa9", "\n" };
	struct rig *r = *state;
	struct err e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)unlink(r->token_file);
		write_token_file(r, bad[i]);
		assert_null(new_pool(r, 1, &e));
		assert_non_null(strstr(e.text, "cluster prod"));
		assert_non_null(strstr(e.text, r->token_file));
	}
	r->cluster.management_token_file = (char *)"/nonexistent/token";
	assert_null(new_pool(r, 1, &e));
	assert_non_null(strstr(e.text, "/nonexistent/token"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_create_asks_for_what_it_should),
		TEST(a_delete_names_its_token),
		TEST(a_token_comes_back_in_leased_memory_and_is_wiped),
		TEST(a_token_that_nobody_asked_for_is_ambiguous),
		TEST(a_throttled_call_says_until_when),
		TEST(errors_are_told_apart),
		TEST(an_echoed_credential_is_left_out),
		TEST(a_redirect_is_not_followed),
		TEST(interim_answers_are_passed_over),
		TEST(a_list_finds_what_it_looks_for),
		TEST(a_list_may_only_be_tried),
		TEST(a_list_tells_the_clocks_difference),
		TEST(a_list_may_be_long),
		TEST(a_list_that_is_cut_says_nothing),
		TEST(what_is_no_list_is_not_read_to_its_end),
		TEST(a_list_that_is_refused_says_why),
		TEST(a_list_may_be_asked_for_twice),
		TEST(a_slow_list_ends_at_not_after),
		TEST(a_refused_token_is_read_anew_at_once),
		TEST(a_reload_leaves_calls_in_flight_alone),
		TEST(a_storm_of_refusals_reads_the_file_once_a_second),
		TEST(a_connection_that_dies_is_ambiguous),
		TEST(a_body_of_another_length_is_ambiguous),
		TEST(an_endless_body_fills_no_memory),
		TEST(an_answer_without_an_end_is_cut),
		TEST(silence_ends_at_not_after),
		TEST(a_list_may_take_longer_than_a_call),
		TEST(too_little_time_is_no_call),
		TEST(a_lease_that_is_over_sends_nothing),
		TEST(a_request_is_never_sent_twice),
		TEST(a_delete_may_be_sent_twice),
		TEST(without_a_connection_nothing_is_sent),
		TEST(the_environment_names_no_proxy),
		TEST(a_chain_of_jobs_comes_back_whole),
		TEST(stopping_cuts_what_is_in_flight),
		TEST(a_job_behind_the_end_of_time_is_not_sent),
		TEST(calls_are_counted),
		TEST(a_credential_that_fits_no_header_is_refused),
	};

	log_setup(LOG_JSON, LOG_WARN_);
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
