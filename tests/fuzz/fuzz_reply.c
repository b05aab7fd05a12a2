/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/ctl/reply.c service/frame.c
 *
 * What tokenctl takes off the reply topic, where anybody may write: is it the answer to our request?
 *
 * Input: a byte of flags (FOREIGN: signed by another key; SPOIL: a bit is turned behind the signature;
 * NO_DIGEST, NO_BOX: what the harness would append is left to the input; FRAME), a span that the box holds,
 * then the CreateTokenReply. Digest and box are appended here, sealed to our key, and the whole is signed
 * with the pinned key: so an input is what a faulty service could say.
 *
 * Promises: what no pinned key signed is never believed. What is opened names our request, our key, our
 * cluster and our permissions in our order, bears the whole marker, and its token is one printable word. What is
 * refused carries a status that says no. */
#include "tests/fuzz/harness.h"

#include <sodium.h>
#include <stdlib.h>

#include "service/base/arena.h"
#include "service/base/text.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"
#include "tokend/v1/token.pb-c.h"

#define FOREIGN 1
#define SPOIL 2
#define NO_DIGEST 4
#define NO_BOX 8
#define FRAME 16
#define PARTITIONS 4
#define MARKED "orders writer [tokend/1:tokens:" HARNESS_PRINCIPAL ":3:"    /* 3: where HARNESS_ID lives */
#define DIGEST_TAG (3 << 3 | 2)
#define BOX_TAG (7 << 3 | 2)

struct requester {
	struct signed_request request;
	struct profile_service_key service_key;
	struct keys box;
	unsigned char box_secret[KEYS_BYTES];
	unsigned char service_secret[DSSE_SECRET_BYTES], foreign_secret[DSSE_SECRET_BYTES];
};

/* What was asked for: read telemetry_a on prod, until tomorrow. */
static Tokend__V1__CreateTokenRequest *
asked(void)
{
	static Tokend__V1__CreateTokenRequest m = TOKEND__V1__CREATE_TOKEN_REQUEST__INIT;
	static Tokend__V1__Target target = TOKEND__V1__TARGET__INIT;
	static Tokend__V1__Permission permission = TOKEND__V1__PERMISSION__INIT, *permissions[] = { &permission };
	static Tokend__V1__Recipient recipient = TOKEND__V1__RECIPIENT__INIT;
	static Google__Protobuf__Timestamp expires_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	target.cluster = (char *)"prod";
	permission.action = TOKEND__V1__ACTION__READ;
	permission.resource_case = TOKEND__V1__PERMISSION__RESOURCE_DATABASE;
	permission.database = (char *)"telemetry_a";
	recipient.key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	recipient.key_id = (char *)HARNESS_BOX_ID;
	expires_at.seconds = HARNESS_NOW + 86400;
	m.request_id = (char *)HARNESS_ID;
	m.principal = (char *)HARNESS_PRINCIPAL;
	m.service_id = (char *)"tokens";
	m.description = (char *)"orders writer";
	m.target = &target;
	m.permissions = permissions;
	m.n_permissions = 1;
	m.expires_at = &expires_at;
	m.recipient = &recipient;
	return &m;
}

static const struct requester *
requester(void)
{
	static struct requester r;
	unsigned char seed[DSSE_SEED_BYTES];

	if (r.request.message != NULL)
		return &r;
	r.request.message = asked();
	memset(r.request.fingerprint, 0x22, DSSE_HASH_BYTES);
	memset(r.request.digest, 0x33, DSSE_HASH_BYTES);
	harness_signing_secret(r.service_secret);
	dsse_public_of(r.service_secret, r.service_key.public_key);
	memset(seed, 0x44, sizeof(seed));
	dsse_secret_of_seed(seed, r.foreign_secret);
	memset(r.box_secret, 0x55, sizeof(r.box_secret));
	r.box.secret = r.box_secret;
	(void)crypto_scalarmult_base(r.box.public_key, r.box_secret);
	return &r;
}

static size_t
append(unsigned char *to, unsigned tag, struct span bytes)
{
	size_t n = 0, length = bytes.bytes;

	to[n++] = (unsigned char)tag;
	for (; length >= 0x80; length >>= 7)
		to[n++] = (unsigned char)(length | 0x80);
	to[n++] = (unsigned char)length;
	if (bytes.bytes > 0)
		memcpy(to + n, bytes.data, bytes.bytes);
	return n + bytes.bytes;
}

/* A sealed box whose one-time key is always the same, so that an input always is. */
static struct span
sealed(struct span secret, struct arena *a)
{
	static const unsigned char once[crypto_box_SECRETKEYBYTES] = "the same key whenever it is used";
	const unsigned char *recipient = requester()->box.public_key;
	unsigned char *box = arena_alloc(a, crypto_box_SEALBYTES + secret.bytes), nonce[crypto_box_NONCEBYTES];
	crypto_generichash_state hash;

	(void)crypto_scalarmult_base(box, once);
	(void)crypto_generichash_init(&hash, NULL, 0, sizeof(nonce));
	(void)crypto_generichash_update(&hash, box, crypto_box_PUBLICKEYBYTES);
	(void)crypto_generichash_update(&hash, recipient, crypto_box_PUBLICKEYBYTES);
	(void)crypto_generichash_final(&hash, nonce, sizeof(nonce));
	HOLDS(crypto_box_easy(box + crypto_box_PUBLICKEYBYTES, secret.data, secret.bytes, nonce, recipient, once) == 0);
	return span_of(box, crypto_box_SEALBYTES + secret.bytes);
}

/* The record's value, and the reply's bytes in it. */
static struct span
value(uint8_t flags, struct span secret, struct span reply, struct arena *a, struct span *ret_body)
{
	static const unsigned char frame[] = { 0, 0, 0, 0, 7, 2, 6 };
	size_t at = (flags & FRAME) != 0 ? sizeof(frame) : 0, n = at;
	struct span box = sealed(secret, a);
	unsigned char *bytes = arena_alloc(a, sizeof(frame) + reply.bytes + DSSE_HASH_BYTES + box.bytes + 32);

	memcpy(bytes, frame, at);
	if (reply.bytes > 0)
		memcpy(bytes + n, reply.data, reply.bytes);
	n += reply.bytes;
	if ((flags & NO_DIGEST) == 0)
		n += append(bytes + n, DIGEST_TAG, span_of(requester()->request.digest, DSSE_HASH_BYTES));
	if ((flags & NO_BOX) == 0)
		n += append(bytes + n, BOX_TAG, box);
	*ret_body = span_of(bytes + at, n - at);
	return span_of(bytes, n);
}

static void
check_opened(const struct reply *r)
{
	const Tokend__V1__CreateTokenRequest *ours = requester()->request.message;
	const Tokend__V1__TokenSecret *s = r->secret;

	HOLDS(r->message != NULL && r->message->status->code == 0 && s != NULL);
	HOLDS(strcmp(r->message->request_id, HARNESS_ID) == 0 && strcmp(r->message->principal, HARNESS_PRINCIPAL) == 0);
	HOLDS(strcmp(s->request_id, HARNESS_ID) == 0 && strcmp(s->service_id, ours->service_id) == 0);
	HOLDS(strcmp(s->recipient_key_id, HARNESS_BOX_ID) == 0 && strcmp(s->cluster, "prod") == 0);
	HOLDS(s->request_fingerprint.len == DSSE_HASH_BYTES &&
	    memcmp(s->request_fingerprint.data, requester()->request.fingerprint, DSSE_HASH_BYTES) == 0);
	HOLDS(s->n_permissions == 1 && s->permissions[0]->action == TOKEND__V1__ACTION__READ &&
	    strcmp(s->permissions[0]->database, "telemetry_a") == 0);
	HOLDS(s->expires_at != NULL && llabs(s->expires_at->seconds - (HARNESS_NOW + 86400)) <= 1);
	HOLDS(strncmp(s->description, MARKED, strlen(MARKED)) == 0 && strlen(s->description) == strlen(MARKED) + 37);
	HOLDS(strlen(s->access_token) >= 64 && strlen(s->access_token) <= 1024);
	HOLDS(harness_printable(s->access_token) && strchr(s->access_token, ' ') == NULL);
	HOLDS(strlen(s->token_id) == 36 && harness_printable(s->token_id));
}

static void
check_verdict(uint8_t flags, const struct reply *r)
{
	HOLDS(r->verdict <= REPLY_OPENED);
	HOLDS((r->message != NULL) == (r->verdict == REPLY_REFUSED || r->verdict == REPLY_OPENED));
	if (r->verdict == REPLY_IGNORED)
		HOLDS(r->why != NULL && r->why[0] != '\0');
	if (r->verdict == REPLY_REFUSED)
		HOLDS(r->message->status->code != 0 && strcmp(r->message->request_id, HARNESS_ID) == 0);
	if (r->verdict == REPLY_OPENED)
		check_opened(r);
	if ((flags & (FOREIGN | SPOIL)) != 0)
		HOLDS(r->verdict == REPLY_IGNORED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	uint8_t flags = feed_byte(&f);
	struct span secret = feed_span(&f), body;
	struct arena a = { 0 };
	struct span whole = value(flags, secret, feed_rest(&f), &a, &body);
	unsigned char signature[DSSE_SIGNATURE_BYTES];
	char base64[89];
	struct header header = { span_str("tokend-signature"), { 0 } };
	struct record record = { .key = span_str(HARNESS_ID), .value = whole, .headers = &header, .n_headers = 1 };
	struct reply_expected expected = { .request = &requester()->request, .service_keys = &requester()->service_key,
		.n_service_keys = 1, .box = &requester()->box, .partitions = PARTITIONS };
	struct reply reply;

	dsse_sign(DSSE_TYPE_CREATE_REPLY, body,
	    (flags & FOREIGN) != 0 ? requester()->foreign_secret : requester()->service_secret, signature);
	if ((flags & SPOIL) != 0)
		signature[bytes % sizeof(signature)] ^= (unsigned char)(1u << (bytes & 7));
	header.value = span_str(text_base64(span_of(signature, sizeof(signature)), base64));
	reply_judge(&expected, &record, &reply);
	check_verdict(flags, &reply);
	reply_wipe(&reply);
	arena_free(&a);
	feed_end(&f);
	return 0;
}
