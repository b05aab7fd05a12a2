/* Goal: a box opens for its recipient alone, with its whole context; a published reply merges and verifies. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_request.h"

#include <sodium.h>

#include "service/seal.h"

#define TOKEN "apiv1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct sealing {
	struct arena a;
	unsigned char box_public[32], box_secret[32], fingerprint[32];
	struct permission permissions[3];
	struct request r;
	struct seal_token s;
	struct span box;
	struct err e;
};

static void
begin(struct sealing *t)
{
	unsigned char seed[32];

	memset(t, 0, sizeof(*t));
	memset(seed, 0x33, sizeof(seed));
	memset(t->fingerprint, 0x5a, sizeof(t->fingerprint));
	assert_int_equal(crypto_box_seed_keypair(t->box_public, t->box_secret, seed), 0);
	t->permissions[0] = (struct permission){ PERMISSION_WRITE, "telemetry_b" };
	t->permissions[1] = (struct permission){ PERMISSION_READ, "telemetry_a" };
	t->permissions[2] = (struct permission){ PERMISSION_READ, NULL };
	t->r = (struct request){
		.request_id = ID, .principal = "telemetry", .service_id = "tokens", .permissions = t->permissions,
		.n_permissions = 3, .suite = SUITE_SEALEDBOX, .recipient_id = "t-box1",
	};
	memcpy(t->r.recipient, t->box_public, 32);
	t->s = (struct seal_token){
		.request = &t->r, .fingerprint = t->fingerprint, .cluster_name = "prod", .account_id = ACCOUNT,
		.cluster_id = CLUSTER, .description_sent = "orders writer [tokend/1:...]", .token_id = "tok-1",
		.access_token = span_str(TOKEN), .created_at = NOW, .created_at_nanos = 5, .has_expires_at = 1,
		.expires_at = NOW + 60,
	};
}

/* The plaintext, in the arena. */
static struct span
open_box(struct sealing *t, struct span box)
{
	unsigned char *plain = arena_alloc(&t->a, box.bytes - crypto_box_SEALBYTES);

	assert_int_equal(crypto_box_seal_open(plain, box.data, box.bytes, t->box_public, t->box_secret), 0);
	return span_of(plain, box.bytes - crypto_box_SEALBYTES);
}

static void
seal(struct sealing *t)
{
	if (seal_box(&t->s, &t->a, &t->box, &t->e) != 0)
		fail_msg("%s", t->e.text);
}

static void
the_recipient_reads_all_of_it(void **state)
{
	struct sealing t;
	struct span plain, again;
	Tokend__V1__TokenSecret *m;

	(void)state;
	begin(&t);
	seal(&t);
	plain = open_box(&t, t.box);
	m = tokend__v1__token_secret__unpack(NULL, plain.bytes, plain.data);
	assert_non_null(m);
	assert_string_equal(m->service_id, "tokens");
	assert_string_equal(m->request_id, ID);
	assert_int_equal(m->request_fingerprint.len, 32);
	assert_memory_equal(m->request_fingerprint.data, t.fingerprint, 32);
	assert_string_equal(m->recipient_key_id, "t-box1");
	assert_string_equal(m->cluster, "prod");
	assert_string_equal(m->account_id, ACCOUNT);
	assert_string_equal(m->cluster_id, CLUSTER);
	assert_string_equal(m->description, "orders writer [tokend/1:...]");
	assert_int_equal(m->n_permissions, 3);
	assert_int_equal(m->permissions[0]->action, TOKEND__V1__ACTION__WRITE);
	assert_string_equal(m->permissions[0]->database, "telemetry_b");
	assert_int_equal(m->permissions[2]->resource_case, TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES);
	assert_true(m->permissions[2]->all_databases);
	assert_string_equal(m->token_id, "tok-1");
	assert_string_equal(m->access_token, TOKEN);
	assert_int_equal(m->created_at->seconds, NOW);
	assert_int_equal(m->created_at->nanos, 5);
	assert_int_equal(m->expires_at->seconds, NOW + 60);
	/* Canonical: packing what was read gives the same bytes. */
	again = fixture_pack(&t.a, &m->base);
	assert_true(span_equal(again, plain));
	tokend__v1__token_secret__free_unpacked(m, NULL);
	arena_free(&t.a);
}

static void
clustered_and_without_expiry(void **state)
{
	struct sealing t;
	struct span plain;
	Tokend__V1__TokenSecret *m;

	(void)state;
	begin(&t);
	t.s.account_id = t.s.cluster_id = NULL;
	t.s.has_expires_at = 0;
	seal(&t);
	plain = open_box(&t, t.box);
	m = tokend__v1__token_secret__unpack(NULL, plain.bytes, plain.data);
	assert_string_equal(m->account_id, "");
	assert_null(m->expires_at);
	tokend__v1__token_secret__free_unpacked(m, NULL);
	arena_free(&t.a);
}

/* The thread's buffer is used again, for larger and for smaller secrets; no box holds anything of the one before. */
static void
many_sizes_in_one_buffer(void **state)
{
	struct sealing t;
	size_t sizes[] = { 64, 20000, 1, 300 };

	(void)state;
	begin(&t);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *token = arena_alloc(&t.a, sizes[i]);
		struct span plain;
		Tokend__V1__TokenSecret *m;

		memset(token, 'a' + (int)i, sizes[i]);
		t.s.access_token = span_of(token, sizes[i]);         /* no NUL behind it */
		seal(&t);
		plain = open_box(&t, t.box);
		m = tokend__v1__token_secret__unpack(NULL, plain.bytes, plain.data);
		assert_non_null(m);
		assert_int_equal(strlen(m->access_token), sizes[i]);
		assert_memory_equal(m->access_token, token, sizes[i]);
		tokend__v1__token_secret__free_unpacked(m, NULL);
	}
	arena_free(&t.a);
}

static void
nobody_else_opens_it_and_nothing_of_it_shows(void **state)
{
	unsigned char plain[4096], secret[32], public_key[32], *box;
	struct sealing t;

	(void)state;
	begin(&t);
	seal(&t);
	assert_null(memmem(t.box.data, t.box.bytes, TOKEN, 16));
	box = arena_alloc(&t.a, t.box.bytes);
	for (size_t i = 0; i < t.box.bytes; i++) {
		memcpy(box, t.box.data, t.box.bytes);
		box[i] ^= 0x01;
		assert_int_equal(crypto_box_seal_open(plain, box, t.box.bytes, t.box_public, t.box_secret), -1);
	}
	crypto_box_keypair(public_key, secret);
	assert_int_equal(crypto_box_seal_open(plain, t.box.data, t.box.bytes, public_key, secret), -1);
	arena_free(&t.a);
}

static void
what_cannot_be_sealed(void **state)
{
	struct sealing t;

	(void)state;
	begin(&t);
	for (uint32_t suite = 0; suite < 4; suite++) {
		t.r.suite = suite;
		assert_int_equal(seal_box(&t.s, &t.a, &t.box, &t.e), suite == SUITE_SEALEDBOX ? 0 : -1);
	}
	assert_int_equal(t.e.next, ERR_FATAL);
	t.r.suite = SUITE_SEALEDBOX;
	memset(t.r.recipient, 0, 32);
	assert_int_equal(seal_box(&t.s, &t.a, &t.box, &t.e), -1);
	memcpy(t.r.recipient, t.box_public, 32);
	t.s.access_token = span_of("a\0b", 3);
	assert_int_equal(seal_box(&t.s, &t.a, &t.box, &t.e), -1);
	t.s.access_token = span_of("", 0);
	assert_int_equal(seal_box(&t.s, &t.a, &t.box, &t.e), -1);
	arena_free(&t.a);
}

/* To such a key a token would be sealed for everybody: nothing is sealed at all. */
static void
no_box_to_a_key_of_low_order(void **state)
{
	static const char *const low_order[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct sealing t;

	(void)state;
	begin(&t);
	for (size_t i = 0; i < 2 * sizeof(low_order) / sizeof(low_order[0]); i++) {
		assert_int_equal(sodium_hex2bin(t.r.recipient, 32, low_order[i / 2], 64, NULL, NULL, NULL), 0);
		t.r.recipient[31] |= (unsigned char)(i % 2 << 7);
		assert_int_equal(seal_box(&t.s, &t.a, &t.box, &t.e), -1);
		assert_int_equal(t.e.next, ERR_FATAL);
		assert_null(t.box.data);
		assert_null(strstr(t.e.text, TOKEN));
	}
	arena_free(&t.a);
}

/* An ephemeral key of low order would make the shared secret zero for the opener, too. */
static void
no_box_from_a_key_of_low_order(void **state)
{
	static const unsigned char zero[32];
	unsigned char key[32], nonce[24], plain[16], box[crypto_box_SEALBYTES + 16] = { 0 };
	crypto_generichash_state hash;
	struct sealing t;

	(void)state;
	begin(&t);
	/* What whoever knows that the shared secret is zero would make. */
	crypto_core_hsalsa20(key, (const unsigned char[16]){ 0 }, zero, NULL);
	crypto_generichash_init(&hash, NULL, 0, sizeof(nonce));
	crypto_generichash_update(&hash, zero, sizeof(zero));
	crypto_generichash_update(&hash, t.box_public, sizeof(t.box_public));
	crypto_generichash_final(&hash, nonce, sizeof(nonce));
	crypto_secretbox_easy(box + 32, (const unsigned char *)"forged plaintext", 16, nonce, key);
	assert_int_equal(crypto_secretbox_open_easy(plain, box + 32, sizeof(box) - 32, nonce, key), 0);
	assert_int_equal(crypto_box_seal_open(plain, box, sizeof(box), t.box_public, t.box_secret), -1);
	arena_free(&t.a);
}

static void
no_part_of_a_box_opens(void **state)
{
	unsigned char plain[4096];
	struct sealing t;

	(void)state;
	begin(&t);
	seal(&t);
	for (size_t n = 0; n < t.box.bytes; n++) {
		assert_int_equal(crypto_box_seal_open(plain, t.box.data, n, t.box_public, t.box_secret), -1);
		assert_int_equal(crypto_box_seal_open(plain, t.box.data + n + 1, t.box.bytes - n - 1, t.box_public,
		    t.box_secret), -1);
	}
	arena_free(&t.a);
}

/* One token, sealed twice, is two boxes: whoever reads the topic cannot tell that they hold the same. */
static void
two_boxes_have_nothing_in_common(void **state)
{
	struct sealing t;
	struct span first;

	(void)state;
	begin(&t);
	seal(&t);
	first = t.box;
	seal(&t);
	assert_int_equal(first.bytes, t.box.bytes);
	for (size_t i = 0; i + 16 <= first.bytes; i++)
		assert_null(memmem(t.box.data, t.box.bytes, first.data + i, 16));
	arena_free(&t.a);
}

static struct span
stored_reply(struct arena *a)
{
	Tokend__V1__CreateTokenReply m = TOKEND__V1__CREATE_TOKEN_REPLY__INIT;
	Tokend__V1__Status status = TOKEND__V1__STATUS__INIT;
	static unsigned char box[] = { 1, 2, 3 };

	m.request_id = (char *)ID;
	m.principal = (char *)"telemetry";
	m.status = &status;
	m.suite = TOKEND__V1__SUITE__SEALEDBOX_X25519;
	m.sealed_token = (ProtobufCBinaryData){ sizeof(box), box };
	m.attempts = 2;
	m.service_version = (char *)"1";
	return fixture_pack(a, &m.base);
}

static void
a_stored_reply_published_twice(void **state)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[64];
	struct seal_stamp first = { .method = METHOD_CREATE_TOKEN, .issued_at = NOW };
	struct seal_stamp again = { .method = METHOD_GET_OUTCOME, .replayed = 1, .issued_at = NOW + 9,
	    .revoked_at = NOW + 8 };
	struct arena a = { 0 };
	struct span stored = stored_reply(&a), value;
	Tokend__V1__CreateTokenReply *m;

	(void)state;
	fixture_key(0x44, secret, public_key);
	memset(first.digest, 0xd1, 32);
	memset(again.digest, 0xd2, 32);

	seal_reply(stored, &first, secret, &a, &value, signature);
	assert_true(dsse_verify(DSSE_TYPE_CREATE_REPLY, value, public_key, signature));
	assert_false(dsse_verify(DSSE_TYPE_REVOKE_REPLY, value, public_key, signature));
	m = tokend__v1__create_token_reply__unpack(NULL, value.bytes, value.data);
	assert_non_null(m);
	assert_string_equal(m->request_id, ID);
	assert_int_equal(m->attempts, 2);
	assert_int_equal(m->sealed_token.len, 3);
	assert_non_null(m->status);
	assert_int_equal(m->request_digest.len, 32);
	assert_memory_equal(m->request_digest.data, first.digest, 32);
	assert_false(m->replayed);
	assert_null(m->revoked_at);
	assert_int_equal(m->issued_at->seconds, NOW);
	tokend__v1__create_token_reply__free_unpacked(m, NULL);

	seal_reply(stored, &again, secret, &a, &value, signature);
	assert_true(dsse_verify(DSSE_TYPE_CREATE_REPLY, value, public_key, signature));
	m = tokend__v1__create_token_reply__unpack(NULL, value.bytes, value.data);
	assert_memory_equal(m->request_digest.data, again.digest, 32);
	assert_true(m->replayed);
	assert_int_equal(m->revoked_at->seconds, NOW + 8);
	assert_int_equal(m->issued_at->seconds, NOW + 9);
	tokend__v1__create_token_reply__free_unpacked(m, NULL);

	/* Any other byte, any other reply. */
	for (size_t i = 0; i < value.bytes; i++) {
		unsigned char *flipped = arena_alloc(&a, value.bytes);

		memcpy(flipped, value.data, value.bytes);
		flipped[i] ^= 0x10;
		assert_false(dsse_verify(DSSE_TYPE_CREATE_REPLY, span_of(flipped, value.bytes), public_key, signature));
	}
	arena_free(&a);
}

static void
a_revocations_reply(void **state)
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[64];
	Tokend__V1__RevokeTokenReply stored = TOKEND__V1__REVOKE_TOKEN_REPLY__INIT, *m;
	struct seal_stamp stamp = { .method = METHOD_REVOKE_TOKEN, .replayed = 1, .issued_at = NOW,
	    .revoked_at = NOW - 1 };
	struct arena a = { 0 };
	struct span value;

	(void)state;
	fixture_key(0x44, secret, public_key);
	stored.token_id = (char *)"tok-1";
	seal_reply(fixture_pack(&a, &stored.base), &stamp, secret, &a, &value, signature);
	assert_true(dsse_verify(DSSE_TYPE_REVOKE_REPLY, value, public_key, signature));
	m = tokend__v1__revoke_token_reply__unpack(NULL, value.bytes, value.data);
	assert_string_equal(m->token_id, "tok-1");
	assert_true(m->replayed);
	assert_int_equal(m->revoked_at->seconds, NOW - 1);
	tokend__v1__revoke_token_reply__free_unpacked(m, NULL);

	/* Nothing stored is an empty message. */
	seal_reply(span_of(NULL, 0), &stamp, secret, &a, &value, signature);
	m = tokend__v1__revoke_token_reply__unpack(NULL, value.bytes, value.data);
	assert_non_null(m);
	tokend__v1__revoke_token_reply__free_unpacked(m, NULL);
	arena_free(&a);
}

/* A reply of the service, and the key that verifies it. */
struct published {
	struct arena a;
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES], signature[64];
	struct span value;
};

static void
publish(struct published *p, unsigned char digest_byte)
{
	struct seal_stamp stamp = { .method = METHOD_CREATE_TOKEN, .issued_at = NOW };

	*p = (struct published){ 0 };
	fixture_key(0x44, p->secret, p->public_key);
	memset(stamp.digest, digest_byte, sizeof(stamp.digest));
	seal_reply(stored_reply(&p->a), &stamp, p->secret, &p->a, &p->value, p->signature);
	assert_true(dsse_verify(DSSE_TYPE_CREATE_REPLY, p->value, p->public_key, p->signature));
}

static void
no_flipped_bit_of_a_signature_and_no_part_of_a_reply_verifies(void **state)
{
	struct published p;

	(void)state;
	publish(&p, 1);
	for (size_t bit = 0; bit < 8 * sizeof(p.signature); bit++) {
		p.signature[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_false(dsse_verify(DSSE_TYPE_CREATE_REPLY, p.value, p.public_key, p.signature));
		p.signature[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	for (size_t n = 0; n < p.value.bytes; n++)
		assert_false(dsse_verify(DSSE_TYPE_CREATE_REPLY, span_of(p.value.data, n), p.public_key, p.signature));
	arena_free(&p.a);
}

/* The same outcome told to two records: only the digest differs, and neither signature fits the other. */
static void
signatures_of_two_replies_are_not_exchanged(void **state)
{
	struct published one, other;

	(void)state;
	publish(&one, 1);
	publish(&other, 2);
	assert_false(dsse_verify(DSSE_TYPE_CREATE_REPLY, one.value, one.public_key, other.signature));
	assert_false(dsse_verify(DSSE_TYPE_CREATE_REPLY, other.value, other.public_key, one.signature));
	arena_free(&one.a);
	arena_free(&other.a);
}

/* Even when one key signed both, and over the same bytes. */
static void
a_requests_signature_is_worth_nothing_for_a_reply(void **state)
{
	static const char *const types[] = { DSSE_TYPE_CREATE_REQUEST, DSSE_TYPE_OUTCOME_REQUEST,
		DSSE_TYPE_REVOKE_REQUEST, DSSE_TYPE_REVOKE_REPLY };
	struct published p;

	(void)state;
	publish(&p, 1);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		unsigned char signature[64];

		dsse_sign(types[i], p.value, p.secret, signature);
		assert_true(dsse_verify(types[i], p.value, p.public_key, signature));
		assert_false(dsse_verify(DSSE_TYPE_CREATE_REPLY, p.value, p.public_key, signature));
		assert_false(dsse_verify(types[i], p.value, p.public_key, p.signature));
	}
	arena_free(&p.a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_recipient_reads_all_of_it),
		cmocka_unit_test(clustered_and_without_expiry),
		cmocka_unit_test(many_sizes_in_one_buffer),
		cmocka_unit_test(nobody_else_opens_it_and_nothing_of_it_shows),
		cmocka_unit_test(what_cannot_be_sealed),
		cmocka_unit_test(no_box_to_a_key_of_low_order),
		cmocka_unit_test(no_box_from_a_key_of_low_order),
		cmocka_unit_test(no_part_of_a_box_opens),
		cmocka_unit_test(two_boxes_have_nothing_in_common),
		cmocka_unit_test(a_stored_reply_published_twice),
		cmocka_unit_test(a_revocations_reply),
		cmocka_unit_test(no_flipped_bit_of_a_signature_and_no_part_of_a_reply_verifies),
		cmocka_unit_test(signatures_of_two_replies_are_not_exchanged),
		cmocka_unit_test(a_requests_signature_is_worth_nothing_for_a_reply),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
