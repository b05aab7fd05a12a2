/* A request, decoded: what the contract calls CreateTokenRequest, GetOutcomeRequest and RevokeTokenRequest,
 * as the rooms pass it on. Strings are NUL-terminated and live in the ticket's arena. */
#ifndef TOKEND_REQUEST_H
#define TOKEND_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/permission.h"
#include "service/base/span.h"

/* What can be asked for, in the order of the contract's messages (Schema Registry's message index counts
 * them): the rpc, and the types under which its request and its reply are signed (service/base/dsse.h). */
#define METHODS(ROW) \
	ROW(CREATE_TOKEN, "/tokend.v1.TokenService/CreateToken", DSSE_TYPE_CREATE_REQUEST,  DSSE_TYPE_CREATE_REPLY) \
	ROW(GET_OUTCOME,  "/tokend.v1.TokenService/GetOutcome",  DSSE_TYPE_OUTCOME_REQUEST, DSSE_TYPE_CREATE_REPLY) \
	ROW(REVOKE_TOKEN, "/tokend.v1.TokenService/RevokeToken", DSSE_TYPE_REVOKE_REQUEST,  DSSE_TYPE_REVOKE_REPLY)

enum method {
#define ROW(method, name, request_type, reply_type) METHOD_##method,
	METHODS(ROW)
#undef ROW
	METHOD_COUNT
};

#define SUITE_SEALEDBOX 1                /* the contract's Suite numbers */
#define RECIPIENT_KEY_BYTES 32
#define RECIPIENT_KEY_ID_ROOM 72

/* What the record's headers and frame said (headers.c). Spans point into the record. */
struct metadata {
	enum method method;
	struct span method_name;         /* the header as it came, or empty */
	struct span key_id;              /* raw; empty when absent */
	struct span signature_header;    /* raw (base64); empty when absent: what the digest covers */
	bool has_signature;
	unsigned char signature[64];     /* decoded, when has_signature */
	struct span body;                /* the value without its frame: what is signed */
	struct span traceparent, tracestate;   /* empty when absent or malformed */
	unsigned n_echoed;               /* to be sent back byte for byte */
	struct { struct span name, value; } echoed[8];
};

struct request {
	enum method method;
	const char *request_id, *principal, *service_id;
	int64_t issued_at;               /* Unix seconds */
	bool has_deadline;
	int64_t deadline;                /* Unix seconds; issued_at + 15 min when it had none */

	/* CreateToken; values are checked by decode_values only, which also fills what is marked so. */
	const char *cluster_name, *account_id, *cluster_id;      /* NULL when absent */
	int cluster;                     /* index into the configuration's clusters (decode_values) */
	const char *description;
	size_t description_bytes;
	struct permission *permissions; size_t n_permissions;    /* (decode_values) */
	bool has_expires_at;
	int64_t expires_at;              /* Unix seconds */
	const char *recipient_key_id;    /* registered; NULL when inline */
	bool inline_key;
	uint32_t inline_suite;
	struct span inline_public_key;

	/* RevokeToken */
	const char *reason;

	/* The key that the box will be sealed to (authorize_request). */
	uint32_t suite;
	unsigned char recipient[RECIPIENT_KEY_BYTES];
	char recipient_id[RECIPIENT_KEY_ID_ROOM];    /* "t-box1", or "sha256:" + 16 hex digits */

	/* What decode_shape kept for decode_values. */
	void *decoded;
};

#endif
