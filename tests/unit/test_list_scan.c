/* Goal: a list is believed whole or not at all, however it is cut into pieces, and costs no memory but for what was
 * looked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "service/base/config.h"
#include "workers/job.h"
#include "workers/list_scan.h"
#include "workers/management_api.h"

#define ACCOUNT "11111111-1111-4111-8111-111111111111"
#define CLUSTER "33333333-3333-4333-8333-333333333333"
#define OTHER "44444444-4444-4444-8444-444444444444"
#define ID "55555555-5555-4555-8555-55555555555"
#define HOME "\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" CLUSTER "\""
#define OURS "[tokend/1:svc:"
#define MARKER OURS "telemetry:3:66666666-6666-4666-8666-666666666666]"

/* A token with the last digit of its id and its description; more members may follow. */
#define TOKEN(digit, description, more) \
	"{" HOME ",\"id\":\"" ID digit "\",\"description\":\"" description "\",\"permissions\":[]," \
	"\"createdAt\":\"2023-12-21T17:32:28.000Z\"" more "}"
#define REVOKED ",\"revokedAt\":\"2024-01-01T00:00:00Z\""
#define NUL_ESCAPE "\\u0000"

static struct cluster
dedicated(void)
{
	static char account[] = ACCOUNT, cluster[] = CLUSTER, name[] = "prod";

	return (struct cluster){
		.name = name, .product = CLUSTER_DEDICATED, .account_id = account, .cluster_id = cluster
	};
}

struct result {
	int rc;
	char why[256];
	struct job_listed *listed; size_t n_listed, n_tokens;
};

/* The text in two pieces, the first of so many bytes. */
static struct result
scan_pieces(const struct cluster *c, const char *looked_for, const char *text, size_t bytes, size_t first)
{
	struct list_scan *s = list_scan_new(c, looked_for);
	struct result r = { 0 };

	assert_non_null(s);
	r.rc = list_scan_feed(s, text, first);
	if (r.rc == 0)
		r.rc = list_scan_feed(s, text + first, bytes - first);
	if (r.rc == 0)
		r.rc = list_scan_end(s);
	if (r.rc == 0)
		assert_int_equal(list_scan_take(s, &r.listed, &r.n_listed), 0);
	r.n_tokens = list_scan_tokens(s);
	(void)snprintf(r.why, sizeof(r.why), "%s", list_scan_why(s));
	list_scan_free(s);
	return r;
}

static struct result
scan(const char *text)
{
	const struct cluster c = dedicated();

	return scan_pieces(&c, OURS, text, strlen(text), 0);
}

/* A list that is not to be believed, and why. */
static void
refused(const char *text, const char *why)
{
	struct result r = scan(text);

	if (r.rc == 0)
		fail_msg("believed: %s", text);
	if (strstr(r.why, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", r.why, why);
}

static void
believed(const char *text, size_t n_tokens)
{
	struct result r = scan(text);

	if (r.rc != 0)
		fail_msg("%s: %s", r.why, text);
	assert_int_equal(r.n_tokens, n_tokens);
	free(r.listed);
}

/* ---- what a list says ---- */

static void
an_empty_list_is_a_list(void **state)
{
	(void)state;
	believed("[]", 0);
	believed(" \r\n\t[ \n ] \n", 0);
}

static void
what_is_looked_for_is_kept(void **state)
{
	struct result r = scan("[" TOKEN("0", "by hand", "") "," TOKEN("1", "a " MARKER, "") ","
	    TOKEN("2", "b " OURS "x", REVOKED) "," TOKEN("3", "[tokend/1:other:telemetry:3:x]", "") "]\n");

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n_tokens, 4);
	assert_int_equal(r.n_listed, 2);
	assert_string_equal(r.listed[0].token_id, ID "1");
	assert_string_equal(r.listed[0].marker, MARKER);
	assert_int_equal(r.listed[0].created_at, 1703179948);
	assert_false(r.listed[0].revoked);
	assert_string_equal(r.listed[1].token_id, ID "2");
	assert_string_equal(r.listed[1].marker, OURS "x");
	assert_true(r.listed[1].revoked);
	free(r.listed);
}

static void
a_list_that_is_only_tried_keeps_nothing(void **state)
{
	static const char text[] = "[" TOKEN("1", "a " MARKER, "") "]";
	const struct cluster c = dedicated();
	struct result r = scan_pieces(&c, NULL, text, strlen(text), 0);

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n_tokens, 1);
	assert_int_equal(r.n_listed, 0);
	assert_null(r.listed);
}

static void
what_is_no_list_is_not_believed(void **state)
{
	(void)state;
	refused("", "empty");
	refused("{\"code\":500,\"message\":\"oh\"}", "the answer begins with \"{\": it is no JSON array");
	refused("[" TOKEN("0", "", "") "] x", "behind 1 tokens of the list stands \"x\" instead of the answer's end");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(what_is_looked_for_is_kept),
		cmocka_unit_test(what_is_no_list_is_not_believed),
		cmocka_unit_test(a_list_that_is_only_tried_keeps_nothing),
	};

	management_api_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
