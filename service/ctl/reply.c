/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this record the answer to our request, and what does it say?
 *
 * That a pinned key of the service signed it, for the very record we sent, is genuine.c's to say. And
 * no token is believed unless the box's own words about its context are ours, because a sealed box
 * says nothing about who sealed it or what for. What fails is no error but noise: the genuine reply
 * may be the next record. Every reason to ignore has a sentence, for --debug. An error is an error,
 * whatever lies beside it: its box stays shut.
 *
 * The token is decrypted, decoded and kept in one block of guarded memory. Nothing here prints,
 * waits or remembers.
 */
#include "service/ctl/reply.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "service/base/murmur2.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/status.h"
#include "service/ctl/genuine.h"

#define REPLY_INDEX 3                   /* CreateTokenReply is the fourth message of its file */
#define EXPIRY_SLACK_SECONDS 1          /* InfluxDB may round */
#define TOKEN_LEAST 64
#define TOKEN_MOST 1024
#define UUID_BYTES 36
#define MARKER " [tokend/1:"
#define DESCRIPTION_ROOM 512            /* 200 that were asked for, and a marker */

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

static Tokend__V1__CreateTokenReply *
believe(const struct reply_expected *e, const struct record *record, struct reply *r)
{
	static const struct genuine_kind kind = { DSSE_TYPE_CREATE_REPLY, REPLY_INDEX };
	const struct genuine_keys service = { e->service_keys, e->n_service_keys };
	Tokend__V1__CreateTokenReply *m = NULL;
	struct span body;
	const char *why = genuine_open(&kind, &service, record, &body);

	if (why == NULL) {
		m = tokend__v1__create_token_reply__unpack(NULL, body.bytes, body.data);
		why = m == NULL ? "it is signed and cannot be decoded" : genuine_answers(e->request,
		    &(struct genuine_reply){ m->request_id, m->principal, m->request_digest, m->status });
	}
	if (why == NULL)
		return m;
	ignore(r, why);
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
	    got->seconds <= asked->seconds + EXPIRY_SLACK_SECONDS - (got->nanos > 0);
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

/* Ours (whatever it was, when its bytes are lost), then the service's marker, of which we know all but the attempt's
 * UUID, and nothing behind it. */
static bool
description_fits(const struct reply_expected *e, const char *got)
{
	const Tokend__V1__CreateTokenRequest *ours = e->request->message;
	const char *text = e->request->bytes_lost ? "" : ours->description, *at;
	char known[DESCRIPTION_ROOM];
	size_t bytes = (size_t)snprintf(known, sizeof(known), MARKER "%s:%s:%d:", ours->service_id, ours->principal,
	    (int)murmur2_partition(span_str(ours->request_id), e->partitions));

	if (strncmp(got, text, strlen(text)) != 0)
		return false;
	at = e->request->bytes_lost ? strstr(got, MARKER) : got + strlen(text);
	if (at == NULL || bytes >= sizeof(known) || strncmp(at, known, bytes) != 0)
		return false;
	at += bytes;
	return strlen(at) == UUID_BYTES + 1 && text_is_uuid(span_of(at, UUID_BYTES)) && at[UUID_BYTES] == ']';
}

/* What is printed on a terminal, and pasted into a configuration, is printable ASCII in one word. */
static bool
is_token(const char *text)
{
	size_t bytes = strlen(text);

	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return bytes >= TOKEN_LEAST && bytes <= TOKEN_MOST;
}

/* What the service calls the key that the request names, or brings along; NULL: it does neither. */
static const char *
recipient_id(const Tokend__V1__Recipient *recipient, char room[KEYS_FINGERPRINT_ROOM])
{
	const ProtobufCBinaryData *key;

	if (recipient != NULL && recipient->key_case == TOKEND__V1__RECIPIENT__KEY_KEY_ID)
		return recipient->key_id;
	if (recipient == NULL || recipient->key_case != TOKEND__V1__RECIPIENT__KEY_INLINE_KEY)
		return NULL;
	key = &recipient->inline_key->public_key;
	return key->len == KEYS_BYTES ? keys_fingerprint(key->data, room) : NULL;
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
foreign(const struct reply_expected *e, const char *key_id, const Tokend__V1__TokenSecret *s)
{
	const Tokend__V1__CreateTokenRequest *ours = e->request->message;

	if (strcmp(s->service_id, ours->service_id) != 0)
		return "its box names another service";
	if (strcmp(s->request_id, ours->request_id) != 0)
		return "its box names another request";
	if (strcmp(s->recipient_key_id, key_id) != 0)
		return "its box names another box key";
	if (!description_fits(e, s->description))
		return "its box names another description";
	if (!text_is_uuid(span_str(s->token_id)) || !is_token(s->access_token))
		return "its box holds no token";
	return e->request->bytes_lost ? NULL : foreign_to_bytes(e, s);
}

/* One guarded block: the plaintext first, what is decoded from it behind. */
static const char *
open_box(const struct reply_expected *e, struct reply *r)
{
	const ProtobufCBinaryData *box = &r->message->sealed_token;
	ProtobufCAllocator allocator = { bump_alloc, bump_free, NULL };
	char id_room[KEYS_FINGERPRINT_ROOM];
	const char *key_id = recipient_id(e->request->message->recipient, id_room);
	struct bump bump;
	size_t bytes, room;

	if (key_id == NULL)
		return "the request names no key to seal to";
	if (r->message->suite != TOKEND__V1__SUITE__SEALEDBOX_X25519 || box->len <= crypto_box_SEALBYTES)
		return "it holds no box of a kind that can be opened";
	if (strcmp(r->message->recipient_key_id, key_id) != 0)
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
	return r->secret != NULL ? foreign(e, key_id, r->secret) : "what its box holds cannot be decoded";
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
