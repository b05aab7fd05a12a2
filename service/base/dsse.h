/* SPDX-License-Identifier: Apache-2.0 */
/* DSSE's pre-authentication encoding, and what the contract derives from it: signature, fingerprint, digest.
 *
 *   PAE(type, body) = "DSSEv1 " len(type) " " type " " len(body) " " body        (lengths decimal)
 *   fingerprint     = SHA-256(PAE)
 *   request_digest  = SHA-256(PAE " " len(kid) " " kid " " len(sig) " " sig)     (raw header bytes; absent: length 0)
 *
 * The type is the message's full name as a media type, so that a signature for one message is worth
 * nothing for another. Pure functions of buffers; any thread. */
#ifndef TOKEND_BASE_DSSE_H
#define TOKEND_BASE_DSSE_H

#include <stdbool.h>

#include "service/base/span.h"

#define DSSE_HASH_BYTES 32
#define DSSE_PUBLIC_BYTES 32       /* Ed25519 */
#define DSSE_SECRET_BYTES 64       /* libsodium's form: seed and public key */
#define DSSE_SEED_BYTES 32
#define DSSE_SIGNATURE_BYTES 64

#define DSSE_TYPE_CREATE_REQUEST "application/vnd.tokend.v1.CreateTokenRequest+protobuf"
#define DSSE_TYPE_OUTCOME_REQUEST "application/vnd.tokend.v1.GetOutcomeRequest+protobuf"
#define DSSE_TYPE_REVOKE_REQUEST "application/vnd.tokend.v1.RevokeTokenRequest+protobuf"
#define DSSE_TYPE_CREATE_REPLY "application/vnd.tokend.v1.CreateTokenReply+protobuf"
#define DSSE_TYPE_REVOKE_REPLY "application/vnd.tokend.v1.RevokeTokenReply+protobuf"

void dsse_sha256(struct span bytes, unsigned char ret_hash[DSSE_HASH_BYTES]);

void dsse_fingerprint(const char *type, struct span body, unsigned char ret_hash[DSSE_HASH_BYTES]);
void dsse_digest(const char *type, struct span body, struct span key_id, struct span signature,
    unsigned char ret_hash[DSSE_HASH_BYTES]);

void dsse_public_of(const unsigned char secret[DSSE_SECRET_BYTES], unsigned char ret_public[DSSE_PUBLIC_BYTES]);
void dsse_secret_of_seed(const unsigned char seed[DSSE_SEED_BYTES], unsigned char ret_secret[DSSE_SECRET_BYTES]);
void dsse_sign(const char *type, struct span body, const unsigned char secret[DSSE_SECRET_BYTES],
    unsigned char ret_signature[DSSE_SIGNATURE_BYTES]);
/* Is it a point by which a signature can verify, as every honest key is? Of 16 X25519 keys 15 are not. */
bool dsse_public_usable(const unsigned char public_key[DSSE_PUBLIC_BYTES]);
bool dsse_verify(const char *type, struct span body, const unsigned char public_key[DSSE_PUBLIC_BYTES],
    const unsigned char signature[DSSE_SIGNATURE_BYTES]);

#endif
