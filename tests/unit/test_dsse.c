/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is signed and hashed is the contract's encoding, byte for byte, and a signature is good
 * for nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <sodium.h>

#include "service/base/dsse.h"
#include "service/base/text.h"

static const char type[] = DSSE_TYPE_CREATE_REQUEST;

static void
assert_hex(const unsigned char *bytes, size_t n, const char *expected)
{
	char room[2 * DSSE_SIGNATURE_BYTES + 1];

	assert_string_equal(text_hex(span_of(bytes, n), room), expected);
}

static void
assert_sha256_of(const char *text, const unsigned char *hash)
{
	unsigned char expected[DSSE_HASH_BYTES];

	(void)crypto_hash_sha256(expected, (const unsigned char *)text, strlen(text));
	assert_memory_equal(hash, expected, DSSE_HASH_BYTES);
}

static void
sha256(void **state)
{
	unsigned char hash[DSSE_HASH_BYTES];

	(void)state;
	dsse_sha256(span_str("abc"), hash);
	assert_hex(hash, sizeof(hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	dsse_sha256(span_of(NULL, 0), hash);
	assert_hex(hash, sizeof(hash), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* The encodings are written out here by hand, as another language's author would read them in the contract. */
static void
fingerprint_and_digest_are_the_contracts(void **state)
{
	unsigned char hash[DSSE_HASH_BYTES];

	(void)state;
	dsse_fingerprint("http://example.com/HelloWorld", span_str("hello world"), hash);
	assert_sha256_of("DSSEv1 29 http://example.com/HelloWorld 11 hello world", hash);
	dsse_fingerprint("t", span_of(NULL, 0), hash);
	assert_sha256_of("DSSEv1 1 t 0 ", hash);
	dsse_digest("t", span_str("body"), span_str("key"), span_str("signature"), hash);
	assert_sha256_of("DSSEv1 1 t 4 body 3 key 9 signature", hash);
	dsse_digest("t", span_str("body"), span_of(NULL, 0), span_of(NULL, 0), hash);
	assert_sha256_of("DSSEv1 1 t 4 body 0  0 ", hash);
}

/* RFC 8032's first test key. */
static void
keys_come_from_seeds(void **state)
{
	static const unsigned char seed[DSSE_SEED_BYTES] = {
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
		0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60
	};
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES];

	(void)state;
	dsse_secret_of_seed(seed, secret);
	dsse_public_of(secret, public_key);
	assert_hex(public_key, sizeof(public_key), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

static void
make_key(unsigned char fill, unsigned char *secret, unsigned char *public_key)
{
	unsigned char seed[DSSE_SEED_BYTES];

	memset(seed, fill, sizeof(seed));
	dsse_secret_of_seed(seed, secret);
	dsse_public_of(secret, public_key);
}

/* Ed25519 over the encoding, made with libsodium alone. */
static void
signature_is_over_the_encoding(void **state)
{
	static const char encoding[] = "DSSEv1 1 t 4 body";
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES];

	(void)state;
	make_key(7, secret, public_key);
	dsse_sign("t", span_str("body"), secret, signature);
	assert_int_equal(crypto_sign_verify_detached(signature, (const unsigned char *)encoding, strlen(encoding),
	    public_key), 0);
}

/* Short bodies are encoded on the stack, long ones on the heap: both sides of that line. */
static void
verifies_at_every_size_and_never_after_a_flip(void **state)
{
	static const size_t sizes[] = { 0, 1, 400, 1950, 1960, 1970, 1980, 1990, 2000, 2048, 2049, 131072 };
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES];
	unsigned char *body = calloc(1, 131072);

	(void)state;
	make_key(7, secret, public_key);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct span whole = span_of(body, sizes[i]);

		dsse_sign(type, whole, secret, signature);
		assert_true(dsse_verify(type, whole, public_key, signature));
		if (sizes[i] == 0)
			continue;
		body[sizes[i] - 1] ^= 1;
		assert_false(dsse_verify(type, whole, public_key, signature));
		body[sizes[i] - 1] ^= 1;
		assert_false(dsse_verify(type, span_of(body, sizes[i] - 1), public_key, signature));
	}
	free(body);
}

static void
every_flipped_bit_of_the_signature_is_refused(void **state)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES];

	(void)state;
	make_key(7, secret, public_key);
	dsse_sign(type, span_str("body"), secret, signature);
	for (size_t bit = 0; bit < 8 * sizeof(signature); bit++) {
		signature[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_false(dsse_verify(type, span_str("body"), public_key, signature));
		signature[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_true(dsse_verify(type, span_str("body"), public_key, signature));
}

/* S + L verifies in a careless implementation: the same request would have two signatures. And with the
 * neutral element for a key, a signature of zeros would fit anything. */
static void
malleable_signatures_and_weak_keys_are_refused(void **state)
{
	static const unsigned char order[32] = {
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		[31] = 0x10
	};
	static const unsigned char neutral[32] = { 1 };
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES];
	unsigned carry = 0;

	(void)state;
	make_key(7, secret, public_key);
	dsse_sign(type, span_str("body"), secret, signature);
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)signature[32 + i] + order[i];
		signature[32 + i] = (unsigned char)carry;
		carry >>= 8;
	}
	assert_false(dsse_verify(type, span_str("body"), public_key, signature));
	memset(signature, 0, sizeof(signature));
	signature[0] = 1;
	assert_false(dsse_verify(type, span_str("body"), neutral, signature));
}

static void
worth_nothing_elsewhere(void **state)
{
	static const char *const types[] = { DSSE_TYPE_OUTCOME_REQUEST, DSSE_TYPE_REVOKE_REQUEST,
		DSSE_TYPE_CREATE_REPLY, DSSE_TYPE_REVOKE_REPLY };
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES];
	unsigned char other[DSSE_PUBLIC_BYTES];

	(void)state;
	make_key(8, secret, other);
	make_key(7, secret, public_key);
	dsse_sign(type, span_str("body"), secret, signature);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_false(dsse_verify(types[i], span_str("body"), public_key, signature));
	assert_false(dsse_verify(type, span_str("body"), other, signature));
}

/* RFC 7748's Bob is an X25519 key; the others are of small order. */
static void
which_public_keys_are_usable(void **state)
{
	static const char *const bad[] = {
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "//////////////////////////////////////////8=",
	};
	unsigned char seed[DSSE_SEED_BYTES] = { 1 }, secret[DSSE_SECRET_BYTES], key[DSSE_PUBLIC_BYTES];

	(void)state;
	dsse_secret_of_seed(seed, secret);
	dsse_public_of(secret, key);
	assert_true(dsse_public_usable(key));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(text_parse_base64(span_str(bad[i]), key, sizeof(key)), sizeof(key));
		if (dsse_public_usable(key))
			fail_msg("%s", bad[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256),
		cmocka_unit_test(fingerprint_and_digest_are_the_contracts),
		cmocka_unit_test(keys_come_from_seeds),
		cmocka_unit_test(signature_is_over_the_encoding),
		cmocka_unit_test(verifies_at_every_size_and_never_after_a_flip),
		cmocka_unit_test(every_flipped_bit_of_the_signature_is_refused),
		cmocka_unit_test(malleable_signatures_and_weak_keys_are_refused),
		cmocka_unit_test(worth_nothing_elsewhere),
		cmocka_unit_test(which_public_keys_are_usable),
	};

	return cmocka_run_group_tests_name("dsse", tests, NULL, NULL);
}
