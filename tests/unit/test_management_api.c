/* Goal: what goes to the API is exactly what was asked for, at exactly one cluster's address, and nothing else
 * can get into a path. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "workers/job.h"
#include "workers/management_api.h"

#define ACCOUNT "11111111-1111-4111-8111-111111111111"
#define CLUSTER "33333333-3333-4333-8333-333333333333"
#define TOKEN "55555555-5555-4555-8555-555555555555"

static struct cluster
dedicated(void)
{
	static char url[] = "https://console.influxdata.com", account[] = ACCOUNT, cluster[] = CLUSTER;

	return (struct cluster){
	    .product = CLUSTER_DEDICATED, .url = url, .account_id = account, .cluster_id = cluster };
}

static void
expect_tokens_url(const struct cluster *c, const char *expected)
{
	char *url = management_api_tokens_url(c, NULL);

	assert_string_equal(url, expected);
	free(url);
}

static void
each_product_has_its_address(void **state)
{
	struct cluster c = dedicated();

	(void)state;
	expect_tokens_url(&c, "https://console.influxdata.com/api/v0/accounts/" ACCOUNT "/clusters/" CLUSTER "/tokens");
	c.product = CLUSTER_CLUSTERED;
	c.account_id = c.cluster_id = NULL;
	expect_tokens_url(&c, "https://console.influxdata.com/api/v0/tokens");
}

static void
only_a_uuid_gets_into_a_path(void **state)
{
	static char *const bad[] = {
		NULL, "", "..", ACCOUNT "/..",
		"11111111-1111-4111-8111-11111111111%", "11111111-1111-4111-8111-11111111111G",
		"11111111-1111-4111-8111-111111111111\n", "11111111111141118111111111111111",
	};
	struct cluster c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		c = dedicated();
		c.account_id = bad[i];
		assert_null(management_api_tokens_url(&c, &e));
		assert_int_equal(e.next, ERR_REFUSE);
		c = dedicated();
		c.cluster_id = bad[i];
		assert_null(management_api_tokens_url(&c, &e));
		assert_null(management_api_token_url("https://h/tokens", bad[i], &e));
		assert_int_equal(e.next, ERR_REFUSE);
	}
}

static void
a_token_has_its_address(void **state)
{
	char *url = management_api_token_url("https://h/api/v0/tokens", TOKEN, NULL);

	(void)state;
	assert_string_equal(url, "https://h/api/v0/tokens/" TOKEN);
	free(url);
}

static void
expect_body(const struct job *job, const char *expected)
{
	char *body = management_api_create_body(job);

	assert_string_equal(body, expected);
	secret_free(body);
}

static void
a_body_says_what_was_asked_for(void **state)
{
	const struct permission permissions[] = { { PERMISSION_READ, "telemetry/raw" }, { PERMISSION_WRITE, NULL } };
	struct job job = {
		.verb = JOB_CREATE, .description = "a \"quoted\" one [tokend/1:x]",
		.permissions = permissions, .n_permissions = 2,
		.has_expires_at = true, .expires_at = 1795507200,
	};

	(void)state;
	expect_body(&job, "{\"description\":\"a \\\"quoted\\\" one [tokend/1:x]\",\"permissions\":["
	    "{\"action\":\"read\",\"resource\":\"telemetry/raw\"},{\"action\":\"write\",\"resource\":\"*\"}],"
	    "\"expiresAt\":\"2026-11-24T08:00:00Z\",\"expirationType\":\"datetime\"}");
}

/* Without an expiry, neither of the two members: expirationType alone is not in the API's schema. */
static void
no_expiry_is_not_mentioned(void **state)
{
	const struct permission permissions[] = { { PERMISSION_READ, "db" } };
	struct job job = {
		.verb = JOB_CREATE, .description = "d",
		.permissions = permissions, .n_permissions = 1, .expires_at = 1795507200,
	};

	(void)state;
	expect_body(&job, "{\"description\":\"d\",\"permissions\":[{\"action\":\"read\",\"resource\":\"db\"}]}");
}

static int
setup(void **state)
{
	(void)state;
	management_api_setup();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_product_has_its_address),
		cmocka_unit_test(only_a_uuid_gets_into_a_path),
		cmocka_unit_test(a_token_has_its_address),
		cmocka_unit_test(a_body_says_what_was_asked_for),
		cmocka_unit_test(no_expiry_is_not_mentioned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
