/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: clock, keys, policy and quotas each stop a request at the moment they should, and not before. */
#include "tests/unit/fixture_request.h"

#include "service/authorize.h"

#define SIGN64 "0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc="
#define OTHER64 "oJql9HpnWYAv+VX43C0qFKXJnSO+l/hkEn/5ODRVpPA="
#define POLICY \
	"version: 1\n" \
	"principals:\n" \
	"  - name: telemetry\n" \
	"    signing_keys: [{id: t-2026a, ed25519: \"" SIGN64 "\"}]\n" \
	"    recipient_keys:\n" \
	"      - {id: t-box1, suite: sealedbox-x25519, key: \"" BOX_KEY "\"}\n" \
	"      - {id: t-old, suite: sealedbox-x25519, key: \"" BOX_KEY "\", not_after: 2026-11-24T07:59:59Z}\n" \
	"      - {id: t-new, suite: sealedbox-x25519, key: \"" BOX_KEY "\", not_before: 2026-11-24T08:00:01Z}\n" \
	"    allow_inline_key: true\n" \
	"    grants: [{clusters: [prod], databases: [\"telemetry_*\"], actions: [read], max_ttl: 1d}]\n" \
	"    limits: {per_minute: 2, per_day: 3}\n" \
	"  - name: plain\n" \
	"    signing_keys: [{id: p-1, ed25519: \"" OTHER64 "\"}]\n" \
	"    grants: [{clusters: [prod], databases: [\"*\"], actions: [read]}]\n"

struct asking {
	struct policy *policy;
	struct authorize *authorize;
	struct permission wanted;
	struct request r;
	struct status refusal;
};

static int
begin(void **state)
{
	static struct asking t;
	struct err e;

	memset(&t, 0, sizeof(t));
	t.policy = fixture_policy(POLICY, &fixture_config, &e);
	if (t.policy == NULL)
		fail_msg("%s", e.text);
	t.authorize = authorize_new(&fixture_config);
	t.wanted = (struct permission){ PERMISSION_READ, "telemetry_a" };
	t.r = (struct request){
		.principal = "telemetry", .issued_at = NOW, .cluster = 0, .permissions = &t.wanted, .n_permissions = 1,
		.has_expires_at = true, .expires_at = NOW + 3600, .recipient_key_id = "t-box1",
	};
	*state = &t;
	return 0;
}

static int
end(void **state)
{
	struct asking *t = *state;

	authorize_free(t->authorize);
	authorize_free(NULL);
	policy_release(t->policy);
	return 0;
}

static int
ask(struct asking *t, int32_t partition, int64_t now, int count)
{
	return authorize_request(t->authorize, t->policy, partition, &t->r, now, count, &t->refusal);
}

static void
expect_refused(struct asking *t, enum status_cause cause, const char *words)
{
	assert_int_equal(ask(t, 0, NOW, 1), -1);
	assert_int_equal(t->refusal.cause, cause);
	if (strstr(t->refusal.message, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", t->refusal.message, words);
}

static void
the_signing_keys_validity(void **state)
{
	struct policy_key key = { .id = "k", .principal = "telemetry", .not_before = NOW - 10, .not_after = NOW + 10 };
	struct asking *t = *state;

	assert_int_equal(authorize_record(&key, &t->r, NOW, &t->refusal), 0);
	assert_int_equal(authorize_record(&key, &t->r, NOW - 10, &t->refusal), 0);
	assert_int_equal(authorize_record(&key, &t->r, NOW + 10, &t->refusal), 0);
	assert_int_equal(authorize_record(&key, &t->r, NOW + 11, &t->refusal), -1);
	assert_int_equal(t->refusal.cause, STATUS_KEY_EXPIRED);
	assert_non_null(strstr(t->refusal.message, "expired at 2026-11-24T08:00:10Z"));
	assert_int_equal(authorize_record(&key, &t->r, NOW - 11, &t->refusal), -1);
	assert_int_equal(t->refusal.cause, STATUS_KEY_EXPIRED);
	key.not_before = INT64_MIN;
	key.not_after = INT64_MAX;
	assert_int_equal(authorize_record(&key, &t->r, NOW, &t->refusal), 0);
}

static void
issued_in_the_future(void **state)
{
	struct policy_key key = { .id = "k", .not_before = INT64_MIN, .not_after = INT64_MAX };
	struct asking *t = *state;

	t->r.issued_at = NOW + 120;
	assert_int_equal(authorize_record(&key, &t->r, NOW, &t->refusal), 0);
	t->r.issued_at = NOW + 121;
	assert_int_equal(authorize_record(&key, &t->r, NOW, &t->refusal), -1);
	assert_int_equal(t->refusal.cause, STATUS_CLOCK_SKEW);
	assert_string_equal(fixture_detail(&t->refusal, "service_time"), "2026-11-24T08:00:00Z");
	t->r.issued_at = NOW - 1000000;                          /* the past is the deadline's matter */
	assert_int_equal(authorize_record(&key, &t->r, NOW, &t->refusal), 0);
}

static void
a_registered_recipient(void **state)
{
	struct asking *t = *state;
	unsigned char key[32];

	assert_int_equal(text_parse_base64(span_str(BOX_KEY), key, 32), 32);
	assert_int_equal(ask(t, 0, NOW, 1), 0);
	assert_int_equal(t->r.suite, SUITE_SEALEDBOX);
	assert_memory_equal(t->r.recipient, key, 32);
	assert_string_equal(t->r.recipient_id, "t-box1");
	t->r.recipient_key_id = "t-box9";
	expect_refused(t, STATUS_INVALID_FIELD, "\"t-box9\" is not registered");
	assert_string_equal(fixture_detail(&t->refusal, "field"), "recipient.key_id");
	t->r.recipient_key_id = "t-old";
	expect_refused(t, STATUS_INVALID_FIELD, "has expired");
	t->r.recipient_key_id = "t-new";
	expect_refused(t, STATUS_INVALID_FIELD, "not valid yet");
}

static void
an_inline_recipient(void **state)
{
	struct asking *t = *state;
	unsigned char key[32], low[32] = { 1 };

	assert_int_equal(text_parse_base64(span_str(BOX_KEY), key, 32), 32);
	t->r.recipient_key_id = NULL;
	t->r.inline_key = true;
	t->r.inline_suite = SUITE_SEALEDBOX;
	t->r.inline_public_key = span_of(low, 32);
	expect_refused(t, STATUS_INVALID_FIELD, "low order");
	t->r.inline_public_key = span_of(key, 32);
	assert_int_equal(ask(t, 0, NOW, 1), 0);
	assert_memory_equal(t->r.recipient, key, 32);
	assert_int_equal(t->r.suite, SUITE_SEALEDBOX);
	/* sha256sum of those 32 bytes begins so. */
	assert_string_equal(t->r.recipient_id, "sha256:f35e5616160a30bf");
	t->r.principal = "plain";
	expect_refused(t, STATUS_POLICY_DENIED, "principal plain may not bring keys along");
}

static void
what_the_policy_says(void **state)
{
	struct asking *t = *state;

	t->wanted.action = PERMISSION_WRITE;
	expect_refused(t, STATUS_POLICY_DENIED, "read only");
	t->wanted.action = PERMISSION_READ;
	t->r.expires_at = NOW + 86401;
	expect_refused(t, STATUS_POLICY_DENIED, "within 86400 seconds");
	assert_int_equal(ask(t, 0, NOW + 1, 0), 0);              /* a second later it is near enough */
	t->r.expires_at = NOW;
	expect_refused(t, STATUS_INVALID_FIELD, "expires_at: \"2026-11-24T08:00:00Z\" lies in the past");
}

static void
a_retiring_cluster(void **state)
{
	struct asking *t = *state;

	fixture_clusters[0].retiring = true;
	expect_refused(t, STATUS_TARGET_RETIRED, "cluster prod");
	fixture_clusters[0].retiring = false;
	assert_int_equal(ask(t, 0, NOW, 1), 0);
}

/* NOW begins a minute. */
static void
quotas(void **state)
{
	struct asking *t = *state;

	assert_int_equal(ask(t, 0, NOW, 1), 0);
	assert_int_equal(ask(t, 0, NOW, 0), 0);                  /* a later attempt is not counted */
	t->wanted.action = PERMISSION_WRITE;
	assert_int_equal(ask(t, 0, NOW, 1), -1);                 /* nor is what is denied */
	t->wanted.action = PERMISSION_READ;
	assert_int_equal(ask(t, 0, NOW + 59, 1), 0);
	assert_int_equal(ask(t, 0, NOW + 59, 1), -1);
	assert_int_equal(t->refusal.cause, STATUS_QUOTA);
	assert_non_null(strstr(t->refusal.message, "2 requests a minute on partition 0"));
	assert_string_equal(fixture_detail(&t->refusal, "limit"), "2");
	assert_int_equal(ask(t, 1, NOW + 59, 1), 0);             /* each partition counts its own */
	assert_int_equal(ask(t, 0, NOW + 60, 1), 0);
	assert_int_equal(ask(t, 0, NOW + 120, 1), -1);
	assert_non_null(strstr(t->refusal.message, "3 requests a day"));
	assert_int_equal(ask(t, 0, NOW + 120, 0), 0);
	t->r.expires_at = NOW + 86400;
	assert_int_equal(ask(t, 0, NOW + 16 * 3600, 1), 0);      /* the next day, by UTC */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_signing_keys_validity, begin, end),
		cmocka_unit_test_setup_teardown(issued_in_the_future, begin, end),
		cmocka_unit_test_setup_teardown(a_registered_recipient, begin, end),
		cmocka_unit_test_setup_teardown(an_inline_recipient, begin, end),
		cmocka_unit_test_setup_teardown(what_the_policy_says, begin, end),
		cmocka_unit_test_setup_teardown(a_retiring_cluster, begin, end),
		cmocka_unit_test_setup_teardown(quotas, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
