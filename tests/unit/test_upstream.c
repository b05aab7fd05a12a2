/* Goal: a replaced management token is found at once, a bad file never takes the good one away, and no token outlives
 * its last user. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "workers/credential.h"
#include "workers/upstream.h"

#define ACCOUNT "11111111-1111-4111-8111-111111111111"
#define CLUSTER "33333333-3333-4333-8333-333333333333"
#define OLD "old-management-token"
#define NEW "new-management-token"
#define BAD "two words-of-a-secret"

struct rig {
	char file[64];
	struct cluster cluster;
	struct upstream *upstream;

	/* the threads' */
	atomic_bool enough, wrong;
	atomic_long calls;
};

/* As whoever replaces a secret should do it: never half. */
static void
write_token(struct rig *r, const char *content)
{
	char fresh[80];
	int fd;

	(void)snprintf(fresh, sizeof(fresh), "%s.fresh", r->file);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	(void)close(fd);
	assert_int_equal(rename(fresh, r->file), 0);
}

static int
setup(void **state)
{
	static char account[] = ACCOUNT, cluster[] = CLUSTER, name[] = "prod", url[] = "https://localhost";
	static struct rig r;

	(void)strcpy(r.file, "/tmp/tokend-test-XXXXXX");
	(void)close(mkstemp(r.file));
	write_token(&r, OLD "\n");
	r.cluster = (struct cluster){ .name = name, .product = CLUSTER_DEDICATED, .url = url, .account_id = account,
	    .cluster_id = cluster, .management_token_file = r.file };
	r.upstream = upstream_new(&r.cluster, NULL);
	*state = &r;
	return r.upstream != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	upstream_free(r->upstream);
	return unlink(r->file);
}

/* A call that begins now carries this one. */
static void
carries(struct rig *r, uint64_t now_ms, const char *token)
{
	struct credential *c = upstream_credential(r->upstream, now_ms);

	if (!span_is(credential_token(c), token))
		fail_msg("%.*s", (int)credential_token(c).bytes, (const char *)credential_token(c).data);
	credential_release(c);
}

/* A call that carries what is in use now is refused. True: the next one would carry another. */
static bool
refused(struct rig *r, uint64_t now_ms)
{
	struct credential *c = upstream_credential(r->upstream, now_ms);
	bool renewed = upstream_refused(r->upstream, c, now_ms);

	credential_release(c);
	return renewed;
}

static long
metric(const char *line)
{
	size_t bytes;
	char *text = metrics_text(&bytes), *at = strstr(text, line);
	long value = at != NULL ? strtol(at + strlen(line), NULL, 10) : -1;

	free(text);
	return value;
}

static long
reloads(const char *result)
{
	char line[100];

	(void)snprintf(line, sizeof(line), "tokend_reload_total{what=\"management_token\",result=\"%s\"} ", result);
	return metric(line);
}

/* What is logged while the function runs. free() it. */
static char *
logged(void (*function)(struct rig *), struct rig *r)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	char *text = calloc(1, 65536);

	(void)dup2(fileno(file), STDERR_FILENO);
	function(r);
	(void)dup2(before, STDERR_FILENO);
	(void)close(before);
	rewind(file);
	(void)!fread(text, 1, 65535, file);
	(void)fclose(file);
	return text;
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text++;
	}
	return n;
}

/* ---- tests ---- */

static void
the_header_is_whole(void **state)
{
	struct rig *r = *state;
	struct credential *c = upstream_credential(r->upstream, 0);

	assert_string_equal(credential_header(c), "Authorization: Bearer " OLD);
	credential_release(c);
	credential_release(NULL);
	assert_string_equal(upstream_tokens_url(r->upstream),
	    "https://localhost/api/v0/accounts/" ACCOUNT "/clusters/" CLUSTER "/tokens");
}

static void
a_refusal_finds_the_new_one_at_once(void **state)
{
	struct rig *r = *state;
	long changed = reloads("changed");

	write_token(r, NEW "\n");
	carries(r, 1000, OLD);                   /* nothing looks at the file without a reason */
	assert_true(refused(r, 1000));
	carries(r, 1000, NEW);
	assert_int_equal(reloads("changed"), changed + 1);
	assert_true(metric("tokend_secret_reload_timestamp_seconds{secret=\"management_token/prod\"} ") > 1600000000);
}

static void
refusals_read_the_file_once_a_second(void **state)
{
	struct rig *r = *state;
	long unchanged = reloads("unchanged");

	for (int i = 0; i < 100; i++)
		assert_false(refused(r, 5000));
	assert_int_equal(reloads("unchanged"), unchanged + 1);
	write_token(r, NEW);
	assert_false(refused(r, 5999));
	carries(r, 5999, OLD);
	(void)refused(r, 6000);         /* read anew before it was even used */
	carries(r, 6000, NEW);
}

/* The file changed after the refusal, as it does when the old token is revoked first: the breaker's probe, much later,
 * is not to be spent on the old one. */
static void
one_that_was_refused_is_read_anew_before_its_next_use(void **state)
{
	struct rig *r = *state;
	long unchanged;

	assert_false(refused(r, 1000));
	write_token(r, NEW);
	carries(r, 1500, OLD);
	carries(r, 2000, NEW);

	unchanged = reloads("unchanged");
	carries(r, 9000, NEW);                   /* and that is the end of the suspicion */
	assert_int_equal(reloads("unchanged"), unchanged);
}

static void
a_late_refusal_of_the_old_one_means_nothing(void **state)
{
	struct rig *r = *state;
	struct credential *old = upstream_credential(r->upstream, 0);
	long unchanged = reloads("unchanged");

	write_token(r, NEW);
	(void)refused(r, 1000);
	assert_true(upstream_refused(r->upstream, old, 9000));
	carries(r, 9000, NEW);
	assert_int_equal(reloads("unchanged"), unchanged);
	credential_release(old);
}

static void
a_reload_reads_it_whatever_happened(void **state)
{
	struct rig *r = *state;

	write_token(r, NEW);
	upstream_reload(r->upstream);
	carries(r, 0, NEW);
	write_token(r, OLD);
	upstream_reload(r->upstream);
	carries(r, 0, OLD);
}

static void
three_bad_readings(struct rig *r)
{
	write_token(r, BAD);
	upstream_reload(r->upstream);
	(void)refused(r, 1000);
	write_token(r, "");
	upstream_reload(r->upstream);
}

static void
a_missing_file(struct rig *r)
{
	char elsewhere[80];

	(void)snprintf(elsewhere, sizeof(elsewhere), "%s.away", r->file);
	assert_int_equal(rename(r->file, elsewhere), 0);
	upstream_reload(r->upstream);
	assert_int_equal(rename(elsewhere, r->file), 0);
}

static void
a_bad_file_keeps_the_last_good_one_and_is_told_of_once(void **state)
{
	struct rig *r = *state;
	long failed = reloads("failed"), changed = reloads("changed");
	char *text = logged(three_bad_readings, r);

	carries(r, 2000, OLD);
	assert_int_equal(reloads("failed"), failed + 4);        /* the last use read it, too: it was refused */
	assert_int_equal(reloads("changed"), changed);
	assert_int_equal(count(text, "\n"), 1);
	assert_non_null(strstr(text, "\"level\":\"warn\""));
	assert_non_null(strstr(text, "\"cluster\":\"prod\""));
	assert_non_null(strstr(text, r->file));
	assert_null(strstr(text, "words-of"));
	assert_null(strstr(text, OLD));
	free(text);

	write_token(r, OLD);
	upstream_reload(r->upstream);
	text = logged(a_missing_file, r);               /* it was good in between: that is news */
	assert_int_equal(count(text, "\"level\":\"warn\""), 1);
	free(text);
	carries(r, 9000, OLD);
}

static void
a_good_reading(struct rig *r)
{
	write_token(r, NEW);
	upstream_reload(r->upstream);
}

static void
another_one_is_told_of_without_its_content(void **state)
{
	struct rig *r = *state;
	char *text;

	log_setup(LOG_JSON, LOG_INFO_);
	text = logged(a_good_reading, r);

	assert_int_equal(count(text, "\n"), 1);
	assert_non_null(strstr(text, "\"level\":\"info\""));
	assert_null(strstr(text, NEW));
	free(text);
	free(logged(a_good_reading, r));
	text = logged(a_good_reading, r);
	assert_string_equal(text, "");                  /* nothing new */
	free(text);
	log_setup(LOG_JSON, LOG_WARN_);
}

/* Can this process still read these bytes? */
static bool
readable(const void *address, size_t bytes)
{
	char room[64];
	int fd = open("/proc/self/mem", O_RDONLY);
	ssize_t n = pread(fd, room, bytes, (off_t)(uintptr_t)address);

	(void)close(fd);
	return n == (ssize_t)bytes;
}

static void
a_call_in_flight_keeps_the_old_one_alive_and_no_longer(void **state)
{
	struct rig *r = *state;
	struct credential *first = upstream_credential(r->upstream, 0), *second = upstream_credential(r->upstream, 0);
	struct span old = credential_token(first);

	write_token(r, NEW);
	upstream_reload(r->upstream);
	credential_release(second);
	assert_true(span_is(credential_token(first), OLD));
	assert_true(readable(old.data, old.bytes));
	credential_release(first);
	assert_false(readable(old.data, old.bytes));
}

#define THREADS 4

static void *
call_and_be_refused(void *userp)
{
	struct rig *r = userp;

	for (uint64_t now = 0; !atomic_load(&r->enough); now++) {
		struct credential *c = upstream_credential(r->upstream, now);
		struct span token = credential_token(c);

		if (!span_is(token, OLD) && !span_is(token, NEW))
			atomic_store(&r->wrong, true);
		upstream_refused(r->upstream, c, now);
		upstream_count(r->upstream, JOB_LIST, VERDICT_CREDENTIAL, 1);
		atomic_fetch_add(&r->calls, 1);
		credential_release(c);
	}
	return NULL;
}

/* ThreadSanitizer watches. */
static void
threads_may_use_and_replace_it(void **state)
{
	struct rig *r = *state;
	pthread_t threads[THREADS];

	r->enough = r->wrong = false;
	r->calls = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_and_be_refused, r), 0);
	for (int i = 0; i < 200 || atomic_load(&r->calls) < 1000; i++) {
		write_token(r, i % 2 == 0 ? NEW : OLD);
		upstream_reload(r->upstream);
	}
	atomic_store(&r->enough, true);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_false(r->wrong);
	write_token(r, "the-last");
	upstream_reload(r->upstream);
	carries(r, 0, "the-last");
	assert_int_equal(metric("tokend_api_requests_total{cluster=\"prod\",verb=\"list\",class=\"credential\"} "),
	    r->calls);
}

static void
only_what_can_happen_is_counted(void **state)
{
	(void)state;
	assert_int_equal(metric("tokend_api_requests_total{cluster=\"prod\",verb=\"list\",class=\"listed\"} "), 0);
	assert_int_equal(metric("tokend_api_requests_total{cluster=\"prod\",verb=\"delete\",class=\"deleted\"} "), 0);
	assert_int_equal(metric("tokend_api_requests_total{cluster=\"prod\",verb=\"list\",class=\"created\"} "), -1);
	assert_int_equal(metric("tokend_api_requests_total{cluster=\"prod\",verb=\"create\",class=\"listed\"} "), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_header_is_whole),
		TEST(a_refusal_finds_the_new_one_at_once),
		TEST(refusals_read_the_file_once_a_second),
		TEST(one_that_was_refused_is_read_anew_before_its_next_use),
		TEST(a_late_refusal_of_the_old_one_means_nothing),
		TEST(a_reload_reads_it_whatever_happened),
		TEST(a_bad_file_keeps_the_last_good_one_and_is_told_of_once),
		TEST(another_one_is_told_of_without_its_content),
		TEST(a_call_in_flight_keeps_the_old_one_alive_and_no_longer),
		TEST(threads_may_use_and_replace_it),
		TEST(only_what_can_happen_is_counted),
	};

	log_setup(LOG_JSON, LOG_WARN_);
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
