/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this record the answer to our request, and what does it say?
 *
 * Anybody who can write to the reply topic can put anything under our ID. So nothing is believed
 * before a pinned key of the service has signed it; nothing signed is believed unless it answers
 * the very record we sent (the digest); and no token is believed unless the box's own words about
 * its context are ours, because a sealed box says nothing about who sealed it or what for. What
 * fails is no error but noise: the genuine reply may be the next record. Every reason to ignore has
 * a sentence, for --debug.
 *
 * The token is decrypted, decoded and kept in one block of guarded memory. Nothing here prints,
 * waits or remembers.
 */
#include "service/ctl/reply.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/frame.h"
#include "service/status.h"
#include "service/ctl/profile.h"

#define MARKER " [tokend/1:"
#define EXPIRY_SLACK_SECONDS 1          /* InfluxDB may round */

/* To what any type is aligned to. Guarded memory ends at a page's end: it begins aligned only when
 * its size is such a multiple. */
#define ROUND_UP(bytes) (((bytes) + 15) & ~(size_t)15)

/* protobuf-c's scratch and the decoded message take several times the packed bytes: for a
 * permission of 5 bytes, 72 and as many again. */
#define DECODED_ROOM(packed_bytes) (64 * 1024 + 40 * (packed_bytes))

/* A bump allocator over the guarded block; what does not fit fails the decoding. */
struct bump {
	unsigned char *next, *end;
};

static void *
bump_alloc(void *context, size_t bytes)
{
	struct bump *b = context;
	size_t whole = ROUND_UP(bytes);
	void *p = b->next;

	if (whole < bytes || whole > (size_t)(b->end - b->next))
		return NULL;
	b->next += whole;
	return p;
}

static void
bump_free(void *context, void *p)
{
	(void)context;
	(void)p;
}

static void
ignore(struct reply *r, const char *why)
{
	r->verdict = REPLY_IGNORED;
	r->why = why;
}

static bool
read_signature(const struct record *record, unsigned char ret_signature[DSSE_SIGNATURE_BYTES])
{
	const struct header *found = NULL;

	for (size_t i = 0; i < record->n_headers; i++) {
		if (!span_is(record->headers[i].name, "tokend-signature"))
			continue;
		if (found != NULL)
			return false;
		found = &record->headers[i];
	}
	return found != NULL &&
	    text_parse_base64(found->value, ret_signature, DSSE_SIGNATURE_BYTES) == DSSE_SIGNATURE_BYTES;
}

/* The key id in the header is a hint that anybody can write; a handful of pinned keys is tried
 * faster than it is argued about. */
static bool
signed_by_service(const struct reply_expected *e, struct span body, const unsigned char signature[DSSE_SIGNATURE_BYTES])
{
	for (size_t i = 0; i < e->n_service_keys; i++)
		if (dsse_verify(DSSE_TYPE_CREATE_REPLY, body, e->service_keys[i].public_key, signature))
			return true;
	return false;
}

/* Ours; or nobody's, where the service refused the record before it knew whose it was. The digest
 * binds it to our bytes all the same. */
static bool
principal_fits(const Tokend__V1__CreateTokenReply *m, const char *ours)
{
	if (strcmp(m->principal, ours) == 0)
		return true;
	return m->principal[0] == '\0' && m->status->code != CODE_OK && m->status->about == TOKEND__V1__ABOUT__RECORD;
}

static Tokend__V1__CreateTokenReply *
believe(const struct reply_expected *e, const struct record *record, struct reply *r)
{
	unsigned char signature[DSSE_SIGNATURE_BYTES];
	const Tokend__V1__CreateTokenRequest *ours = e->request->message;
	Tokend__V1__CreateTokenReply *m;
	struct frame frame;

	if (!read_signature(record, signature) || frame_open(record->value, &frame) != 0 ||
	    !signed_by_service(e, frame.body, signature)) {
		ignore(r, "it is not signed by any service key of the profile");
		return NULL;
	}
	m = tokend__v1__create_token_reply__unpack(NULL, frame.body.bytes, frame.body.data);
	if (m == NULL || m->status == NULL)
		ignore(r, "it is signed and cannot be decoded");
	else if (strcmp(m->request_id, ours->request_id) != 0)
		ignore(r, "it answers another request");
	else if (!span_equal(span_of(m->request_digest.data, m->request_digest.len), span_of(e->request->digest,
	    DSSE_HASH_BYTES)))
		ignore(r, "it answers another record under this ID");
	else if (!principal_fits(m, ours->principal))
		ignore(r, "it is for another principal");
	else
		return m;
	if (m != NULL)
		tokend__v1__create_token_reply__free_unpacked(m, NULL);
	return NULL;
}

static bool
expiry_fits(const Google__Protobuf__Timestamp *asked, const Google__Protobuf__Timestamp *got)
{
	if (asked == NULL || got == NULL)
		return asked == got;
	return got->seconds >= asked->seconds - EXPIRY_SLACK_SECONDS &&
	    got->seconds <= asked->seconds + EXPIRY_SLACK_SECONDS;
}

static bool
target_fits(const Tokend__V1__Target *asked, const Tokend__V1__TokenSecret *s)
{
	if (asked == NULL)
		return true;
	return (asked->cluster[0] == '\0' || strcmp(asked->cluster, s->cluster) == 0) &&
	    (asked->account_id[0] == '\0' || strcmp(asked->account_id, s->account_id) == 0) &&
	    (asked->cluster_id[0] == '\0' || strcmp(asked->cluster_id, s->cluster_id) == 0);
}

/* What was asked for, then the service's marker; whatever was, when the bytes are lost. */
static bool
description_fits(const struct signed_request *r, const char *got)
{
	const char *asked = r->message->description, *marker = strstr(got, MARKER);

	return marker != NULL && (r->bytes_lost || span_is(span_of(got, (size_t)(marker - got)), asked));
}

/* What is printed on a terminal, and pasted into a configuration, is printable ASCII in one word. */
static bool
is_word(const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return text[0] != '\0';
}

/* What only the request's bytes tell. */
static const char *
foreign_to_bytes(const struct reply_expected *e, const Tokend__V1__TokenSecret *s)
{
	const Tokend__V1__CreateTokenRequest *ours = e->request->message;

	if (!span_equal(span_of(s->request_fingerprint.data, s->request_fingerprint.len),
	    span_of(e->request->fingerprint, DSSE_HASH_BYTES)))
		return "its box names other bytes than were signed";
	if (!target_fits(ours->target, s))
		return "its box names another cluster";
	if (!request_permissions_equal(s->permissions, s->n_permissions, ours->permissions, ours->n_permissions))
		return "its box names other permissions";
	if (!expiry_fits(ours->expires_at, s->expires_at))
		return "its box names another expiry";
	return NULL;
}

/* NULL, or what is not ours in the box. */
static const char *
foreign(const struct reply_expected *e, const Tokend__V1__TokenSecret *s)
{
	const Tokend__V1__CreateTokenRequest *ours = e->request->message;

	if (strcmp(s->service_id, ours->service_id) != 0)
		return "its box names another service";
	if (strcmp(s->request_id, ours->request_id) != 0)
		return "its box names another request";
	if (strcmp(s->recipient_key_id, ours->recipient->key_id) != 0)
		return "its box names another box key";
	if (!description_fits(e->request, s->description))
		return "its box names another description";
	if (!is_word(s->token_id) || !is_word(s->access_token))
		return "its box holds no token";
	return e->request->bytes_lost ? NULL : foreign_to_bytes(e, s);
}

/* One guarded block: the plaintext first, what is decoded from it behind. */
static const char *
open_box(const struct reply_expected *e, struct reply *r)
{
	const ProtobufCBinaryData *box = &r->message->sealed_token;
	ProtobufCAllocator allocator = { bump_alloc, bump_free, NULL };
	struct bump bump;
	size_t bytes, room;

	if (r->message->suite != TOKEND__V1__SUITE__SEALEDBOX_X25519 || box->len <= crypto_box_SEALBYTES)
		return "it holds no box of a kind that can be opened";
	if (strcmp(r->message->recipient_key_id, e->request->message->recipient->key_id) != 0)
		return "it is sealed to another key";
	bytes = box->len - crypto_box_SEALBYTES;
	room = ROUND_UP(bytes) + DECODED_ROOM(ROUND_UP(bytes));
	r->guarded = secret_guarded_new(room);
	if (r->guarded == NULL)
		return "there is no memory that can be locked to open it in";
	if (crypto_box_seal_open(r->guarded, box->data, box->len, e->box->public_key, e->box->secret) != 0)
		return "its box does not open with the profile's box key";

	bump.next = r->guarded + ROUND_UP(bytes);
	bump.end = r->guarded + room;
	allocator.allocator_data = &bump;
	r->secret = tokend__v1__token_secret__unpack(&allocator, bytes, r->guarded);
	return r->secret != NULL ? foreign(e, r->secret) : "what its box holds cannot be decoded";
}

void
reply_judge(const struct reply_expected *e, const struct record *record, struct reply *ret_reply)
{
	const char *why;
	struct reply r = { .verdict = REPLY_OTHERS };

	if (span_is(record->key, e->request->message->request_id) && record->value.data != NULL) {
		r.message = believe(e, record, &r);
		if (r.message != NULL && r.message->status->code != CODE_OK) {
			r.verdict = REPLY_REFUSED;
		} else if (r.message != NULL) {
			r.verdict = REPLY_OPENED;
			if ((why = open_box(e, &r)) != NULL) {
				reply_wipe(&r);
				ignore(&r, why);
			}
		}
	}
	*ret_reply = r;
}

void
reply_wipe(struct reply *r)
{
	if (r->message != NULL)
		tokend__v1__create_token_reply__free_unpacked(r->message, NULL);
	secret_guarded_free(r->guarded);
	*r = (struct reply){ .verdict = REPLY_OTHERS };
}
