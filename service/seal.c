/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token's way out. Its string comes in guarded memory, is packed into a TokenSecret in guarded memory
 * and leaves as a sealed box; no other copy is made. The guarded buffer belongs to the thread and grows to
 * the largest secret seen, because guarded memory costs more to allocate than to use; it is wiped after
 * each box, and so is the stack below us, where libsodium and protobuf-c have worked.
 *
 * A sealed box authenticates nothing but itself, so the plaintext repeats the request it answers, and the
 * opener compares.
 *
 * A reply is stored without what differs between two publications of it (its digest, time and "replayed")
 * and without a signature. Those fields are appended as protobuf: the concatenation of two encodings is the
 * encoding of both messages merged, and since none of the appended fields stands in what is stored, nothing
 * has to be parsed again to publish it.
 */
#include "service/seal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "service/base/arena.h"
#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/registers.h"
#include "service/base/secret.h"
#include "tokend/v1/token.pb-c.h"

#define STACK_BYTES 8192               /* more than sealing and packing use */
#define GUARDED_BYTES_LEAST 4096
#define FIELD_HEAD_MOST 16             /* more than a field's tag and length */

_Static_assert(RECIPIENT_KEY_BYTES == crypto_box_PUBLICKEYBYTES, "a recipient's key is a sealed box's");

/* ---------------------------------------------------------------------------------------- the thread's buffer */

struct guarded {
	unsigned char *data;
	size_t bytes;
};

static tss_t guarded_key;
static once_flag guarded_once = ONCE_FLAG_INIT;
static int guarded_ready;

static void
guarded_free(void *p)
{
	struct guarded *g = p;

	secret_guarded_free(g->data);
	free(g);
}

static void
guarded_init(void)
{
	guarded_ready = tss_create(&guarded_key, guarded_free) == thrd_success;
}

/* At least bytes of this thread's buffer, NULL when there is no guarded memory. */
static unsigned char *
guarded_take(size_t bytes)
{
	struct guarded *g;

	call_once(&guarded_once, guarded_init);
	if (!guarded_ready)
		return NULL;
	g = tss_get(guarded_key);
	if (g == NULL) {
		g = calloc(1, sizeof(*g));
		if (g == NULL || tss_set(guarded_key, g) != thrd_success) {
			free(g);
			return NULL;
		}
	}
	if (g->bytes < bytes) {
		secret_guarded_free(g->data);
		g->bytes = bytes > GUARDED_BYTES_LEAST ? bytes : GUARDED_BYTES_LEAST;
		g->data = secret_guarded_new(g->bytes);
		if (g->data == NULL)
			g->bytes = 0;
	}
	return g->data;
}

/* -------------------------------------------------------------------------------------------------- the box */

/* protobuf-c's structures do not say const, and do not write. */
static char *
text(const char *s)
{
	return s != NULL ? (char *)(uintptr_t)s : (char *)(uintptr_t)protobuf_c_empty_string;
}

static ProtobufCBinaryData
binary(const unsigned char *data, size_t bytes)
{
	return (ProtobufCBinaryData){ bytes, (uint8_t *)(uintptr_t)data };
}

static Tokend__V1__Permission **
permissions_of(const struct request *r, struct arena *a)
{
	Tokend__V1__Permission **all = arena_alloc(a, r->n_permissions * sizeof(*all));
	Tokend__V1__Permission *each = arena_alloc(a, r->n_permissions * sizeof(*each));

	for (size_t i = 0; i < r->n_permissions; i++) {
		const struct permission *p = &r->permissions[i];

		all[i] = &each[i];
		tokend__v1__permission__init(all[i]);
		all[i]->action = p->action == PERMISSION_READ ? TOKEND__V1__ACTION__READ : TOKEND__V1__ACTION__WRITE;
		if (p->database != NULL) {
			all[i]->resource_case = TOKEND__V1__PERMISSION__RESOURCE_DATABASE;
			all[i]->database = text(p->database);
		} else {
			all[i]->resource_case = TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
			all[i]->all_databases = 1;
		}
	}
	return all;
}

static Google__Protobuf__Timestamp
timestamp(int64_t seconds, int32_t nanos)
{
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	t.seconds = seconds;
	t.nanos = nanos;
	return t;
}

/* All of the secret but its string. The timestamps are the caller's, for protobuf-c points to them. */
static void
fill(const struct seal_token *s, struct arena *a, Google__Protobuf__Timestamp *created_at,
    Google__Protobuf__Timestamp *expires_at, Tokend__V1__TokenSecret *m)
{
	const struct request *r = s->request;

	*created_at = timestamp(s->created_at, s->created_at_nanos);
	*expires_at = timestamp(s->expires_at, s->expires_at_nanos);
	tokend__v1__token_secret__init(m);
	m->service_id = text(r->service_id);
	m->request_id = text(r->request_id);
	m->request_fingerprint = binary(s->fingerprint, DSSE_HASH_BYTES);
	m->recipient_key_id = text(r->recipient_id);
	m->cluster = text(s->cluster_name);
	m->account_id = text(s->account_id);
	m->cluster_id = text(s->cluster_id);
	m->description = text(s->description_sent);
	m->n_permissions = r->n_permissions;
	m->permissions = permissions_of(r, a);
	m->token_id = text(s->token_id);
	m->created_at = created_at;
	m->expires_at = s->has_expires_at ? expires_at : NULL;
}

/* The guarded buffer holds the string, for protobuf-c wants it with a NUL behind it, and after it the
 * packed message. */
static int
pack_and_seal(Tokend__V1__TokenSecret *m, struct span string, const unsigned char recipient[crypto_box_PUBLICKEYBYTES],
    struct arena *a, struct span *ret_box, struct err *ret_err)
{
	size_t packed_most = tokend__v1__token_secret__get_packed_size(m) + FIELD_HEAD_MOST + string.bytes;
	size_t guarded_bytes = string.bytes + 1 + packed_most;
	unsigned char *guarded = guarded_take(guarded_bytes);
	unsigned char *packed, *box;
	size_t packed_bytes;
	int sealed;

	if (guarded == NULL)
		return err_set(ret_err, ERR_FATAL,
		    "there is no guarded memory of %zu bytes to seal a token in (RLIMIT_MEMLOCK)", guarded_bytes);
	packed = guarded + string.bytes + 1;
	memcpy(guarded, string.data, string.bytes);
	guarded[string.bytes] = '\0';
	m->access_token = (char *)guarded;
	packed_bytes = tokend__v1__token_secret__pack(m, packed);
	assert(packed_bytes <= packed_most);

	box = arena_alloc(a, packed_bytes + crypto_box_SEALBYTES);
	sealed = crypto_box_seal(box, packed, packed_bytes, recipient);
	secret_wipe(guarded, guarded_bytes);
	if (sealed != 0)
		return err_set(ret_err, ERR_FATAL, "nothing can be sealed to the recipient's key");
	*ret_box = span_of(box, packed_bytes + crypto_box_SEALBYTES);
	return 0;
}

int
seal_box(const struct seal_token *s, struct arena *a, struct span *ret_box, struct err *ret_err)
{
	Google__Protobuf__Timestamp created_at, expires_at;
	Tokend__V1__TokenSecret m;
	int result;

	if (s->request->suite != SUITE_SEALEDBOX)
		return err_set(ret_err, ERR_FATAL, "suite %u is not one that can be sealed to", s->request->suite);
	if (s->access_token.bytes == 0 || memchr(s->access_token.data, '\0', s->access_token.bytes) != NULL)
		return err_set(ret_err, ERR_FATAL, "the token's string is empty or holds a NUL");
	fill(s, a, &created_at, &expires_at, &m);
	result = pack_and_seal(&m, s->access_token, s->request->recipient, a, ret_box, ret_err);
	registers_forget();
	sodium_stackzero(STACK_BYTES);
	return result;
}

/* ------------------------------------------------------------------------------------------------ the reply */

static struct span
pack_behind(struct span stored, const ProtobufCMessage *stamp, struct arena *a)
{
	size_t stamp_bytes = protobuf_c_message_get_packed_size(stamp);
	unsigned char *value = arena_alloc(a, stored.bytes + stamp_bytes);

	if (stored.bytes > 0)
		memcpy(value, stored.data, stored.bytes);
	(void)protobuf_c_message_pack(stamp, value + stored.bytes);
	return span_of(value, stored.bytes + stamp_bytes);
}

static struct span
stamp_create(struct span stored, const struct seal_stamp *s, struct arena *a)
{
	Tokend__V1__CreateTokenReply m = TOKEND__V1__CREATE_TOKEN_REPLY__INIT;
	Google__Protobuf__Timestamp issued_at = timestamp(s->issued_at, 0), revoked_at = timestamp(s->revoked_at, 0);

	m.request_digest = binary(s->digest, sizeof(s->digest));
	m.replayed = s->replayed != 0;
	m.revoked_at = s->revoked_at != 0 ? &revoked_at : NULL;
	m.issued_at = &issued_at;
	return pack_behind(stored, &m.base, a);
}

static struct span
stamp_revoke(struct span stored, const struct seal_stamp *s, struct arena *a)
{
	Tokend__V1__RevokeTokenReply m = TOKEND__V1__REVOKE_TOKEN_REPLY__INIT;
	Google__Protobuf__Timestamp issued_at = timestamp(s->issued_at, 0), revoked_at = timestamp(s->revoked_at, 0);

	m.request_digest = binary(s->digest, sizeof(s->digest));
	m.replayed = s->replayed != 0;
	m.revoked_at = s->revoked_at != 0 ? &revoked_at : NULL;
	m.issued_at = &issued_at;
	return pack_behind(stored, &m.base, a);
}

void
seal_reply(struct span stored, const struct seal_stamp *stamp, const unsigned char service_secret[64], struct arena *a,
    struct span *ret_value, unsigned char ret_signature[64])
{
	bool revoke = stamp->method == METHOD_REVOKE_TOKEN;
	struct span value = revoke ? stamp_revoke(stored, stamp, a) : stamp_create(stored, stamp, a);

	dsse_sign(revoke ? DSSE_TYPE_REVOKE_REPLY : DSSE_TYPE_CREATE_REPLY, value, service_secret, ret_signature);
	*ret_value = value;
}
