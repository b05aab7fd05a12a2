/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSSE's pre-authentication encoding. The lengths in front make it unambiguous: no two (type, body)
 * pairs share an encoding, so a signature cannot be carried from one message type to another by
 * shifting a boundary.
 *
 * Hashes are fed piece by piece. Ed25519 reads its message twice, so signing and verifying need the
 * encoding in one piece: on the stack for a usual request, on the heap for a large one. Nothing here is
 * secret but the key.
 */
#include "service/base/dsse.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX_BYTES 160        /* "DSSEv1 ", two lengths, the type */
#define STACK_BYTES 2048

_Static_assert(DSSE_HASH_BYTES == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(DSSE_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(DSSE_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "Ed25519");
_Static_assert(DSSE_SEED_BYTES == crypto_sign_SEEDBYTES, "Ed25519");
_Static_assert(DSSE_SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519");

/* All of the encoding that stands before the body. */
static size_t
prefix(const char *type, size_t body_bytes, char ret[PREFIX_BYTES])
{
	int length = snprintf(ret, PREFIX_BYTES, "DSSEv1 %zu %s %zu ", strlen(type), type, body_bytes);

	if (length < 0 || length >= PREFIX_BYTES)       /* our own types are half as long */
		abort();
	return (size_t)length;
}

static void
feed(crypto_hash_sha256_state *state, struct span bytes)
{
	if (bytes.bytes > 0)
		(void)crypto_hash_sha256_update(state, bytes.data, bytes.bytes);
}

static void
feed_encoding(crypto_hash_sha256_state *state, const char *type, struct span body)
{
	char before[PREFIX_BYTES];

	feed(state, span_of(before, prefix(type, body.bytes, before)));
	feed(state, body);
}

static void
feed_counted(crypto_hash_sha256_state *state, struct span bytes)
{
	char before[32];
	int length = snprintf(before, sizeof(before), " %zu ", bytes.bytes);

	feed(state, span_of(before, (size_t)length));
	feed(state, bytes);
}

void
dsse_sha256(struct span bytes, unsigned char ret_hash[DSSE_HASH_BYTES])
{
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	feed(&state, bytes);
	(void)crypto_hash_sha256_final(&state, ret_hash);
}

void
dsse_fingerprint(const char *type, struct span body, unsigned char ret_hash[DSSE_HASH_BYTES])
{
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	feed_encoding(&state, type, body);
	(void)crypto_hash_sha256_final(&state, ret_hash);
}

void
dsse_digest(const char *type, struct span body, struct span key_id, struct span signature,
    unsigned char ret_hash[DSSE_HASH_BYTES])
{
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	feed_encoding(&state, type, body);
	feed_counted(&state, key_id);
	feed_counted(&state, signature);
	(void)crypto_hash_sha256_final(&state, ret_hash);
}

void
dsse_public_of(const unsigned char secret[DSSE_SECRET_BYTES], unsigned char ret_public[DSSE_PUBLIC_BYTES])
{
	(void)crypto_sign_ed25519_sk_to_pk(ret_public, secret);
}

void
dsse_secret_of_seed(const unsigned char seed[DSSE_SEED_BYTES], unsigned char ret_secret[DSSE_SECRET_BYTES])
{
	unsigned char public_key[DSSE_PUBLIC_BYTES];

	(void)crypto_sign_seed_keypair(public_key, ret_secret, seed);
}

/* The encoding in one piece: in small when it fits, else malloc'ed. */
static unsigned char *
encode(const char *type, struct span body, unsigned char small[STACK_BYTES], size_t *ret_bytes)
{
	char before[PREFIX_BYTES];
	size_t before_bytes = prefix(type, body.bytes, before);
	unsigned char *whole = small;

	*ret_bytes = before_bytes + body.bytes;
	if (*ret_bytes > STACK_BYTES && (whole = malloc(*ret_bytes)) == NULL)
		abort();
	memcpy(whole, before, before_bytes);
	if (body.bytes > 0)
		memcpy(whole + before_bytes, body.data, body.bytes);
	return whole;
}

void
dsse_sign(const char *type, struct span body, const unsigned char secret[DSSE_SECRET_BYTES],
    unsigned char ret_signature[DSSE_SIGNATURE_BYTES])
{
	unsigned char small[STACK_BYTES];
	size_t bytes;
	unsigned char *whole = encode(type, body, small, &bytes);

	(void)crypto_sign_detached(ret_signature, NULL, whole, bytes, secret);
	if (whole != small)
		free(whole);
}

bool
dsse_public_usable(const unsigned char public_key[DSSE_PUBLIC_BYTES])
{
	return crypto_core_ed25519_is_valid_point(public_key) == 1;
}

bool
dsse_verify(const char *type, struct span body, const unsigned char public_key[DSSE_PUBLIC_BYTES],
    const unsigned char signature[DSSE_SIGNATURE_BYTES])
{
	unsigned char small[STACK_BYTES];
	size_t bytes;
	unsigned char *whole = encode(type, body, small, &bytes);
	bool good = crypto_sign_verify_detached(signature, whole, bytes, public_key) == 0;

	if (whole != small)
		free(whole);
	return good;
}
