/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a RevokeToken is signed as the contract says, and nothing but the service's own answer to that very record is
 * believed, whatever is flipped, cut, left out or signed as something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/earlier.h"
#include "service/ctl/profile.h"
#include "service/ctl/revocation.h"

#define FRAME "\0\0\0\0\7\2\10"         /* Schema Registry's: schema 7, the file's fifth message */

/* A requester that revokes, and a service that answers; deterministic. */
struct world {
	struct arena arena;
	unsigned char own_secret[DSSE_SECRET_BYTES], service_secret[DSSE_SECRET_BYTES];
	struct profile_service_key pinned;
	struct genuine_keys service;
	struct signed_request request;
	Tokend__V1__Status status;
	Google__Protobuf__Timestamp revoked_at;
	Tokend__V1__RevokeTokenReply reply;
};

static void
make_reply(struct world *w)
{
	w->status = (Tokend__V1__Status)TOKEND__V1__STATUS__INIT;
	w->status.about = TOKEND__V1__ABOUT__OUTCOME;
	w->revoked_at = (Google__Protobuf__Timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	w->revoked_at.seconds = 1900000102;
	w->reply = (Tokend__V1__RevokeTokenReply)TOKEND__V1__REVOKE_TOKEN_REPLY__INIT;
	w->reply.request_id = "order-7";
	w->reply.principal = "telemetry";
	w->reply.request_digest = (ProtobufCBinaryData){ DSSE_HASH_BYTES, w->request.digest };
	w->reply.status = &w->status;
	w->reply.token_id = "44444444-4444-4444-4444-444444444444";
	w->reply.revoked_at = &w->revoked_at;
}

static int
setup(void **state)
{
	const struct profile p = { .service_id = "tokend", .principal = "telemetry", .signing_key.id = "t-2026a" };
	const struct earlier e = { "order-7", &p, 1900000100, 60 };
	struct world *w = calloc(1, sizeof(*w));
	unsigned char seeds[2][DSSE_SEED_BYTES] = { { 1 }, { 2 } };

	dsse_secret_of_seed(seeds[0], w->service_secret);
	dsse_secret_of_seed(seeds[1], w->own_secret);
	dsse_public_of(w->service_secret, w->pinned.public_key);
	w->service = (struct genuine_keys){ &w->pinned, 1 };
	earlier_revocation(&e, "its pod is gone", w->own_secret, &w->arena, &w->request);
	make_reply(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	arena_free(&w->arena);
	free(w);
	return 0;
}

static struct span
pack(struct world *w)
{
	unsigned char *value = arena_alloc(&w->arena, tokend__v1__revoke_token_reply__get_packed_size(&w->reply));

	return span_of(value, tokend__v1__revoke_token_reply__pack(&w->reply, value));
}

/* The verdict over a value under our key, with a signature over signed_value as that type. */
static enum revocation_verdict
judge(struct world *w, struct span value, const char *type, struct span signed_value)
{
	unsigned char raw[DSSE_SIGNATURE_BYTES];
	char text[DSSE_SIGNATURE_BYTES * 2];
	struct header header = { .name = span_str("tokend-signature") };
	const struct record record = { .key = span_str("order-7"), .value = value, .headers = &header, .n_headers = 1 };
	struct revocation r;

	dsse_sign(type, signed_value, w->service_secret, raw);
	header.value = span_str(text_base64(span_of(raw, sizeof(raw)), text));
	revocation_judge(&w->request, &w->service, &record, &r);
	assert_int_equal(r.message != NULL, r.verdict == REVOCATION_DONE || r.verdict == REVOCATION_REFUSED);
	assert_int_equal(r.why != NULL, r.verdict == REVOCATION_IGNORED);
	revocation_free(&r);
	return r.verdict;
}

static enum revocation_verdict
verdict(struct world *w)
{
	struct span value = pack(w);

	return judge(w, value, DSSE_TYPE_REVOKE_REPLY, value);
}

static void
test_it_is_signed_as_the_contract_says(void **state)
{
	struct world *w = *state;
	unsigned char public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES], digest[DSSE_HASH_BYTES];
	const struct span body = w->request.body;
	Tokend__V1__RevokeTokenRequest *m = tokend__v1__revoke_token_request__unpack(NULL, body.bytes, body.data);

	dsse_public_of(w->own_secret, public_key);
	assert_string_equal(w->request.method, "/tokend.v1.TokenService/RevokeToken");
	assert_int_equal(text_parse_base64(span_str(w->request.signature), signature, sizeof(signature)),
	    DSSE_SIGNATURE_BYTES);
	assert_true(dsse_verify(DSSE_TYPE_REVOKE_REQUEST, body, public_key, signature));
	dsse_digest(DSSE_TYPE_REVOKE_REQUEST, body, span_str("t-2026a"), span_str(w->request.signature), digest);
	assert_memory_equal(w->request.digest, digest, sizeof(digest));
	assert_non_null(m);
	assert_string_equal(m->request_id, "order-7");
	assert_string_equal(m->principal, "telemetry");
	assert_string_equal(m->service_id, "tokend");
	assert_string_equal(m->reason, "its pod is gone");
	assert_int_equal(m->issued_at->seconds, 1900000100);
	assert_int_equal(m->deadline->seconds, 1900000160);
	tokend__v1__revoke_token_request__free_unpacked(m, NULL);
}

static void
test_the_service_s_word_is_believed(void **state)
{
	struct world *w = *state;
	unsigned char framed[1024];
	struct span value;

	assert_int_equal(verdict(w), REVOCATION_DONE);
	value = pack(w);
	memcpy(framed, FRAME, 7);
	memcpy(framed + 7, value.data, value.bytes);
	assert_int_equal(judge(w, span_of(framed, value.bytes + 7), DSSE_TYPE_REVOKE_REPLY, value), REVOCATION_DONE);
	framed[6] = 2 * 3;      /* the CreateToken's reply */
	assert_int_equal(judge(w, span_of(framed, value.bytes + 7), DSSE_TYPE_REVOKE_REPLY, value), REVOCATION_IGNORED);
	w->status.code = 5;
	assert_int_equal(verdict(w), REVOCATION_REFUSED);
}

static void
test_every_flipped_byte_and_every_cut_is_noise(void **state)
{
	struct world *w = *state;
	struct span value = pack(w), changed = arena_copy(&w->arena, value);
	unsigned char *bytes = (unsigned char *)(uintptr_t)changed.data;

	for (size_t i = 0; i < value.bytes; i++) {
		bytes[i] ^= 1;
		assert_int_equal(judge(w, changed, DSSE_TYPE_REVOKE_REPLY, value), REVOCATION_IGNORED);
		bytes[i] ^= 1;
	}
	for (size_t cut = 0; cut < value.bytes; cut++)
		assert_int_equal(judge(w, span_of(value.data, cut), DSSE_TYPE_REVOKE_REPLY, value), REVOCATION_IGNORED);
}

static void
test_a_signature_as_anything_else_counts_for_nothing(void **state)
{
	struct world *w = *state;
	struct span value = pack(w);

	assert_int_equal(judge(w, value, DSSE_TYPE_CREATE_REPLY, value), REVOCATION_IGNORED);
	assert_int_equal(judge(w, value, DSSE_TYPE_REVOKE_REQUEST, value), REVOCATION_IGNORED);
	w->pinned.public_key[0] ^= 1;
	assert_int_equal(judge(w, value, DSSE_TYPE_REVOKE_REPLY, value), REVOCATION_IGNORED);
}

static void
test_what_is_not_said_of_our_record_is_noise(void **state)
{
	struct world *w = *state;
	unsigned char other[DSSE_HASH_BYTES] = { 1 };

#define SPOILT(spoil) do { make_reply(w); spoil; assert_int_equal(verdict(w), REVOCATION_IGNORED); } while (0)
	SPOILT(w->reply.request_digest.data = other);
	SPOILT(w->reply.request_digest.len = 0);
	SPOILT(w->reply.request_id = "order-8");
	SPOILT(w->reply.principal = "billing");
	SPOILT(w->reply.principal = "");
	SPOILT(w->reply.principal = ""; w->status.about = TOKEND__V1__ABOUT__RECORD);
	SPOILT(w->reply.status = NULL);
	SPOILT(w->reply.token_id = "");
	SPOILT(w->reply.token_id = "44444444-4444-4444-4444-4444444444440");
	SPOILT(w->reply.revoked_at = NULL);
#undef SPOILT
	make_reply(w);
	w->status.code = 16;
	w->status.about = TOKEND__V1__ABOUT__RECORD;
	w->reply.principal = "";
	w->reply.token_id = "";
	w->reply.revoked_at = NULL;
	assert_int_equal(verdict(w), REVOCATION_REFUSED);
}

static void
test_others_records_are_not_ours_to_count(void **state)
{
	struct world *w = *state;
	const struct record records[] = {
		{ .key = span_str("order-8"), .value = span_str("x") },
		{ .key = { NULL, 0 }, .value = span_str("x") },
		{ .key = span_str("order-7"), .value = { NULL, 0 } },
	};
	struct revocation r;

	for (size_t i = 0; i < 3; i++) {
		revocation_judge(&w->request, &w->service, &records[i], &r);
		assert_int_equal(r.verdict, REVOCATION_OTHERS);
	}
}

static void
test_a_reason_is_what_the_service_takes(void **state)
{
	char most[202];
	struct err e;

	(void)state;
	memset(most, 'x', 201);
	most[201] = '\0';
	assert_int_equal(earlier_check_reason(most, &e), -1);
	most[200] = '\0';
	assert_int_equal(earlier_check_reason(most, &e), 0);
	assert_int_equal(earlier_check_reason("", &e), 0);
	assert_int_equal(earlier_check_reason("für immer", &e), 0);
	assert_int_equal(earlier_check_reason("a\tb", &e), -1);
	assert_int_equal(earlier_check_reason("a\x7f", &e), -1);
	assert_int_equal(earlier_check_reason("a\xff", &e), -1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_it_is_signed_as_the_contract_says),
		TEST(test_the_service_s_word_is_believed),
		TEST(test_every_flipped_byte_and_every_cut_is_noise),
		TEST(test_a_signature_as_anything_else_counts_for_nothing),
		TEST(test_what_is_not_said_of_our_record_is_noise),
		TEST(test_others_records_are_not_ours_to_count),
		cmocka_unit_test(test_a_reason_is_what_the_service_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
