/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a policy with a slip in it is refused by name, place and value; a good one grants what it says and no more. */
#include "tests/unit/fixture_request.h"

#define SIGN64 "0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc="
#define OTHER64 "oJql9HpnWYAv+VX43C0qFKXJnSO+l/hkEn/5ODRVpPA="
#define ONE(name, id, key) \
	"  - name: " name "\n" \
	"    signing_keys: [{id: " id ", ed25519: \"" key "\"}]\n"
#define HEAD "version: 1\nprincipals:\n" ONE("telemetry", "t-2026a", SIGN64)
#define GRANT(rest) HEAD "    grants:\n      - {clusters: [prod], " rest "}\n"
#define GOOD_GRANT GRANT("databases: [\"telemetry_*\"], actions: [read]")

static void
expect_refused(const char *text, const char *words)
{
	struct err e = { .text = "" };
	struct policy *p = fixture_policy(text, &fixture_config, &e);

	if (p != NULL)
		fail_msg("taken, though: %s", words);
	assert_int_equal(e.next, ERR_REFUSE);
	assert_non_null(strstr(e.text, "/tmp/tokend-policy-"));
	if (strstr(e.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

static struct policy *
expect_taken(const char *text)
{
	struct err e;
	struct policy *p = fixture_policy(text, &fixture_config, &e);

	if (p == NULL)
		fail_msg("refused: %s", e.text);
	return p;
}

static void
files_of_another_form(void **state)
{
	(void)state;
	expect_refused("", "is empty");
	expect_refused("# nothing but a comment\n", "empty");
	expect_refused("version: 1\n", "principals");
	expect_refused("version: 1\nprincipals: []\n", "principals is empty");
	expect_refused("version: 2\nprincipals:\n" ONE("a", "k", SIGN64), "version 2");
	expect_refused(GOOD_GRANT "surprise: 1\n", "surprise");
	expect_refused(GRANT("databases: [a], actions: [read], max_tll: 1d"), "max_tll");
	expect_refused(GRANT("databases: [a], databases: [b], actions: [read]"), "already seen: databases");
	expect_refused(GOOD_GRANT "---\nversion: 1\n", "Ignoring documents");
	expect_refused("version: &one 1\nprincipals: *one\n", "alias");
	expect_refused("version: 1\nprincipals: [\n", "did not find");
	expect_refused(GRANT("databases: [a], actions: [read, delete]"), "delete");
	expect_refused(GRANT("databases: [a], actions: [read, 2]"), "Unknown flag: 2");
}

/* libcyaml's own booleans would take each of these for true. */
static void
words_that_are_no_booleans(void **state)
{
	(void)state;
	expect_refused(GRANT("databases: [a], actions: [read], all_databases: flase"), "flase");
	expect_refused(GRANT("databases: [a], actions: [read], all_databases: none"), "none");
	expect_refused(GRANT("databases: [a], actions: [read], all_databases: 2"), "2");
	expect_refused(HEAD "    allow_inline_key: nein\n", "nein");
	policy_release(expect_taken(GRANT("databases: [a], actions: [read], all_databases: false")));
}

static void
names_and_ids(void **state)
{
	(void)state;
	expect_refused("version: 1\nprincipals:\n" ONE("Tele", "k", SIGN64), "principal \"Tele\" (line 3): the name");
	expect_refused("version: 1\nprincipals:\n" ONE("a", "\"k:1\"", SIGN64), "signing key \"k:1\" (line 4): the id");
	expect_refused("version: 1\nprincipals:\n" ONE("\"a\\u0001\\u202eb\"", "k", SIGN64),
	    "principal \"a\\x01\\xe2\\x80\\xaeb\"");
	expect_refused(HEAD ONE("telemetry", "other", OTHER64), "principal telemetry stands twice, in lines 3 and 5");
	expect_refused(HEAD ONE("billing", "t-2026a", OTHER64),
	    "signing key \"t-2026a\" stands twice: of telemetry in line 4, of billing in line 6");
	expect_refused(HEAD "    recipient_keys: [{id: b, suite: sealedbox-x25519, key: \"" BOX_KEY "\"}, "
	    "{id: b, suite: sealedbox-x25519, key: \"" BOX_KEY "\"}]\n",
	    "recipient key \"b\" stands twice, in lines 5 and 5");
	expect_refused("version: 1\nprincipals: [{name: a, signing_keys: []}]\n", "signing_keys is empty");
}

static void
keys(void **state)
{
#define SIGNING(rest) "version: 1\nprincipals: [{name: a, signing_keys: [{id: k, ed25519: " rest "}]}]\n"
#define RECIPIENT(suite, key) HEAD "    recipient_keys: [{id: box, suite: " suite ", key: \"" key "\"}]\n"
	(void)state;
	policy_release(expect_taken(RECIPIENT("sealedbox-x25519", BOX_KEY)));
	expect_refused(RECIPIENT("hpke", BOX_KEY), "hpke");
	expect_refused(RECIPIENT("sealedbox-x25519", "AAAA"), "recipient key \"box\"");
	expect_refused(RECIPIENT("sealedbox-x25519", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "low order");
	expect_refused(RECIPIENT("sealedbox-x25519", "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA="), "low order");
	expect_refused(RECIPIENT("sealedbox-x25519", "AAAA"), "its 4 characters are not the base64 of 32 bytes");
	expect_refused(SIGNING("hello"), "its 5 characters are not the base64 of 32 bytes");
	expect_refused(SIGNING("\"" BOX_KEY "\""), "is no Ed25519 public key");
	expect_refused(SIGNING("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "is no Ed25519 public key");
	expect_refused(SIGNING("\"" SIGN64 "\", not_after: tomorrow"), "not_after \"tomorrow\"");
	expect_refused(SIGNING("\"" SIGN64 "\", not_before: 2027-01-01T00:00:00Z, not_after: 2026-01-01T00:00:00Z"),
	    "not_after 2026-01-01T00:00:00Z lies before not_before 2027-01-01T00:00:00Z");
}

/* Who pastes the secret key instead of the public one must not find it in a log. */
static void
what_stands_for_a_key_is_not_shown(void **state)
{
	static const char *const values[] = { "c2VjcmV0", BOX_KEY };
	char text[512];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct err e;

		(void)snprintf(text, sizeof(text),
		    "version: 1\nprincipals: [{name: a, signing_keys: [{id: k, ed25519: \"%s\"}]}]\n", values[i]);
		assert_null(fixture_policy(text, NULL, &e));
		assert_null(strstr(e.text, values[i]));
	}
}

/* Or each could ask as the other, by naming the other's key id. */
static void
a_key_of_two_principals(void **state)
{
	(void)state;
	expect_refused(HEAD ONE("billing", "b-1", SIGN64), "\"b-1\" of billing (line 6)");
	expect_refused(HEAD ONE("billing", "b-1", SIGN64), "\"t-2026a\" of telemetry (line 4)");
	policy_release(expect_taken(HEAD ONE("billing", "b-1", OTHER64)));
	policy_release(expect_taken("version: 1\nprincipals: [{name: a, signing_keys: "        /* another name for it */
	    "[{id: k, ed25519: \"" SIGN64 "\"}, {id: l, ed25519: \"" SIGN64 "\"}]}]\n"));
}

static void
grants_that_mean_nothing(void **state)
{
	(void)state;
	expect_refused(GRANT("actions: [read]"),
	    "principal \"telemetry\" (line 3): grant 1 (line 6): it names no databases");
	expect_refused(GRANT("actions: [read], all_databases: false"), "names no databases");
	expect_refused(GRANT("databases: [], actions: [read]"), "names no databases");
	expect_refused(HEAD "    grants: [{clusters: [], databases: [a], actions: [read]}]\n", "clusters is empty");
	expect_refused(GRANT("databases: [a], actions: []"), "actions is empty");
	expect_refused(GRANT("databases: [\"a b\"], actions: [read]"), "databases: \"a b\" can match no name");
	expect_refused(GRANT("databases: [\"a?\"], actions: [read]"), "can match no name");
	expect_refused(GRANT("databases: [a], actions: [read], max_ttl: soon"), "max_ttl \"soon\"");
	expect_refused(GRANT("databases: [a], actions: [read], max_ttl: 0s"), "max_ttl \"0s\"");
	expect_refused(GRANT("databases: [a], actions: [read], max_ttl: 1500ms"), "in whole seconds");
	expect_refused(GRANT("databases: [a], actions: [read], max_ttl: 90 d"), "max_ttl \"90 d\"");
	expect_refused(GRANT("databases: [a], actions: [read], max_ttl: -1d"), "max_ttl \"-1d\"");
	expect_refused(GRANT("databases: [a], actions: [read], max_ttl: 4000d"), "max_ttl \"4000d\"");
	expect_refused(HEAD "    grants: [{clusters: [PROD], databases: [a], actions: [read]}]\n",
	    "clusters: \"PROD\"");
	expect_refused(HEAD "    grants: [{clusters: [prod], databases: [a], actions: [read]}, "
	    "{clusters: [prod, stage], databases: [a], actions: [read]}]\n",
	    "grant 2 (line 5): the configuration has no cluster \"stage\"");
	expect_refused(HEAD "    grants: [{clusters: [\"x*\"], databases: [a], actions: [read]}]\n",
	    "no cluster \"x*\"");
	expect_refused(HEAD "    limits: {per_minute: 0}\n", "per_minute is 0");
	expect_refused(HEAD "    limits: {per_day: -1}\n", "-1");
	expect_refused(HEAD "    limits: {per_minute: 11, per_day: 10}\n", "per_minute 11 is above per_day 10");
	policy_release(expect_taken(HEAD "    limits: {per_minute: 10, per_day: 10}\n"));
	policy_release(expect_taken(HEAD "    limits: {per_minute: 10}\n"));
}

static void
a_file_that_is_not_there(void **state)
{
	struct err e;

	(void)state;
	assert_null(policy_load("/nonexistent/policy.yaml", NULL, &e));
	assert_non_null(strstr(e.text, "/nonexistent/policy.yaml"));
	assert_null(policy_load("/tmp", NULL, &e));
}

#define WHOLE \
	"version: 1\n" \
	"principals:\n" \
	"  - name: telemetry\n" \
	"    signing_keys:\n" \
	"      - id: t-2026a\n" \
	"        ed25519: \"" SIGN64 "\"\n" \
	"        not_before: 2026-01-01T00:00:00Z\n" \
	"        not_after: 2027-06-01T00:00:00Z\n" \
	"    recipient_keys: [{id: t-box1, suite: sealedbox-x25519, key: \"" BOX_KEY "\"}]\n" \
	"    allow_inline_key: true\n" \
	"    grants:\n" \
	"      - {clusters: [prod], databases: [\"telemetry_*\"], actions: [read, write], max_ttl: 90d}\n" \
	"      - {clusters: [\"*\"], databases: [\"*\"], actions: [read], max_ttl: 1h}\n" \
	"      - {clusters: [edge], all_databases: true, actions: [read]}\n" \
	"    limits: {per_minute: 10, per_day: 200}\n" \
	ONE("empty", "e-1", OTHER64)

static void
what_a_whole_file_says(void **state)
{
	struct policy *p = expect_taken(WHOLE), *same = policy_hold(p);
	const struct policy_key *k = policy_key(p, span_str("t-2026a"));
	const struct policy_recipient *r = policy_recipient(p, "telemetry", "t-box1");
	unsigned char digest[32];

	(void)state;
	assert_ptr_equal(p, same);
	policy_release(same);
	assert_string_equal(k->principal, "telemetry");
	assert_int_equal(k->not_before, 1767225600);
	assert_int_equal(k->not_after, 1811808000);
	assert_int_equal(k->line, 5);
	assert_int_equal(policy_key(p, span_str("e-1"))->line, 17);
	assert_int_equal(policy_key(p, span_str("e-1"))->not_before, INT64_MIN);
	assert_null(policy_key(p, span_str("t-2026")));
	assert_null(policy_key(p, span_of("e-1\0", 4)));
	assert_null(policy_key(p, span_of(NULL, 0)));
	assert_int_equal(r->suite, SUITE_SEALEDBOX);
	assert_int_equal(r->not_after, INT64_MAX);
	assert_null(policy_recipient(p, "empty", "t-box1"));
	assert_null(policy_recipient(p, "nobody", "t-box1"));
	assert_true(policy_inline_allowed(p, "telemetry"));
	assert_false(policy_inline_allowed(p, "empty"));
	assert_false(policy_inline_allowed(p, "nobody"));
	assert_int_equal(policy_limits(p, "telemetry").per_minute, 10);
	assert_int_equal(policy_limits(p, "telemetry").per_day, 200);
	assert_int_equal(policy_limits(p, "empty").per_day, 0);
	dsse_sha256(span_str(WHOLE), digest);
	assert_memory_equal(policy_digest(p), digest, 32);
	policy_release(p);
	policy_release(NULL);
}

#define DAY 86400

struct asked {
	const char *principal, *cluster;
	enum permission_action action;
	const char *database;
	int64_t seconds;                     /* until it expires; 0: never */
	const char *words;                   /* of the refusal; NULL: granted */
};

static void
what_is_granted(void **state)
{
	static const struct asked table[] = {
		{ "telemetry", "prod", PERMISSION_WRITE, "telemetry_a", 90 * DAY, NULL },
		{ "telemetry", "prod", PERMISSION_WRITE, "telemetry_", 1, NULL },
		{ "telemetry", "prod", PERMISSION_WRITE, "telemetry_a", 90 * DAY + 1,
		  "grant 1 of principal telemetry comes nearest, but allows expires_at within 7776000 seconds" },
		{ "telemetry", "prod", PERMISSION_WRITE, "telemetry_a", 0, "but requires expires_at" },
		{ "telemetry", "prod", PERMISSION_WRITE, "orders", DAY,
		  "(write orders on cluster prod) is not granted; grant 2 of principal telemetry comes nearest, but "
		  "allows read only" },
		{ "telemetry", "prod", PERMISSION_READ, "orders", 3600, NULL },
		{ "telemetry", "prod", PERMISSION_READ, "orders", 3601, "grant 2" },
		{ "telemetry", "prod", PERMISSION_READ, "telemetry_a", 3601, NULL },         /* by the other grant */
		{ "telemetry", "edge", PERMISSION_READ, "orders", 0, NULL },
		{ "telemetry", "edge", PERMISSION_WRITE, "telemetry_a", 60, "on cluster edge" },
		/* Every database: the glob * does not cover it. */
		{ "telemetry", "prod", PERMISSION_READ, NULL, 60, "(read all databases on cluster prod)" },
		{ "telemetry", "edge", PERMISSION_READ, NULL, 0, NULL },
		{ "telemetry", "edge", PERMISSION_WRITE, NULL, 60, "grant 3 of principal telemetry comes nearest" },
		{ "telemetry", "prod", PERMISSION_READ, NULL, 60, "does not say all_databases: true" },
		/* Nor is a database of that name covered by anything: the API would take it for every one. */
		{ "telemetry", "prod", PERMISSION_READ, "*", 60, "is for other databases" },
		{ "telemetry", "edge", PERMISSION_READ, "*", 60, "is for other databases" },
		{ "empty", "prod", PERMISSION_READ, "a", 60, "principal empty has no grants" },
		{ "nobody", "prod", PERMISSION_READ, "a", 60, "no principal nobody" },
	};
	struct policy *p = expect_taken(WHOLE);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct asked *t = &table[i];
		struct permission wanted = { t->action, t->database };
		struct status s = { .message = "" };
		int result = policy_allows(p, t->principal, t->cluster, &wanted, 1, t->seconds != 0, NOW + t->seconds,
		    NOW, &s);

		if (t->words == NULL && result != 0)
			fail_msg("row %zu: %s", i, s.message);
		if (t->words == NULL)
			continue;
		assert_int_equal(result, -1);
		assert_int_equal(s.cause, STATUS_POLICY_DENIED);
		if (strstr(s.message, t->words) == NULL)
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, s.message, t->words);
	}
	policy_release(p);
}

/* For tokenctl policy explain: each grant's own answer, of which one must be policy_allows'. */
static void
what_each_grant_says(void **state)
{
	static const char *const expected[3][3] = {
		{ NULL, "allows read only", "is for other clusters" },              /* write telemetry_a */
		{ "is for other databases", NULL, "is for other clusters" },        /* read orders */
		{ "does not say all_databases: true", "does not say all_databases: true", "is for other clusters" },
	};
	const struct permission wanted[3] = {
		{ PERMISSION_WRITE, "telemetry_a" }, { PERMISSION_READ, "orders" }, { PERMISSION_READ, NULL },
	};
	struct policy *p = expect_taken(WHOLE);
	char room[POLICY_WHY_ROOM];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct status s;
		bool granted = false;

		for (size_t g = 0; g < 3; g++) {
			const char *why = policy_grant_denies(p, "telemetry", g, "prod", &wanted[i], true, NOW + 60,
			    NOW, room);

			granted = granted || why == NULL;
			if (expected[i][g] == NULL)
				assert_null(why);
			else
				assert_string_equal(why, expected[i][g]);
		}
		assert_int_equal(granted,
		    policy_allows(p, "telemetry", "prod", &wanted[i], 1, true, NOW + 60, NOW, &s) == 0);
	}
	assert_string_equal(policy_grant_denies(p, "telemetry", 0, "prod", &wanted[0], false, 0, NOW, room),
	    "requires expires_at, within 7776000 seconds from now");
	policy_release(p);
}

/* One permission that is not covered denies the whole, and is the one that is named. */
static void
all_or_nothing(void **state)
{
	const struct permission wanted[] = {
		{ PERMISSION_READ, "telemetry_a" }, { PERMISSION_WRITE, "telemetry_b" }, { PERMISSION_WRITE, "orders" },
	};
	struct policy *p = expect_taken(WHOLE);
	struct status s;

	(void)state;
	assert_int_equal(policy_allows(p, "telemetry", "prod", wanted, 2, true, NOW + 60, NOW, &s), 0);
	assert_int_equal(policy_allows(p, "telemetry", "prod", wanted, 3, true, NOW + 60, NOW, &s), -1);
	assert_string_equal(fixture_detail(&s, "field"), "permissions[2]");
	policy_release(p);
}

static void
globs(void **state)
{
	static const struct { const char *glob, *name; bool matches; } table[] = {
		{ "a", "a", true }, { "a", "b", false }, { "a", "ab", false }, { "ab", "a", false },
		{ "", "", true }, { "", "a", false },
		{ "*", "", true }, { "*", "a/b", true }, { "**", "x", true },
		{ "a*", "a", true }, { "a*", "abc", true }, { "a*", "ba", false },
		{ "*a", "ba", true }, { "*a", "ab", false },
		{ "a*c", "ac", true }, { "a*c", "abbc", true }, { "a*c", "abcb", false },
		{ "a*b*c", "axbxbxc", true }, { "a*b*c", "axcxb", false },
		{ "*ab*ab", "abab", true }, { "*ab*ab", "ab", false }, { "*aab", "aaaaaab", true },
		{ "a?", "ab", false }, { "a.c", "abc", false }, { "[ab]", "a", false },
		{ "*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (policy_glob(table[i].glob, table[i].name) != table[i].matches)
			fail_msg("%s and %s", table[i].glob, table[i].name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_another_form),
		cmocka_unit_test(words_that_are_no_booleans),
		cmocka_unit_test(names_and_ids),
		cmocka_unit_test(keys),
		cmocka_unit_test(what_stands_for_a_key_is_not_shown),
		cmocka_unit_test(a_key_of_two_principals),
		cmocka_unit_test(grants_that_mean_nothing),
		cmocka_unit_test(a_file_that_is_not_there),
		cmocka_unit_test(what_a_whole_file_says),
		cmocka_unit_test(what_is_granted),
		cmocka_unit_test(what_each_grant_says),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(globs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
