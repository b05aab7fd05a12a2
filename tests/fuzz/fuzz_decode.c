/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/decode.c service/decode_values.c service/decode_parts.c service/strict.c service/verify.c
 * service/authorize.c
 *
 * A request's bytes, on the way that the pipeline takes them: verify, strict walk, shape, values, policy.
 * The input is signed in here with a key that the policy knows, so that what is fuzzed is what a requester
 * with a key can do; one flag spoils a bit behind the signature instead.
 *
 * Input: a byte of flags (the method's number, SPOIL, and two bits of the minutes by which the clock is ahead),
 * then the message.
 *
 * Promises: a spoilt record never verifies. A refusal is of a row that its room may use. What is accepted
 * has no field twice, and is read alike by whoever packs it again; all its names are of their character sets;
 * its times lie within bounds; and every permission is covered by a grant that this file spells out for itself. */
#include "tests/fuzz/harness.h"

#include <stdlib.h>

#include "service/authorize.h"
#include "service/base/arena.h"
#include "service/base/boxkey.h"
#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/text.h"
#include "service/decode.h"
#include "service/headers.h"
#include "service/policy.h"
#include "service/strict.h"
#include "service/verify.h"
#include "tokend/v1/token.pb-c.h"

#define METHOD_BITS 3
#define SPOIL 4

static void
sign(struct metadata *m, char room[89])
{
	static unsigned char secret[DSSE_SECRET_BYTES];
	static bool made;

	if (!made)
		harness_signing_secret(secret);
	made = true;
	dsse_sign(headers_request_type(m->method), m->body, secret, m->signature);
	m->has_signature = true;
	m->signature_header = span_str(text_base64(span_of(m->signature, sizeof(m->signature)), room));
}

static void
check_spoilt(struct metadata *m, size_t where)
{
	unsigned char *copy = malloc(m->body.bytes);
	struct verification v = { .metadata = m, .policy = harness_policy() };
	struct status refusal;

	if (m->body.bytes > 0) {
		HOLDS(copy != NULL);
		memcpy(copy, m->body.data, m->body.bytes);
		copy[where % m->body.bytes] ^= (unsigned char)(1u << (where & 7));
		m->body = span_of(copy, m->body.bytes);
		HOLDS(verify_signature(&v, &refusal) != 0);
		HOLDS(refusal.cause == STATUS_BAD_SIGNATURE);
		harness_refusal(&refusal, ABOUT_RECORD);
	}
	free(copy);
}

/* In what was accepted, tags and lengths need no checks: fields are few, so a tag is one byte. Only permissions may
 * stand again. */
static void
check_no_field_twice(const struct request *r, struct span body)
{
	unsigned seen = 0;

	for (size_t i = 0; i < body.bytes;) {
		uint8_t tag = body.data[i++];
		size_t length = 0, shift = 0;
		bool again;

		do {
			HOLDS(i < body.bytes && shift < 64);
			length |= (size_t)(body.data[i] & 0x7f) << shift;
			shift += 7;
			again = (body.data[i++] & 0x80) != 0;
		} while (again);
		i += (tag & 7) == 2 ? length : 0;
		HOLDS((seen >> (tag >> 3) & 1) == 0 || (r->method == METHOD_CREATE_TOKEN && tag >> 3 == 6));
		seen |= 1u << (tag >> 3);
	}
}

/* Whoever packs it again has no more bytes, the walk takes them, and they are packed the same for ever. */
static void
check_repacks(const ProtobufCMessage *m, struct span body)
{
	size_t bytes = protobuf_c_message_get_packed_size(m), again_bytes;
	unsigned char *packed = malloc(bytes + 1), *again;
	ProtobufCMessage *read;
	struct status refusal;

	HOLDS(packed != NULL);
	HOLDS(bytes <= body.bytes);
	HOLDS(protobuf_c_message_pack(m, packed) == bytes);
	HOLDS(strict_walk(m->descriptor, span_of(packed, bytes), &refusal) == 0);
	read = protobuf_c_message_unpack(m->descriptor, NULL, bytes, packed);
	HOLDS(read != NULL);
	again_bytes = protobuf_c_message_get_packed_size(read);
	HOLDS(again_bytes == bytes);
	again = malloc(again_bytes + 1);
	HOLDS(again != NULL);
	HOLDS(protobuf_c_message_pack(read, again) == bytes && memcmp(again, packed, bytes) == 0);
	protobuf_c_message_free_unpacked(read, NULL);
	free(packed);
	free(again);
}

static void
check_shape(const struct request *r, int64_t most)
{
	HOLDS(strcmp(r->request_id, HARNESS_ID) == 0);
	HOLDS(strcmp(r->principal, HARNESS_PRINCIPAL) == 0);
	HOLDS(strcmp(r->service_id, harness_config()->service_id) == 0);
	HOLDS(r->deadline <= r->issued_at + most);
	if (r->reason != NULL)
		HOLDS(strlen(r->reason) <= 200 && text_is_utf8(span_str(r->reason)));
}

static void
check_values(const struct request *r)
{
	HOLDS(r->cluster >= 0 && (size_t)r->cluster < harness_config()->n_clusters);
	HOLDS(text_is_description(span_str(r->description)) && r->description_bytes == strlen(r->description));
	HOLDS(r->n_permissions >= 1 && r->n_permissions <= 1000);
	for (size_t i = 0; i < r->n_permissions; i++) {
		HOLDS(r->permissions[i].action == PERMISSION_READ || r->permissions[i].action == PERMISSION_WRITE);
		HOLDS(r->permissions[i].database == NULL || text_is_database(span_str(r->permissions[i].database)));
	}
	for (size_t i = 1; i < r->n_permissions && i < 16; i++)
		for (size_t j = 0; j < i; j++)
			HOLDS(r->permissions[i].action != r->permissions[j].action ||
			    !span_equal(span_str(r->permissions[i].database), span_str(r->permissions[j].database)));
	HOLDS(r->deadline >= r->issued_at);
	HOLDS((r->recipient_key_id != NULL) != r->inline_key);
	if (r->inline_key)
		HOLDS(r->inline_suite == SUITE_SEALEDBOX && r->inline_public_key.bytes == RECIPIENT_KEY_BYTES);
}

static bool
covered(const struct request *r, const struct permission *p, int64_t now)
{
	if (r->cluster == 1)
		return p->action == PERMISSION_READ;
	return r->has_expires_at && r->expires_at <= now + 90 * 86400 && p->database != NULL &&
	    (strncmp(p->database, "telemetry_", 10) == 0 || strcmp(p->database, "db/1") == 0);
}

static void
check_granted(const struct request *r, int64_t now)
{
	for (size_t i = 0; i < r->n_permissions; i++)
		HOLDS(covered(r, &r->permissions[i], now));
	HOLDS(!r->has_expires_at || r->expires_at > now);
	HOLDS(r->suite == SUITE_SEALEDBOX && boxkey_usable(r->recipient));
	HOLDS(r->inline_key ? strncmp(r->recipient_id, "sha256:", 7) == 0 :
	    strcmp(r->recipient_id, HARNESS_BOX_ID) == 0);
}

static void
ask(const struct policy_key *key, struct request *r, struct arena *a, int64_t now)
{
	static struct authorize *authorize;
	struct status refusal;

	if (authorize == NULL)
		authorize = authorize_new(harness_config());
	if (authorize_record(key, r, now, &refusal) != 0) {
		harness_refusal(&refusal, ABOUT_RECORD);
		return;
	}
	HOLDS(r->issued_at <= now + 120);
	if (r->method != METHOD_CREATE_TOKEN)
		return;
	if (decode_values(harness_config(), a, r, &refusal) != 0) {
		HOLDS(refusal.cause == STATUS_INVALID_FIELD);
		harness_refusal(&refusal, ABOUT_OUTCOME);
		return;
	}
	check_values(r);
	if (authorize_request(authorize, harness_policy(), 0, r, now, 0, &refusal) != 0)
		harness_refusal(&refusal, ABOUT_OUTCOME);
	else
		check_granted(r, now);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	uint8_t flags = feed_byte(&f);
	struct metadata m = { .method = (enum method)((flags & METHOD_BITS) % METHOD_COUNT),
	    .key_id = span_str(HARNESS_KEY_ID), .body = feed_rest(&f) };
	struct verification v = { .metadata = &m, .policy = harness_policy() };
	struct arena a = { 0 };
	struct request r;
	struct status refusal;
	char room[89];

	sign(&m, room);
	if ((flags & SPOIL) != 0) {
		check_spoilt(&m, bytes);
		feed_end(&f);
		return 0;
	}
	HOLDS(verify_signature(&v, &refusal) == 0);
	if (decode_shape(harness_config(), m.method, m.body, span_str(HARNESS_ID), v.key->principal, &a, &r,
	    &refusal) != 0) {
		harness_refusal(&refusal, ABOUT_RECORD);
	} else {
		check_no_field_twice(&r, m.body);
		check_repacks(r.decoded, m.body);
		check_shape(&r, (int64_t)(harness_config()->deadline_most_ms / 1000));
		ask(v.key, &r, &a, HARNESS_NOW + 60 * (flags >> 6));
	}
	arena_free(&a);
	feed_end(&f);
	return 0;
}
