/* Goal: an answer is believed only when it is what was asked for, whatever else it may be; and no answer leaves
 * a token in a sentence. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "service/base/config.h"
#include "workers/answer.h"
#include "workers/bodies.h"
#include "workers/job.h"
#include "workers/management_api.h"

#define ACCOUNT "11111111-1111-4111-8111-111111111111"
#define CLUSTER "33333333-3333-4333-8333-333333333333"
#define ID "55555555-5555-4555-8555-555555555555"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN "apiv1_" HEX64
#define DESCRIPTION "for telemetry [tokend/1:svc:telemetry:3:66666666-6666-4666-8666-666666666666]"
#define EXPIRES 1795507200              /* 2026-11-24T08:00:00Z */

/* The members of a good answer, in the order of the vendor's examples. */
#define M_IDS "\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" CLUSTER "\","
#define M_ID "\"id\":\"" ID "\","
#define M_DESCRIPTION "\"description\":\"" DESCRIPTION "\","
#define M_PERMISSIONS "\"permissions\":[" \
	"{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"read\",\"resource\":\"*\"}],"
#define M_CREATED "\"createdAt\":\"2023-12-21T17:32:28.250Z\","
#define M_EXPIRES "\"expiresAt\":\"2026-11-24T08:00:00.000Z\","
#define M_TOKEN "\"accessToken\":\"" TOKEN "\""
#define GOOD "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}"

static char account[] = ACCOUNT, cluster_id[] = CLUSTER;
static const struct permission asked[] = { { PERMISSION_READ, NULL }, { PERMISSION_WRITE, "raw" } };

struct reading {
	struct cluster cluster;
	struct job job;
	unsigned char *body;
	const char *wrong;
};

static int
setup(void **state)
{
	static struct reading r;

	r = (struct reading){
		.cluster = { .product = CLUSTER_DEDICATED, .account_id = account, .cluster_id = cluster_id },
		.job = { .description = DESCRIPTION, .permissions = asked, .n_permissions = 2, .has_expires_at = true,
		    .expires_at = EXPIRES },
	};
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	struct reading *r = *state;

	free(r->body);
	r->body = NULL;
	return 0;
}

/* From a buffer of exactly that size: a sanitizer sees a read behind it. */
static const char *
read_bytes(struct reading *r, const char *answer, size_t bytes)
{
	free(r->body);
	r->body = malloc(bytes + 1);
	memcpy(r->body, answer, bytes);
	r->body[bytes] = '\0';
	return r->wrong = answer_read_created(&r->cluster, r->body, bytes, &r->job);
}

static const char *
read_text(struct reading *r, const char *answer)
{
	return read_bytes(r, answer, strlen(answer));
}

static void
expect_wrong(struct reading *r, const char *answer)
{
	const struct job before = r->job;

	if (read_text(r, answer) == NULL)
		fail_msg("believed: %s", answer);
	assert_memory_equal(&r->job, &before, sizeof(before));
	assert_null(strstr(r->wrong, "apiv1_"));
}

static void
what_was_asked_for_is_created(void **state)
{
	struct reading *r = *state;

	assert_null(read_text(r, GOOD));
	assert_string_equal(r->job.created_id, ID);
	assert_true(r->job.marker_intact);
	assert_int_equal(r->job.created_at, 1703179948);
	assert_int_equal(r->job.created_at_nanos, 250000000);
	assert_true(r->job.token_expires);
	assert_int_equal(r->job.token_expires_at, EXPIRES);
	assert_true(span_is(r->job.access_token, TOKEN));
}

static void
nothing_but_the_token_stays_in_the_body(void **state)
{
	struct reading *r = *state;

	assert_null(read_text(r, GOOD));
	assert_ptr_equal(r->job.access_token.data, r->body);
	for (size_t i = strlen(TOKEN); i < strlen(GOOD); i++)
		assert_int_equal(r->body[i], 0);
}

static void
unknown_members_and_blanks_are_fine(void **state)
{
	struct reading *r = *state;

	assert_null(read_text(r, " \r\n{\t\"new\" : [{}, null], \"new\": 2, "
	    M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "} \n"));
	assert_null(read_text(r, "{" M_IDS M_ID M_DESCRIPTION M_CREATED M_EXPIRES M_TOKEN
	    ",\"permissions\":[{\"resource\":\"raw\",\"action\":\"write\"},"
	    "{\"action\":\"write\",\"resource\":\"raw\",\"more\":1},"
	    "{\"action\":\"read\",\"resource\":\"\\u002a\"}]}"));
}

static void
an_escaped_token_is_read(void **state)
{
	struct reading *r = *state;

	assert_null(read_text(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES
	    "\"accessToken\":\"a\\/\\u0062+=~.-_" HEX64 "\"}"));
	assert_true(span_is(r->job.access_token, "a/b+=~.-_" HEX64));
}

static void
a_clustered_answer_has_no_ids(void **state)
{
	struct reading *r = *state;

	r->cluster = (struct cluster){ .product = CLUSTER_CLUSTERED };
	assert_null(read_text(r, "{" M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}"));
}

static void
a_dedicated_answer_must_have_ours(void **state)
{
	struct reading *r = *state;

	expect_wrong(r, "{" M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{\"accountId\":\"" CLUSTER "\",\"clusterId\":\"" CLUSTER "\","
	    M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" ACCOUNT "\","
	    M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
}

static void
other_permissions_are_no_success(void **state)
{
	static const char *const others[] = {
		"[]", "{}", "null", "\"write\"",
		"[{\"action\":\"write\",\"resource\":\"raw\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"read\",\"resource\":\"raw\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"READ\",\"resource\":\"*\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"write\",\"resource\":\"*\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"write\",\"resource\":\"raw\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"read\",\"resource\":\"*\"},"
		"{\"action\":\"read\",\"resource\":\"raw\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"read\"}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},{\"action\":\"read\",\"resource\":7}]",
		"[{\"action\":\"write\",\"resource\":\"raw\"},"
		"{\"action\":\"read\",\"resource\":\"*\",\"resource\":\"x\"}]",
		"[\"write\",\"read\"]",
	};
	struct reading *r = *state;
	char answer[2048];

	expect_wrong(r, "{" M_IDS M_ID M_DESCRIPTION M_CREATED M_EXPIRES M_TOKEN "}");
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		(void)snprintf(answer, sizeof(answer),
		    "{" M_IDS M_ID M_DESCRIPTION M_CREATED M_EXPIRES "\"permissions\":%s," M_TOKEN "}", others[i]);
		expect_wrong(r, answer);
	}
}

static const char *
read_expiring(struct reading *r, const char *expires_at)
{
	char answer[2048];

	(void)snprintf(answer, sizeof(answer),
	    "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED "\"expiresAt\":%s," M_TOKEN "}", expires_at);
	return read_text(r, answer);
}

static void
the_expiry_may_differ_by_a_second(void **state)
{
	struct reading *r = *state;

	assert_null(read_expiring(r, "\"2026-11-24T07:59:59Z\""));
	assert_int_equal(r->job.token_expires_at, EXPIRES - 1);
	assert_null(read_expiring(r, "\"2026-11-24T08:00:00.999Z\""));
	assert_int_equal(r->job.token_expires_at_nanos, 999000000);
	assert_null(read_expiring(r, "\"2026-11-24T09:00:01+01:00\""));
	assert_non_null(read_expiring(r, "\"2026-11-24T08:00:01.001Z\""));
	assert_non_null(read_expiring(r, "\"2026-11-24T08:00:01.0005Z\""));
	assert_non_null(read_expiring(r, "\"2026-11-24T07:59:58.999Z\""));
	assert_non_null(read_expiring(r, "\"2027-11-24T08:00:00Z\""));
	assert_non_null(read_expiring(r, "1795507200"));
	assert_non_null(read_expiring(r, "\"tomorrow\""));
	assert_non_null(read_expiring(r, "null"));
	assert_non_null(read_text(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_TOKEN "}"));
}

static void
no_expiry_means_none(void **state)
{
	struct reading *r = *state;

	r->job.has_expires_at = false;
	assert_null(read_text(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_TOKEN "}"));
	assert_false(r->job.token_expires);
	assert_null(read_expiring(r, "null"));
	expect_wrong(r, GOOD);
}

static void
an_id_must_be_a_uuid(void **state)
{
	struct reading *r = *state;

	expect_wrong(r, "{" M_IDS M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS "\"id\":\"../../x\"," M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS "\"id\":7," M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
}

static const char *
read_with_token(struct reading *r, const char *token_json)
{
	char answer[4096];

	(void)snprintf(answer, sizeof(answer),
	    "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES "\"accessToken\":%s}", token_json);
	return read_text(r, answer);
}

static void
a_token_has_64_to_1024_characters_of_a_set(void **state)
{
	static const char *const bad[] = {
		"null", "7", "\"\"", "\"" HEX64 " \"", "\"" HEX64 "\\n\"", "\"" HEX64 "\\u00e9\"", "\"" HEX64 "*\"",
		"\"" HEX64 "\\u0000\"", "\"" HEX64 "\\u0000x\"", "[\"" HEX64 "\"]",
		"\"" HEX64 "\\u00zz\"", "\"" HEX64 "\\u+0000x\"", "\"" HEX64 "\\u0 \\\"\"",
	};
	struct reading *r = *state;
	char longest[JOB_ACCESS_TOKEN_MOST + 4];

	assert_null(read_with_token(r, "\"" HEX64 "\""));
	memset(longest, 'x', sizeof(longest));
	longest[0] = longest[64] = '"';
	longest[65] = '\0';
	assert_non_null(read_with_token(r, longest));           /* 63 */
	memset(longest, 'x', sizeof(longest));
	longest[0] = longest[JOB_ACCESS_TOKEN_MOST + 1] = '"';
	longest[JOB_ACCESS_TOKEN_MOST + 2] = '\0';
	assert_null(read_with_token(r, longest));
	memcpy(longest + JOB_ACCESS_TOKEN_MOST + 1, "x\"", 3);
	assert_non_null(read_with_token(r, longest));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (read_with_token(r, bad[i]) == NULL)
			fail_msg("believed: %s", bad[i]);
}

/* A member that we read must stand there once; which of two a foreign parser would have taken is anybody's guess. */
static void
a_member_twice_is_refused(void **state)
{
	struct reading *r = *state;

	expect_wrong(r, "{" M_IDS M_ID M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS M_ID M_DESCRIPTION M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_CREATED M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_EXPIRES M_TOKEN "}");
	expect_wrong(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "," M_TOKEN "}");
}

static void
whatever_is_not_one_json_object_is_refused(void **state)
{
	struct reading *r = *state;
	char nul[] = GOOD "x";

	expect_wrong(r, "");
	expect_wrong(r, "null");
	expect_wrong(r, "[" GOOD "]");
	expect_wrong(r, GOOD "x");
	expect_wrong(r, GOOD GOOD);
	expect_wrong(r, "\"" TOKEN "\"");
	expect_wrong(r, "<html>" TOKEN "</html>");
	nul[sizeof(nul) - 2] = '\0';             /* a NUL behind it, which cJSON takes for a blank */
	assert_non_null(read_bytes(r, nul, sizeof(nul) - 1));
	for (size_t bytes = 0; bytes < strlen(GOOD); bytes++)
		assert_non_null(read_bytes(r, GOOD, bytes));
}

static void
a_backslash_before_u0000_is_text(void **state)
{
	struct reading *r = *state;

	r->job.description = "odd \\u0000";
	assert_null(read_text(r, "{\"description\":\"odd \\\\u0000\","
	    M_IDS M_ID M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}"));
	assert_true(r->job.marker_intact);
}

static void
deep_nesting_is_survived(void **state)
{
	struct reading *r = *state;
	size_t bytes = 200000;
	char *deep = malloc(bytes);

	memset(deep, '[', bytes);
	assert_non_null(read_bytes(r, deep, bytes));
	free(deep);
}

/* The token is live, so it is delivered; that the sweep would be blind is somebody else's alarm. */
static void
a_changed_description_is_noticed(void **state)
{
	struct reading *r = *state;

	assert_null(read_text(r, "{\"description\":\"for telemetry\","
	    M_IDS M_ID M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}"));
	assert_false(r->job.marker_intact);
	assert_null(read_text(r, "{" M_IDS M_ID M_PERMISSIONS M_CREATED M_EXPIRES M_TOKEN "}"));
	assert_false(r->job.marker_intact);
}

static void
a_missing_creation_time_loses_no_token(void **state)
{
	struct reading *r = *state;

	assert_null(read_text(r, "{" M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_EXPIRES M_TOKEN "}"));
	assert_int_equal(r->job.created_at, 0);
	assert_null(read_text(r, "{\"createdAt\":\"once\","
	    M_IDS M_ID M_DESCRIPTION M_PERMISSIONS M_EXPIRES M_TOKEN "}"));
	assert_int_equal(r->job.created_at, 0);
}

/* The stock's large size holds what the most wasteful encoder may answer to the largest request. */
static void
the_largest_answer_fits(void **state)
{
	struct bodies *all = bodies_new();
	struct body *b = bodies_take(all, 1000);
	char name[129] = "", one[256];

	(void)state;
	for (int i = 0; i < 64; i++)
		strcat(name, "\\/");
	(void)snprintf(one, sizeof(one),
	    "        {\n            \"action\": \"write\",\n            \"resource\": \"%s\"\n        },\n", name);
	for (int i = 0; i < 1000; i++)
		bodies_append(b, one, strlen(one));
	for (int i = 0; i < 3; i++)
		bodies_append(b, GOOD, strlen(GOOD));
	assert_false(b->overlong);
	bodies_give_back(all, b);

	b = bodies_take(all, 1);
	for (int i = 0; i < 2000; i++)
		bodies_append(b, "0123456789", 10);
	assert_true(b->overlong);
	assert_true(b->bytes == b->room && b->data[b->bytes] == '\0');
	bodies_give_back(all, b);
	bodies_free(all);
}

/* ---- errors ---- */

static void
expect_error_text(const char *body, const char *expected)
{
	char room[TEXT_SHOWN_ROOM];

	(void)answer_error_text((const unsigned char *)body, strlen(body), span_str("s3cret!"), room);
	assert_string_equal(room, expected);
}

static void
an_errors_message_is_read(void **state)
{
	(void)state;
	expect_error_text("{\"code\":400,\"message\":\"bad request\"}", "bad request");
	expect_error_text("{\"code\":404,\"message\":\"no cluster " CLUSTER "\"}", "no cluster " CLUSTER);
	expect_error_text("{\"code\":400,\"message\":\"two\\nlines\"}", "two\\x0alines");
	expect_error_text("{\"code\":400,\"message\":7}", "");
	expect_error_text("{\"code\":400}", "");
	expect_error_text("<html>no</html>", "");
	expect_error_text("[]", "");
	expect_error_text("", "");
}

static void
a_secret_in_a_message_is_left_out(void **state)
{
	(void)state;
	expect_error_text("{\"message\":\"bad token " TOKEN "!\"}", "bad token *!");
	expect_error_text("{\"message\":\"Bearer s3cret! is unknown\"}", "Bearer * is unknown");
	expect_error_text("{\"message\":\"as3cret!s3cret!\"}", "a**");
	expect_error_text("{\"message\":\"0123456789012345678901234567890123456789\"}", "*");
	expect_error_text("{\"message\":\"012345678901234567890123456789012345678\"}",
	    "012345678901234567890123456789012345678");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int
hooks(void **state)
{
	(void)state;
	management_api_setup();
	return sodium_init() < 0 ? -1 : 0;      /* for the guarded memory */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_asked_for_is_created),
		TEST(nothing_but_the_token_stays_in_the_body),
		TEST(unknown_members_and_blanks_are_fine),
		TEST(an_escaped_token_is_read),
		TEST(a_clustered_answer_has_no_ids),
		TEST(a_dedicated_answer_must_have_ours),
		TEST(other_permissions_are_no_success),
		TEST(the_expiry_may_differ_by_a_second),
		TEST(no_expiry_means_none),
		TEST(an_id_must_be_a_uuid),
		TEST(a_token_has_64_to_1024_characters_of_a_set),
		TEST(a_member_twice_is_refused),
		TEST(whatever_is_not_one_json_object_is_refused),
		TEST(a_backslash_before_u0000_is_text),
		TEST(deep_nesting_is_survived),
		TEST(a_changed_description_is_noticed),
		TEST(a_missing_creation_time_loses_no_token),
		cmocka_unit_test(the_largest_answer_fits),
		cmocka_unit_test(an_errors_message_is_read),
		cmocka_unit_test(a_secret_in_a_message_is_left_out),
	};

	return cmocka_run_group_tests(tests, hooks, NULL);
}
