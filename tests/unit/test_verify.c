/* Goal: only the very bytes, type and key that were signed verify; the hashes are those of the contract. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_request.h"

#include <sodium.h>

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

/* ---- the whole record ---------------------------------------------------------------------------------- */

#define RECORD_HEADERS 3

struct carried {
	struct header headers[RECORD_HEADERS];
	struct record record;
};

/* A good request as it lies in the topic; every byte of it can be written to. */
static void
carry(struct arena *a, const char *id, struct carried *c)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES];
	const char *method = headers_method_name(METHOD_CREATE_TOKEN);
	char base64[89];
	struct fixture_create f;

	fixture_create_init(&f);
	f.m.request_id = (char *)(uintptr_t)id;
	fixture_key(0x11, secret, public_key);
	*c = (struct carried){ .record = { .key = span_str(id), .headers = c->headers, .n_headers = RECORD_HEADERS } };
	c->record.value = fixture_pack(a, &f.m.base);
	dsse_sign(DSSE_TYPE_CREATE_REQUEST, c->record.value, secret, signature);
	(void)text_base64(span_of(signature, sizeof(signature)), base64);
	c->headers[0] = (struct header){ span_str("tokend-method"), arena_copy(a, span_str(method)) };
	c->headers[1] = (struct header){ span_str("tokend-key-id"), arena_copy(a, span_str("t-2026a")) };
	c->headers[2] = (struct header){ span_str("tokend-signature"), arena_copy(a, span_str(base64)) };
}

/* 0, or -1 and the cause. */
static int
take(const struct record *r, enum status_cause *ret_cause)
{
	struct metadata m;
	struct verification v = of(&m);
	struct status s;

	if (headers_read(&fixture_config, r, &m, &s) == 0 && verify_signature(&v, &s) == 0)
		return 0;
	*ret_cause = s.cause;
	return -1;
}

static void
expect_no_flip_taken(const struct carried *c, struct span part)
{
	unsigned char *bytes = (unsigned char *)(uintptr_t)part.data;
	enum status_cause cause;

	for (size_t bit = 0; bit < 8 * part.bytes; bit++) {
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		if (take(&c->record, &cause) == 0)
			fail_msg("taken with bit %zu flipped", bit);
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_int_equal(take(&c->record, &cause), 0);
}

static void
no_flipped_bit_of_a_record_is_taken(void **state)
{
	struct arena a = { 0 };
	struct carried c;

	(void)state;
	carry(&a, ID, &c);
	expect_no_flip_taken(&c, c.record.value);
	for (size_t i = 0; i < RECORD_HEADERS; i++)
		expect_no_flip_taken(&c, c.headers[i].value);
	arena_free(&a);
}

static void
signatures_of_two_requests_are_not_exchanged(void **state)
{
	struct arena a = { 0 };
	struct carried one, other;
	struct header kept;
	enum status_cause cause;

	(void)state;
	carry(&a, "orders-1", &one);
	carry(&a, "orders-2", &other);
	kept = one.headers[2];
	one.headers[2] = other.headers[2];
	other.headers[2] = kept;
	assert_int_equal(take(&one.record, &cause), -1);
	assert_int_equal(cause, STATUS_BAD_SIGNATURE);
	assert_int_equal(take(&other.record, &cause), -1);
	assert_int_equal(cause, STATUS_BAD_SIGNATURE);
	other.headers[2] = one.headers[2];
	assert_int_equal(take(&other.record, &cause), 0);
	arena_free(&a);
}

/* ---- what is known to fool verifiers of Ed25519 -------------------------------------------------------- */

/* The order of the base point, L. */
static const unsigned char order[32] = {
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10
};

/* All encodings of the eight points of small order, those that no honest encoder writes, too. */
static const char *const small_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

#define SMALL_ORDERS (sizeof(small_order) / sizeof(small_order[0]))

static void
from_hex(const char *hex, unsigned char ret[32])
{
	assert_int_equal(sodium_hex2bin(ret, 32, hex, 64, NULL, NULL, NULL), 0);
}

/* DSSE's encoding, in the arena. */
static struct span
encoding_of(struct arena *a, struct span body)
{
	char *text = arena_text(a, "DSSEv1 %zu %s %zu ", strlen(DSSE_TYPE_CREATE_REQUEST), DSSE_TYPE_CREATE_REQUEST,
	    body.bytes);
	size_t before = strlen(text);
	unsigned char *whole = arena_alloc(a, before + body.bytes);

	memcpy(whole, text, before);
	memcpy(whole + before, body.data, body.bytes);
	return span_of(whole, before + body.bytes);
}

/* SHA-512(R, A, message) mod L, as the signature's equation S B = R + h A has it. */
static void
challenge(const unsigned char r[32], const unsigned char public_key[32], struct span message, unsigned char ret_h[32])
{
	crypto_hash_sha512_state state;
	unsigned char wide[crypto_hash_sha512_BYTES];

	crypto_hash_sha512_init(&state);
	crypto_hash_sha512_update(&state, r, 32);
	crypto_hash_sha512_update(&state, public_key, 32);
	crypto_hash_sha512_update(&state, message.data, message.bytes);
	crypto_hash_sha512_final(&state, wide);
	crypto_core_ed25519_scalar_reduce(ret_h, wide);
}

/* A signature that solves the equation under a key of small order, made without any secret: h A vanishes as soon as 8
 * divides h, and then R = S B. */
static void
forge(const unsigned char key[32], struct span message, unsigned char ret_signature[64])
{
	unsigned char *s = ret_signature + 32, h[32] = { 1 };

	memset(ret_signature, 0, 64);
	for (unsigned i = 1; h[0] % 8 != 0; i++) {
		assert_true(i < 1000);
		s[0] = (unsigned char)i;
		s[1] = (unsigned char)(i >> 8);
		assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(ret_signature, s), 0);
		challenge(ret_signature, key, message, h);
	}
}

/* Whoever pins one has let everybody in: so it gets neither into a policy nor past a verification. */
static void
keys_of_small_order(void **state)
{
	struct span body = span_of(BODY, sizeof(BODY) - 1);
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < SMALL_ORDERS; i++) {
		unsigned char key[32], signature[64];
		char base64[45], text[256];
		struct err e;

		from_hex(small_order[i], key);
		forge(key, encoding_of(&a, body), signature);
		assert_false(dsse_verify(DSSE_TYPE_CREATE_REQUEST, body, key, signature));
		(void)snprintf(text, sizeof(text), "version: 1\nprincipals:\n  - name: telemetry\n    signing_keys:\n"
		    "      - {id: weak, ed25519: \"%s\"}\n", text_base64(span_of(key, 32), base64));
		assert_null(fixture_policy(text, NULL, &e));
		assert_non_null(strstr(e.text, "weak"));
	}
	arena_free(&a);
}

/* The scalar of the key from the seed of 0x11s, mod L. */
static void
secret_scalar(unsigned char ret_scalar[32])
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], wide[64] = { 0 }, expanded[64];

	fixture_key(0x11, secret, public_key);
	crypto_hash_sha512(expanded, secret, DSSE_SEED_BYTES);
	memcpy(wide, expanded, 32);
	wide[0] &= 248;
	wide[31] = (wide[31] & 127) | 64;
	crypto_core_ed25519_scalar_reduce(ret_scalar, wide);
}

/* R is the neutral element, in each of its encodings, and S = h a: the equation holds. */
static void
commitments_of_small_order(void **state)
{
	static const char *const neutral[] = {
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], scalar[32], h[32];
	struct arena a = { 0 };
	struct metadata m;

	(void)state;
	fixture_key(0x11, secret, public_key);
	secret_scalar(scalar);
	signed_metadata(&m);
	for (size_t i = 0; i < sizeof(neutral) / sizeof(neutral[0]); i++) {
		from_hex(neutral[i], m.signature);
		challenge(m.signature, public_key, encoding_of(&a, m.body), h);
		crypto_core_ed25519_scalar_mul(m.signature + 32, h, scalar);
		expect_refused(&m, STATUS_BAD_SIGNATURE);
	}
	arena_free(&a);
}

/* S + L, S + 2 L, ... solve the equation as S does. */
static void
second_encodings_of_a_signature(void **state)
{
	struct metadata m;

	(void)state;
	signed_metadata(&m);
	for (int times = 1; times < 15; times++) {
		unsigned sum = 0;

		for (size_t i = 0; i < 32; i++) {
			sum += (unsigned)m.signature[32 + i] + order[i];
			m.signature[32 + i] = (unsigned char)sum;
			sum >>= 8;
		}
		assert_int_equal(sum, 0);
		expect_refused(&m, STATUS_BAD_SIGNATURE);
	}
}

/* Over the body alone, over its fingerprint, and by the scheme's pre-hashing brother. */
static void
signatures_over_something_else(void **state)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], hash[32];
	crypto_sign_state prehashed;
	struct arena a = { 0 };
	struct metadata m;
	struct span encoding;

	(void)state;
	fixture_key(0x11, secret, public_key);
	signed_metadata(&m);
	crypto_sign_detached(m.signature, NULL, m.body.data, m.body.bytes, secret);
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	dsse_fingerprint(DSSE_TYPE_CREATE_REQUEST, m.body, hash);
	crypto_sign_detached(m.signature, NULL, hash, sizeof(hash), secret);
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	encoding = encoding_of(&a, m.body);
	crypto_sign_init(&prehashed);
	crypto_sign_update(&prehashed, encoding.data, encoding.bytes);
	crypto_sign_final_create(&prehashed, m.signature, NULL, secret);
	expect_refused(&m, STATUS_BAD_SIGNATURE);
	crypto_sign_detached(m.signature, NULL, encoding.data, encoding.bytes, secret);

	struct verification v = of(&m);
	struct status s;

	assert_int_equal(verify_signature(&v, &s), 0);
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
		cmocka_unit_test(no_flipped_bit_of_a_record_is_taken),
		cmocka_unit_test(signatures_of_two_requests_are_not_exchanged),
		cmocka_unit_test(keys_of_small_order),
		cmocka_unit_test(commitments_of_small_order),
		cmocka_unit_test(second_encodings_of_a_signature),
		cmocka_unit_test(signatures_over_something_else),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, load_policy, drop_policy);
}
