/* A token becomes a box that only its requester can open; a reply becomes signed bytes. Pure functions of
 * buffers, for any thread. */
#ifndef TOKEND_SEAL_H
#define TOKEND_SEAL_H

#include <stdint.h>

#include "service/base/span.h"
#include "service/request.h"

struct arena;
struct err;

struct seal_token {                       /* all that goes into the box; nothing is kept */
	const struct request *request;
	const unsigned char *fingerprint; /* 32 bytes */
	const char *cluster_name, *account_id, *cluster_id;      /* the ids: NULL or "" for Clustered */
	const char *description_sent;     /* with the marker */
	const char *token_id;
	struct span access_token;         /* guarded memory; not NUL-terminated */
	int64_t created_at; int32_t created_at_nanos;
	int has_expires_at; int64_t expires_at; int32_t expires_at_nanos;
};

/* Pack a TokenSecret in guarded memory, seal it to request->recipient; the box is in the arena. The plaintext
 * is wiped, the stack too. Fails (ERR_FATAL) when there is no guarded memory, or the suite is not one that
 * can be sealed to. */
int seal_box(const struct seal_token *s, struct arena *a, struct span *ret_box, struct err *ret_err);

/* What each publication of a stored reply adds: its own digest, time, and whether it is told again. */
struct seal_stamp {
	enum method method;               /* whose reply: CREATE_TOKEN (GetOutcome's, too) or REVOKE_TOKEN */
	unsigned char digest[32];
	int replayed;
	int64_t issued_at;                /* Unix seconds */
	int64_t revoked_at;               /* 0: not revoked */
};

/* stored (a packed reply without what the stamp holds) -> the value to publish, in the arena, and its
 * signature under the service's key. Nothing is parsed: protobuf's concatenation merges, and the stamp's
 * fields are absent from what is stored. */
void seal_reply(struct span stored, const struct seal_stamp *stamp, const unsigned char service_secret[64],
    struct arena *a, struct span *ret_value, unsigned char ret_signature[64]);

#endif
