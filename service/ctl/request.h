/* SPDX-License-Identifier: Apache-2.0 */
/* A CreateToken as the requester holds it: the bytes it signed, kept on disk so that the very same
 * ones can be sent again. And what any signed record has in common with it. */
#ifndef TOKEND_CTL_REQUEST_H
#define TOKEND_CTL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "service/base/dsse.h"
#include "service/base/span.h"
#include "tokend/v1/token.pb-c.h"

struct arena;
struct err;

#define REQUEST_ID_ROOM 37

struct signed_request {
	struct span body;                                /* the record's value */
	const char *method, *key_id, *signature, *traceparent;   /* its headers; the signature in base64 */
	const Tokend__V1__CreateTokenRequest *message;   /* body, decoded; of a GetOutcome, what it asks about */
	bool bytes_lost;                                 /* of message only ID, principal, service and key are known */
	unsigned char fingerprint[DSSE_HASH_BYTES];      /* what the box will name; unknown when the bytes are lost */
	unsigned char digest[DSSE_HASH_BYTES];           /* what a reply to this record will name */
};

/* A new ID: a random UUID (version 4). */
const char *request_new_id(char room[REQUEST_ID_ROOM]);

/* Pack and sign. Everything is in the arena, a copy of message too. */
void request_sign(const Tokend__V1__CreateTokenRequest *message, const char *key_id,
    const unsigned char secret[DSSE_SECRET_BYTES], struct arena *a, struct signed_request *ret_request);

/* Sign that body, as a record of that method and DSSE type: body, headers and digest of *ret_request, in the arena,
 * and nothing else of it. */
void request_sign_body(const char *method, const char *type, struct span body, const char *key_id,
    const unsigned char secret[DSSE_SECRET_BYTES], struct arena *a, struct signed_request *ret_request);

/* Put it on disk, as STATE_DIR/REQUEST_ID.request; both synced. Makes the directory. Fails
 * (ERR_REFUSE) when that ID is there already: bytes under an ID never change. */
int request_store(const char *state_dir, const struct signed_request *r, struct err *ret_err);

/* Is there one under that ID?  1 and *ret_request, in the arena; 0: none; -1: it cannot be read. */
int request_load(const char *state_dir, const char *request_id, struct arena *a, struct signed_request *ret_request,
    struct err *ret_err);

/* Both ask for the same, apart from ID and issued_at? What is absent or empty in wanted counts as
 * the same; a deadline is compared by its distance from issued_at. If not, *ret_what names the
 * first difference, as its flag is called. */
bool request_asks_the_same(const Tokend__V1__CreateTokenRequest *stored, const Tokend__V1__CreateTokenRequest *wanted,
    const char **ret_what);

/* The order matters: it is the order in the token. */
bool request_permissions_equal(Tokend__V1__Permission *const *a, size_t n_a, Tokend__V1__Permission *const *b,
    size_t n_b);

#endif
