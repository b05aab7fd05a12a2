/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: nothing but the service's own answer to the very record we sent is believed, and no token is
 * taken out of a box whose context is not ours, whatever is flipped, swapped, left out or signed by
 * somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/earlier.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define TOKEN SIXTY "abcd"          /* the shortest that the contract knows */
#define PARTITIONS 9
#define HOME "4"                        /* of order-7, among them */
#define ATTEMPT "33333333-3333-3333-3333-333333333333"
#define MARKED(text) text " [tokend/1:tokend:telemetry:" HOME ":" ATTEMPT "]"
#define ANOTHER_DESCRIPTION MARKED("another")
#define FRAME "\0\0\0\0\7\2\6"          /* Schema Registry's: schema 7, the file's fourth message */

/* A requester with its request, and a service with its key; deterministic. */
struct world {
	struct arena arena;
	unsigned char service_secret[DSSE_SECRET_BYTES], box_secret[KEYS_BYTES];
	struct profile_service_key pinned;
	struct keys box;
	struct signed_request request, outcome;
	struct reply_expected expected;
	Tokend__V1__TokenSecret secret;
	Tokend__V1__Status status;
	Tokend__V1__CreateTokenReply reply;
};

static Tokend__V1__Permission *
permission(struct arena *a, Tokend__V1__Action action, char *database)
{
	Tokend__V1__Permission *p = arena_alloc(a, sizeof(*p));

	tokend__v1__permission__init(p);
	p->action = action;
	p->resource_case = database != NULL ? TOKEND__V1__PERMISSION__RESOURCE_DATABASE :
	    TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
	if (database != NULL)
		p->database = database;
	else
		p->all_databases = 1;
	return p;
}

static Google__Protobuf__Timestamp *
at(struct arena *a, int64_t seconds)
{
	Google__Protobuf__Timestamp *t = arena_alloc(a, sizeof(*t));

	google__protobuf__timestamp__init(t);
	t->seconds = seconds;
	return t;
}

static void
make_request(struct world *w)
{
	Tokend__V1__CreateTokenRequest m = TOKEND__V1__CREATE_TOKEN_REQUEST__INIT;
	Tokend__V1__Target target = TOKEND__V1__TARGET__INIT;
	Tokend__V1__Recipient recipient = TOKEND__V1__RECIPIENT__INIT;
	Tokend__V1__Permission *permissions[] = {
		permission(&w->arena, TOKEND__V1__ACTION__READ, "cpu"),
		permission(&w->arena, TOKEND__V1__ACTION__WRITE, "mem"),
		permission(&w->arena, TOKEND__V1__ACTION__READ, NULL),
	};
	unsigned char seed[DSSE_SEED_BYTES] = { 2 }, secret[DSSE_SECRET_BYTES];

	dsse_secret_of_seed(seed, secret);
	target.cluster = "main";
	recipient.key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	recipient.key_id = "t-box1";
	m.request_id = "order-7";
	m.principal = "telemetry";
	m.service_id = "tokend";
	m.target = &target;
	m.description = "for the agent";
	m.permissions = permissions;
	m.n_permissions = 3;
	m.expires_at = at(&w->arena, 2000000000);
	m.issued_at = at(&w->arena, 1900000000);
	m.recipient = &recipient;
	request_sign(&m, "t-2026a", secret, &w->arena, &w->request);
}

/* The box's content and the reply around it, as an honest service makes them; a test spoils what it wants. */
static void
make_reply(struct world *w)
{
	const Tokend__V1__CreateTokenRequest *m = w->request.message;

	w->secret = (Tokend__V1__TokenSecret)TOKEND__V1__TOKEN_SECRET__INIT;
	w->secret.service_id = m->service_id;
	w->secret.request_id = m->request_id;
	w->secret.request_fingerprint = (ProtobufCBinaryData){ DSSE_HASH_BYTES, w->request.fingerprint };
	w->secret.recipient_key_id = m->recipient->key_id;
	w->secret.cluster = "main";
	w->secret.account_id = "11111111-1111-1111-1111-111111111111";
	w->secret.cluster_id = "22222222-2222-2222-2222-222222222222";
	w->secret.description = MARKED("for the agent");
	w->secret.permissions = m->permissions;
	w->secret.n_permissions = m->n_permissions;
	w->secret.token_id = "44444444-4444-4444-4444-444444444444";
	w->secret.access_token = TOKEN;
	w->secret.created_at = at(&w->arena, 1900000001);
	w->secret.expires_at = at(&w->arena, 2000000000);

	w->status = (Tokend__V1__Status)TOKEND__V1__STATUS__INIT;
	w->reply = (Tokend__V1__CreateTokenReply)TOKEND__V1__CREATE_TOKEN_REPLY__INIT;
	w->reply.request_id = m->request_id;
	w->reply.principal = m->principal;
	w->reply.request_digest = (ProtobufCBinaryData){ DSSE_HASH_BYTES, w->request.digest };
	w->reply.status = &w->status;
	w->reply.suite = TOKEND__V1__SUITE__SEALEDBOX_X25519;
	w->reply.recipient_key_id = m->recipient->key_id;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned char seed[DSSE_SEED_BYTES] = { 1 };

	dsse_secret_of_seed(seed, w->service_secret);
	w->pinned.id = "svc-1";
	dsse_public_of(w->service_secret, w->pinned.public_key);
	memset(w->box_secret, 7, sizeof(w->box_secret));
	w->box.secret = w->box_secret;
	crypto_scalarmult_base(w->box.public_key, w->box_secret);
	make_request(w);
	make_reply(w);
	w->expected = (struct reply_expected){ .request = &w->request, .service_keys = &w->pinned, .n_service_keys = 1,
		.box = &w->box, .partitions = PARTITIONS };
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

static void
seal(struct world *w)
{
	size_t bytes = tokend__v1__token_secret__get_packed_size(&w->secret);
	unsigned char *plain = arena_alloc(&w->arena, bytes);
	unsigned char *box = arena_alloc(&w->arena, bytes + crypto_box_SEALBYTES);

	tokend__v1__token_secret__pack(&w->secret, plain);
	crypto_box_seal(box, plain, bytes, w->box.public_key);
	w->reply.sealed_token = (ProtobufCBinaryData){ bytes + crypto_box_SEALBYTES, box };
}

static struct span
pack(struct world *w)
{
	size_t bytes = tokend__v1__create_token_reply__get_packed_size(&w->reply);
	unsigned char *value = arena_alloc(&w->arena, bytes);

	return span_of(value, tokend__v1__create_token_reply__pack(&w->reply, value));
}

static struct header
signature(struct world *w, const char *type, struct span body, const unsigned char secret[DSSE_SECRET_BYTES])
{
	unsigned char raw[DSSE_SIGNATURE_BYTES];
	char *text = arena_alloc(&w->arena, DSSE_SIGNATURE_BYTES * 2);

	dsse_sign(type, body, secret, raw);
	return (struct header){ span_str("tokend-signature"), span_str(text_base64(span_of(raw, sizeof(raw)), text)) };
}

/* The verdict over a value and its headers, under our key. */
static enum reply_verdict
judge(struct world *w, struct span value, const struct header *headers, size_t n_headers, struct reply *ret)
{
	const struct record record = {
		.key = span_str("order-7"), .value = value, .headers = headers, .n_headers = n_headers,
	};

	reply_judge(&w->expected, &record, ret);
	return ret->verdict;
}

/* Seal, pack, sign honestly, and judge; nothing but the verdict is kept. */
static enum reply_verdict
verdict(struct world *w)
{
	struct reply r;
	struct span value;
	struct header header;
	enum reply_verdict v;

	if (w->status.code == 0)
		seal(w);
	value = pack(w);
	header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	v = judge(w, value, &header, 1, &r);
	reply_wipe(&r);
	return v;
}

static void
test_an_honest_reply_is_opened(void **state)
{
	struct world *w = *state;
	struct reply r;
	struct span value;
	struct header header;

	seal(w);
	value = pack(w);
	header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	assert_int_equal(judge(w, value, &header, 1, &r), REPLY_OPENED);
	assert_string_equal(r.secret->access_token, TOKEN);
	assert_string_equal(r.secret->token_id, w->secret.token_id);
	assert_int_equal(r.secret->n_permissions, 3);
	reply_wipe(&r);
	assert_null(r.guarded);
}

static void
test_every_flipped_byte_is_noise(void **state)
{
	struct world *w = *state;
	struct reply r;
	struct span value, changed;
	struct header header;
	unsigned char *bytes, *text;

	seal(w);
	value = pack(w);
	header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	changed = arena_copy(&w->arena, value);
	bytes = (unsigned char *)(uintptr_t)changed.data;
	for (size_t i = 0; i < value.bytes; i++) {
		bytes[i] ^= 1;
		assert_int_equal(judge(w, changed, &header, 1, &r), REPLY_IGNORED);
		assert_null(r.secret);
		bytes[i] ^= 1;
	}
	for (size_t cut = 0; cut < value.bytes; cut++)
		assert_int_equal(judge(w, span_of(value.data, cut), &header, 1, &r), REPLY_IGNORED);
	text = (unsigned char *)(uintptr_t)header.value.data;
	for (size_t i = 0; i < header.value.bytes; i++) {
		text[i] ^= 1;
		assert_int_equal(judge(w, value, &header, 1, &r), REPLY_IGNORED);
		text[i] ^= 1;
	}
	assert_int_equal(judge(w, value, &header, 1, &r), REPLY_OPENED);
	reply_wipe(&r);
}

/* Signed anew each time, so that it is the opening that must notice. */
static void
test_every_flipped_byte_of_the_box_is_noise(void **state)
{
	struct world *w = *state;
	struct reply r;
	struct header header;
	struct span value;

	seal(w);
	for (size_t i = 0; i < w->reply.sealed_token.len; i++) {
		w->reply.sealed_token.data[i] ^= 0x40;
		value = pack(w);
		header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
		assert_int_equal(judge(w, value, &header, 1, &r), REPLY_IGNORED);
		w->reply.sealed_token.data[i] ^= 0x40;
	}
}

static void
test_only_a_pinned_key_and_the_right_type_count(void **state)
{
	struct world *w = *state;
	unsigned char seed[DSSE_SEED_BYTES] = { 9 }, foreign[DSSE_SECRET_BYTES];
	struct header headers[2];
	struct span value;
	struct reply r;

	dsse_secret_of_seed(seed, foreign);
	seal(w);
	value = pack(w);
	headers[0] = signature(w, DSSE_TYPE_CREATE_REPLY, value, foreign);
	assert_int_equal(judge(w, value, headers, 1, &r), REPLY_IGNORED);
	headers[0] = signature(w, DSSE_TYPE_REVOKE_REPLY, value, w->service_secret);
	assert_int_equal(judge(w, value, headers, 1, &r), REPLY_IGNORED);
	headers[0] = signature(w, DSSE_TYPE_CREATE_REQUEST, value, w->service_secret);
	assert_int_equal(judge(w, value, headers, 1, &r), REPLY_IGNORED);
	assert_int_equal(judge(w, value, NULL, 0, &r), REPLY_IGNORED);
	headers[0] = headers[1] = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	assert_int_equal(judge(w, value, headers, 2, &r), REPLY_IGNORED);
}

static void
test_a_second_pinned_key_is_believed(void **state)
{
	struct world *w = *state;
	unsigned char seed[DSSE_SEED_BYTES] = { 9 }, next[DSSE_SECRET_BYTES];
	struct profile_service_key keys[2];

	dsse_secret_of_seed(seed, next);
	keys[1] = w->pinned;
	dsse_public_of(next, keys[0].public_key);
	w->expected.service_keys = keys;
	w->expected.n_service_keys = 2;
	assert_int_equal(verdict(w), REPLY_OPENED);
}

static void
test_a_framed_reply_is_opened(void **state)
{
	struct world *w = *state;
	const size_t frame_bytes = sizeof(FRAME) - 1;
	struct span value;
	struct header header;
	unsigned char *framed;
	struct reply r;

	seal(w);
	value = pack(w);
	header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	framed = arena_alloc(&w->arena, frame_bytes + value.bytes);
	memcpy(framed, FRAME, frame_bytes);
	memcpy(framed + frame_bytes, value.data, value.bytes);
	assert_int_equal(judge(w, span_of(framed, frame_bytes + value.bytes), &header, 1, &r), REPLY_OPENED);
	reply_wipe(&r);
	framed[6] = 2 * 4;
	assert_int_equal(judge(w, span_of(framed, frame_bytes + value.bytes), &header, 1, &r), REPLY_IGNORED);
	framed[5] = 1;          /* as many numbers as -1 */
	assert_int_equal(judge(w, span_of(framed, frame_bytes + value.bytes), &header, 1, &r), REPLY_IGNORED);
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
	struct reply r;

	for (size_t i = 0; i < 3; i++) {
		reply_judge(&w->expected, &records[i], &r);
		assert_int_equal(r.verdict, REPLY_OTHERS);
	}
}

/* What the outer reply says must be ours, though it is genuinely signed. */
static void
test_another_records_reply_is_noise(void **state)
{
	struct world *w = *state;
	unsigned char other[DSSE_HASH_BYTES] = { 1 };

	w->reply.request_digest.data = other;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	w->reply.request_digest.len = 0;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->reply.request_id = "order-8";
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->reply.principal = "billing";
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->reply.principal = "";
	assert_int_equal(verdict(w), REPLY_IGNORED);
	w->status.about = TOKEND__V1__ABOUT__RECORD;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->reply.recipient_key_id = "t-box2";
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->reply.suite = TOKEND__V1__SUITE__HPKE_RESERVED;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->reply.status = NULL;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	assert_int_equal(verdict(w), REPLY_OPENED);
}

static void
test_a_box_with_another_context_is_noise(void **state)
{
	struct world *w = *state;
	unsigned char other[DSSE_HASH_BYTES] = { 1 };
	Tokend__V1__Permission *fewer[3], *swapped[3];

#define SPOILT(spoil) do { make_reply(w); spoil; assert_int_equal(verdict(w), REPLY_IGNORED); } while (0)
	SPOILT(w->secret.service_id = "other");
	SPOILT(w->secret.request_id = "order-8");
	SPOILT(w->secret.request_fingerprint.data = other);
	SPOILT(w->secret.request_fingerprint.len = 31);
	SPOILT(w->secret.recipient_key_id = "t-box2");
	SPOILT(w->secret.cluster = "other");
	SPOILT(w->secret.description = "for the agent");
	SPOILT(w->secret.description = MARKED("for the agents"));
	SPOILT(w->secret.description = MARKED(""));
	SPOILT(w->secret.description = MARKED("for the agent") " ");
	SPOILT(w->secret.description = MARKED("for the agent "));
	SPOILT(w->secret.description = "for the agent [tokend/1:other:telemetry:" HOME ":" ATTEMPT "]");
	SPOILT(w->secret.description = "for the agent [tokend/1:tokend:billing:" HOME ":" ATTEMPT "]");
	SPOILT(w->secret.description = "for the agent [tokend/1:tokend:telemetry:1:" ATTEMPT "]");
	SPOILT(w->secret.description = "for the agent [tokend/1:tokend:telemetry:" HOME ":3]");
	SPOILT(w->secret.description = "for the agent [tokend/1:tokend:telemetry:" HOME ":" ATTEMPT ")");
	SPOILT(w->secret.description = "for the agent [tokend/1:tokend:telemetry:" HOME ":" ATTEMPT);
	SPOILT(w->secret.expires_at = NULL);
	SPOILT(w->secret.expires_at = at(&w->arena, 2000000002));
	SPOILT(w->secret.expires_at = at(&w->arena, 1999999998));
	SPOILT(w->secret.expires_at->seconds++; w->secret.expires_at->nanos = 1);
	SPOILT(w->secret.token_id = "");
	SPOILT(w->secret.token_id = "44444444-4444-4444-4444-44444444444A");
	SPOILT(w->secret.access_token = "");
	SPOILT(w->secret.access_token = SIXTY "abc");
	SPOILT(w->secret.access_token = SIXTY "with blank");
	SPOILT(w->secret.access_token = SIXTY "\x1b[2J");
	SPOILT(w->secret.access_token = arena_text(&w->arena, "%01025d", 0));

	memcpy(swapped, w->request.message->permissions, sizeof(swapped));
	swapped[0] = w->request.message->permissions[1];
	swapped[1] = w->request.message->permissions[0];
	memcpy(fewer, w->request.message->permissions, sizeof(fewer));
	SPOILT(w->secret.permissions = swapped);
	SPOILT(w->secret.permissions = fewer; w->secret.n_permissions = 2);
	fewer[0] = permission(&w->arena, TOKEND__V1__ACTION__READ, NULL);
	SPOILT(w->secret.permissions = fewer);
#undef SPOILT
#define FITS(change) do { make_reply(w); change; assert_int_equal(verdict(w), REPLY_OPENED); } while (0)
	FITS(w->secret.expires_at = at(&w->arena, 2000000001));
	FITS(w->secret.expires_at->nanos = 999999999);
	FITS(w->secret.access_token = arena_text(&w->arena, "%01024d", 0));
#undef FITS
}

/* Where the request names its cluster by ids, they are what must be in the box. */
static void
test_a_box_from_another_cluster_is_noise(void **state)
{
	struct world *w = *state;
	Tokend__V1__CreateTokenRequest m = *w->request.message;
	Tokend__V1__Target by_ids = TOKEND__V1__TARGET__INIT;
	unsigned char seed[DSSE_SEED_BYTES] = { 2 }, secret[DSSE_SECRET_BYTES];

	by_ids.account_id = w->secret.account_id;
	by_ids.cluster_id = w->secret.cluster_id;
	m.target = &by_ids;
	dsse_secret_of_seed(seed, secret);
	request_sign(&m, "t-2026a", secret, &w->arena, &w->request);
	make_reply(w);
	assert_int_equal(verdict(w), REPLY_OPENED);
	w->secret.account_id = "99999999-1111-1111-1111-111111111111";
	assert_int_equal(verdict(w), REPLY_IGNORED);
	make_reply(w);
	w->secret.cluster_id = "";
	assert_int_equal(verdict(w), REPLY_IGNORED);
}

/* A key that came along is called by its hash; one of another length, or none, is nobody's. */
static void
test_a_key_that_was_brought_along(void **state)
{
	struct world *w = *state;
	Tokend__V1__CreateTokenRequest m = *w->request.message;
	Tokend__V1__InlineKey key = TOKEND__V1__INLINE_KEY__INIT;
	Tokend__V1__Recipient recipient = TOKEND__V1__RECIPIENT__INIT;
	char id[KEYS_FINGERPRINT_ROOM];

	key.suite = TOKEND__V1__SUITE__SEALEDBOX_X25519;
	key.public_key = (ProtobufCBinaryData){ KEYS_BYTES, w->box.public_key };
	recipient.key_case = TOKEND__V1__RECIPIENT__KEY_INLINE_KEY;
	recipient.inline_key = &key;
	m.recipient = &recipient;
	make_reply(w);
	w->request.message = &m;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	w->reply.recipient_key_id = (char *)(uintptr_t)keys_fingerprint(w->box.public_key, id);
	assert_int_equal(verdict(w), REPLY_IGNORED);
	w->secret.recipient_key_id = id;
	assert_int_equal(verdict(w), REPLY_OPENED);
	key.public_key.len = KEYS_BYTES - 1;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	recipient.key_case = TOKEND__V1__RECIPIENT__KEY__NOT_SET;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	m.recipient = NULL;
	assert_int_equal(verdict(w), REPLY_IGNORED);
}

static void
test_a_box_for_another_key_is_noise(void **state)
{
	struct world *w = *state;
	struct keys ours = w->box;
	struct span value;
	struct header header;
	struct reply r;

	memset(w->box.public_key, 0, sizeof(w->box.public_key));
	w->box.public_key[0] = 9;
	seal(w);
	w->box = ours;
	value = pack(w);
	header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	assert_int_equal(judge(w, value, &header, 1, &r), REPLY_IGNORED);
}

static void
test_a_refusal_is_believed_like_a_token(void **state)
{
	struct world *w = *state;

	w->status.code = 7;
	w->status.about = TOKEND__V1__ABOUT__OUTCOME;
	assert_int_equal(verdict(w), REPLY_REFUSED);
	w->reply.principal = "billing";
	assert_int_equal(verdict(w), REPLY_IGNORED);
}

/* An error is an error: what lies beside it is not looked into. */
static void
test_a_box_beside_an_error_stays_shut(void **state)
{
	struct world *w = *state;
	struct reply r;
	struct span value;
	struct header header;

	seal(w);
	w->status.code = 7;
	value = pack(w);
	header = signature(w, DSSE_TYPE_CREATE_REPLY, value, w->service_secret);
	assert_int_equal(judge(w, value, &header, 1, &r), REPLY_REFUSED);
	assert_null(r.secret);
	assert_null(r.guarded);
	reply_wipe(&r);
}

/* The service does not know whose a record is whose signature did not verify; the digest says that it
 * is ours. */
static void
test_a_refused_record_may_have_no_principal(void **state)
{
	struct world *w = *state;

	w->status.code = 16;
	w->reply.principal = "";
	w->status.about = TOKEND__V1__ABOUT__OUTCOME;
	assert_int_equal(verdict(w), REPLY_IGNORED);
	w->status.about = TOKEND__V1__ABOUT__RECORD;
	assert_int_equal(verdict(w), REPLY_REFUSED);
}

/* From now on a GetOutcome was sent, and the reply answers it. */
static void
ask_outcome(struct world *w, const struct signed_request *create)
{
	struct profile p = { .service_id = "tokend", .principal = "telemetry", .signing_key.id = "t-2026a",
		.box_key.id = "t-box1" };
	unsigned char seed[DSSE_SEED_BYTES] = { 2 }, secret[DSSE_SECRET_BYTES];

	dsse_secret_of_seed(seed, secret);
	earlier_outcome(&(struct earlier){ "order-7", &p, 1900000100, 60 }, create, secret, &w->arena, &w->outcome);
	w->expected.request = &w->outcome;
	w->reply.request_digest.data = w->outcome.digest;
}

/* Signed under its own type, and nothing in it but who asks for what until when. */
static void
test_an_outcome_is_asked_for_as_the_contract_says(void **state)
{
	struct world *w = *state;
	unsigned char public_key[DSSE_PUBLIC_BYTES], signature[DSSE_SIGNATURE_BYTES], digest[DSSE_HASH_BYTES];
	unsigned char seed[DSSE_SEED_BYTES] = { 2 }, secret[DSSE_SECRET_BYTES];
	Tokend__V1__GetOutcomeRequest *m;

	dsse_secret_of_seed(seed, secret);
	dsse_public_of(secret, public_key);
	ask_outcome(w, NULL);
	assert_string_equal(w->outcome.method, "/tokend.v1.TokenService/GetOutcome");
	assert_int_equal(text_parse_base64(span_str(w->outcome.signature), signature, sizeof(signature)),
	    DSSE_SIGNATURE_BYTES);
	assert_true(dsse_verify(DSSE_TYPE_OUTCOME_REQUEST, w->outcome.body, public_key, signature));
	dsse_digest(DSSE_TYPE_OUTCOME_REQUEST, w->outcome.body, span_str("t-2026a"), span_str(w->outcome.signature),
	    digest);
	assert_memory_equal(w->outcome.digest, digest, sizeof(digest));
	m = tokend__v1__get_outcome_request__unpack(NULL, w->outcome.body.bytes, w->outcome.body.data);
	assert_non_null(m);
	assert_string_equal(m->request_id, "order-7");
	assert_string_equal(m->principal, "telemetry");
	assert_string_equal(m->service_id, "tokend");
	assert_int_equal(m->issued_at->seconds, 1900000100);
	assert_int_equal(m->deadline->seconds, 1900000160);
	tokend__v1__get_outcome_request__free_unpacked(m, NULL);
}

static void
test_time_is_left_for_the_answer(void **state)
{
	(void)state;
	assert_int_equal(earlier_life_s(1), 1);
	assert_int_equal(earlier_life_s(1999), 1);
	assert_int_equal(earlier_life_s(5000), 4);
	assert_int_equal(earlier_life_s(60000), 50);
	assert_int_equal(earlier_life_s(3610000), 3600);
	assert_int_equal(earlier_life_s(3620000), 3600);
	assert_int_equal(earlier_life_s(UINT64_C(86400000)), 3600);
}

/* The reply to the CreateToken itself is not the answer to the question, though its box is the same. */
static void
test_an_outcome_answers_the_question(void **state)
{
	struct world *w = *state;

	for (int lost = 0; lost < 2; lost++) {
		make_reply(w);
		ask_outcome(w, lost ? NULL : &w->request);
		assert_int_equal(verdict(w), REPLY_OPENED);
		w->reply.request_digest.data = w->request.digest;
		assert_int_equal(verdict(w), REPLY_IGNORED);
		ask_outcome(w, lost ? NULL : &w->request);
		w->reply.principal = "billing";
		assert_int_equal(verdict(w), REPLY_IGNORED);
		w->reply.principal = "telemetry";
		w->reply.request_id = "order-8";
		assert_int_equal(verdict(w), REPLY_IGNORED);
		w->reply.request_id = "order-7";
		w->status.code = 5;
		w->status.about = TOKEND__V1__ABOUT__RECORD;
		assert_int_equal(verdict(w), REPLY_REFUSED);
	}
}

/* verdict of a box of which that much is foreign: with the request's bytes, and without. */
static void
test_what_only_the_lost_bytes_tell_is_not_compared(void **state)
{
	struct world *w = *state;
	unsigned char other[DSSE_HASH_BYTES] = { 1 };

#define SPOILT(spoil, without) do { \
	make_reply(w); spoil; ask_outcome(w, &w->request); assert_int_equal(verdict(w), REPLY_IGNORED); \
	make_reply(w); spoil; ask_outcome(w, NULL); assert_int_equal(verdict(w), without); \
} while (0)
	SPOILT(w->secret.request_fingerprint.data = other, REPLY_OPENED);
	SPOILT(w->secret.cluster = "other", REPLY_OPENED);
	SPOILT(w->secret.n_permissions = 2, REPLY_OPENED);
	SPOILT(w->secret.expires_at = NULL, REPLY_OPENED);
	SPOILT(w->secret.description = ANOTHER_DESCRIPTION, REPLY_OPENED);
	SPOILT(w->secret.description = "for the agent", REPLY_IGNORED);
	SPOILT(w->secret.service_id = "other", REPLY_IGNORED);
	SPOILT(w->secret.request_id = "order-8", REPLY_IGNORED);
	SPOILT(w->secret.recipient_key_id = "t-box2", REPLY_IGNORED);
	SPOILT(w->reply.recipient_key_id = "t-box2", REPLY_IGNORED);
	SPOILT(w->secret.access_token = "with blank", REPLY_IGNORED);
	SPOILT(w->secret.token_id = "", REPLY_IGNORED);
#undef SPOILT
}

/* The largest request there is still fits the guarded block that its token is decoded in. */
static void
test_a_thousand_permissions_fit(void **state)
{
	struct world *w = *state;
	Tokend__V1__CreateTokenRequest m = *w->request.message;
	unsigned char seed[DSSE_SEED_BYTES] = { 2 }, secret[DSSE_SECRET_BYTES];

	dsse_secret_of_seed(seed, secret);
	m.n_permissions = 1000;
	m.permissions = arena_alloc(&w->arena, 1000 * sizeof(*m.permissions));
	for (int i = 0; i < 1000; i++)
		m.permissions[i] = permission(&w->arena, TOKEND__V1__ACTION__READ, arena_text(&w->arena, "%d", i));
	request_sign(&m, "t-2026a", secret, &w->arena, &w->request);
	make_reply(w);
	assert_int_equal(verdict(w), REPLY_OPENED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_an_honest_reply_is_opened),
		TEST(test_every_flipped_byte_is_noise),
		TEST(test_every_flipped_byte_of_the_box_is_noise),
		TEST(test_only_a_pinned_key_and_the_right_type_count),
		TEST(test_a_second_pinned_key_is_believed),
		TEST(test_a_framed_reply_is_opened),
		TEST(test_others_records_are_not_ours_to_count),
		TEST(test_another_records_reply_is_noise),
		TEST(test_a_box_with_another_context_is_noise),
		TEST(test_a_box_from_another_cluster_is_noise),
		TEST(test_a_key_that_was_brought_along),
		TEST(test_a_box_for_another_key_is_noise),
		TEST(test_a_refusal_is_believed_like_a_token),
		TEST(test_a_box_beside_an_error_stays_shut),
		TEST(test_a_refused_record_may_have_no_principal),
		TEST(test_an_outcome_is_asked_for_as_the_contract_says),
		TEST(test_time_is_left_for_the_answer),
		TEST(test_an_outcome_answers_the_question),
		TEST(test_what_only_the_lost_bytes_tell_is_not_compared),
		TEST(test_a_thousand_permissions_fit),
	};
	size_t locked_bytes;
	struct err e;

	if (secret_process_harden(&locked_bytes, &e) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
