/* Goal: only the very bytes, type and key that were signed verify; the hashes are those of the contract. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_request.h"

#include "service/headers.h"
#include "service/verify.h"

/* Made by another implementation (Python's cryptography and hashlib): the seed is 32 bytes of 0x11, the
 * key's id t-2026a, the body CreateTokenRequest{request_id: "orders-7f3a"}. */
#define BODY "\x0a\x0b" ID
#define PUBLIC64 "0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc="
#define SIGNATURE64 "Q/FB5fI1bx8clXVWAZY9E+lpFSRoWEGEz6YgzReSRM7lrC6WJgWRLFGJzQzAtzZjlOAmamHrdRF8F4ytgA+3DA=="
#define FINGERPRINT "54c1796097f04d14eba347a4fb07bea9cd32ffb9673b8bfdb9e9095da35f5ede"
#define DIGEST "e37f64bafbac02d5fc1cdb6e97f1fc040428bfca4ff269fd400a587af48f59a3"
#define DIGEST_UNSIGNED "cf6d411717439974265b0525acd491a786451733bf249fdc3e2ccf1cc9485cda"

static struct policy *policy;

static int
load_policy(void **state)
{
	char other[45], text[1024];
	struct err e;

	(void)state;
	(void)snprintf(text, sizeof(text),
	    "version: 1\n"
	    "principals:\n"
	    "  - name: telemetry\n"
	    "    signing_keys:\n"
	    "      - {id: t-2026a, ed25519: \"" PUBLIC64 "\", not_after: 2020-01-01T00:00:00Z}\n"
	    "      - {id: t-2026b, ed25519: \"%s\"}\n", fixture_public(0x22, other));
	policy = fixture_policy(text, NULL, &e);
	if (policy == NULL)
		fail_msg("%s", e.text);
	return 0;
}

static int
drop_policy(void **state)
{
	(void)state;
	policy_release(policy);
	return 0;
}

static void
signed_metadata(struct metadata *m)
{
	*m = (struct metadata){ .method = METHOD_CREATE_TOKEN, .key_id = span_str("t-2026a"), .has_signature = true };
	m->body = span_of(BODY, sizeof(BODY) - 1);
	m->signature_header = span_str(SIGNATURE64);
	assert_int_equal(text_parse_base64(m->signature_header, m->signature, 64), 64);
}

static struct verification
of(const struct metadata *m)
{
	return (struct verification){ .metadata = m, .policy = policy };
}

static void
expect_hex(const unsigned char hash[32], const char *expected)
{
	char digits[65];

	assert_string_equal(text_hex(span_of(hash, 32), digits), expected);
}

static void
expect_refused(const struct metadata *m, enum status_cause cause)
{
	struct verification v = of(m);
	struct status s;

	assert_int_equal(verify_signature(&v, &s), -1);
	assert_int_equal(s.cause, cause);
	assert_null(v.key);
}

/* The key's validity is over: it verifies all the same. */
static void
another_implementations_signature(void **state)
{
	struct metadata m;
	struct verification v;
	struct status s;

	(void)state;
	signed_metadata(&m);
	v = of(&m);
	assert_int_equal(verify_signature(&v, &s), 0);
	assert_string_equal(v.key->id, "t-2026a");
	assert_string_equal(v.key->principal, "telemetry");
	expect_hex(v.fingerprint, FINGERPRINT);
	expect_hex(v.digest, DIGEST);
}

static void
hashes_of_what_is_refused(void **state)
{
	struct metadata m = { .method = METHOD_CREATE_TOKEN, .body = span_of(BODY, sizeof(BODY) - 1) };
	struct verification v = of(&m);
	struct status s;

	(void)state;
	assert_int_equal(verify_signature(&v, &s), -1);
	assert_int_equal(s.cause, STATUS_UNKNOWN_KEY);      /* neither key id nor signature */
	expect_hex(v.fingerprint, FINGERPRINT);
	expect_hex(v.digest, DIGEST_UNSIGNED);
}

static void
keys(void **state)
{
	struct metadata m;

	(void)state;
	signed_metadata(&m);
	m.key_id = span_of(NULL, 0);
	expect_refused(&m, STATUS_UNKNOWN_KEY);
	m.key_id = span_str("t-2026");
	expect_refused(&m, STATUS_UNKNOWN_KEY);
	m.key_id = span_str("t-2026a-and-much-more-than-an-id-can-have-0123456789-0123456789-0123456789");
	expect_refused(&m, STATUS_UNKNOWN_KEY);
	m.key_id = span_str("t-2026b");
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	m.has_signature = false;
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	m.key_id = span_str("nobody");
	expect_refused(&m, STATUS_UNKNOWN_KEY);
}

/* A signature for one method is worth nothing for another, and a reply's nothing for a request. */
static void
swapped_types(void **state)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES];
	struct metadata m;
	struct verification v;
	struct status s;

	(void)state;
	signed_metadata(&m);
	m.method = METHOD_GET_OUTCOME;
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	m.method = METHOD_REVOKE_TOKEN;
	expect_refused(&m, STATUS_BAD_SIGNATURE);

	fixture_key(0x11, secret, public_key);
	m.method = METHOD_CREATE_TOKEN;
	dsse_sign(headers_reply_type(METHOD_CREATE_TOKEN), m.body, secret, m.signature);
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	for (enum method method = 0; method < METHOD_COUNT; method++) {
		m.method = method;
		dsse_sign(headers_request_type(method), m.body, secret, m.signature);
		v = of(&m);
		assert_int_equal(verify_signature(&v, &s), 0);
	}
}

static void
every_flipped_byte(void **state)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], copy[512];
	struct fixture_create f;
	struct arena a = { 0 };
	struct metadata m = { .method = METHOD_CREATE_TOKEN, .key_id = span_str("t-2026a"), .has_signature = true };
	struct span body;
	struct verification v;
	struct status s;

	(void)state;
	fixture_create_init(&f);
	body = fixture_pack(&a, &f.m.base);
	assert_true(body.bytes < sizeof(copy));
	fixture_key(0x11, secret, public_key);
	dsse_sign(DSSE_TYPE_CREATE_REQUEST, body, secret, m.signature);
	memcpy(copy, body.data, body.bytes);
	m.body = span_of(copy, body.bytes);
	v = of(&m);
	assert_int_equal(verify_signature(&v, &s), 0);

	for (size_t i = 0; i < body.bytes; i++) {
		copy[i] ^= 0x01;
		expect_refused(&m, STATUS_BAD_SIGNATURE);
		copy[i] ^= 0x01;
	}
	for (size_t i = 0; i < sizeof(m.signature); i++) {
		m.signature[i] ^= 0x80;
		expect_refused(&m, STATUS_BAD_SIGNATURE);
		m.signature[i] ^= 0x80;
	}
	m.body.bytes--;
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	m.body.bytes += 2;
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_implementations_signature),
		cmocka_unit_test(hashes_of_what_is_refused),
		cmocka_unit_test(keys),
		cmocka_unit_test(swapped_types),
		cmocka_unit_test(every_flipped_byte),
	};

	return cmocka_run_group_tests(tests, load_policy, drop_policy);
}
