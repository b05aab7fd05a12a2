/* SPDX-License-Identifier: Apache-2.0 */
/* All that crosses the wall between the service and the workers: a job goes in, the same job comes back with its
 * outcome.
 *
 * A job is exactly one attempt at one call. It is never retried here: whoever gave it reads the verdict and
 * decides. The workers know nothing of Kafka.
 *
 * Ownership: the job and all that its `in` part points to belong to the giver, who keeps them alive until the
 * job comes back; between pool_submit and its return from the mailbox only the worker touches it. What a job
 * brings back, the access token of CREATED (in guarded memory leased from the pool) and what LISTED found, is
 * given up by pool_return, from any thread. */
#ifndef TOKEND_WORKERS_JOB_H
#define TOKEND_WORKERS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/mailbox.h"
#include "service/base/permission.h"
#include "service/base/span.h"

enum job_verb { JOB_CREATE, JOB_DELETE, JOB_LIST };
#define JOB_VERBS 3

/* What a result means. One table; verdict.c fills it from what happened, the service acts on it.
 * ROW(verdict, label, fate, meaning); fate is what the attempt counts as where it delivers nothing. */
#define VERDICTS(ROW) \
	ROW(CREATED,    "created",    NONE,     "200 or 201 with a token that is what was asked for") \
	ROW(NOT_SENT,   "not_sent",   NOT_SENT, "refused connection, DNS, TLS, connect timeout, lease over") \
	ROW(AMBIGUOUS,  "ambiguous",  UNKNOWN,  "left, then an error, 408, 5xx but 501, a 2xx that makes no sense") \
	ROW(REJECTED,   "rejected",   REFUSED,  "400 405 413 415 422 501: it will never be accepted") \
	ROW(CREDENTIAL, "credential", REFUSED,  "401 403: the service's own credential is refused") \
	ROW(NOT_FOUND,  "not_found",  REFUSED,  "404: database, account or cluster unknown") \
	ROW(CONFLICT,   "conflict",   REFUSED,  "409") \
	ROW(THROTTLED,  "throttled",  REFUSED,  "429 425: later") \
	ROW(REDIRECTED, "redirected", UNKNOWN,  "3xx: the configured URL is wrong; never followed") \
	ROW(DELETED,    "deleted",    NONE,     "204, 404: the token is gone") \
	ROW(LISTED,     "listed",     NONE,     "200 to a list that is whole and well formed")

enum verdict {
#define ROW(verdict, label, fate, meaning) VERDICT_##verdict,
	VERDICTS(ROW)
#undef ROW
	VERDICT_COUNT
};
enum job_fate { JOB_FATE_NONE, JOB_FATE_NOT_SENT, JOB_FATE_REFUSED, JOB_FATE_UNKNOWN };

const char *verdict_label(enum verdict v);
enum job_fate verdict_fate(enum verdict v);

#define JOB_MESSAGE_BYTES 256
#define JOB_TOKEN_ID_ROOM 37
#define JOB_ACCESS_TOKEN_MOST 1024
#define JOB_MARKER_MOST 255             /* bytes; tokend's own marker has at most 165 */

/* A token that a LIST looked for and found. */
struct job_listed {
	char token_id[JOB_TOKEN_ID_ROOM];
	bool revoked;
	int64_t created_at;             /* Unix seconds; 0: the list does not say */
	const char *marker;             /* of its description: from the last place of looked_for to the end, cut after
	                                 * JOB_MARKER_MOST bytes */
};

struct job {
	struct mail mail;               /* first: a job is a message */
	void *owner;                    /* the giver's; the workers never look */

	/* in, set by the giver */
	enum job_verb verb;
	unsigned cluster;               /* index into the clusters the pool was made with */
	uint64_t lease_until_boot_ms;   /* CREATE: the request must not start to leave after this (R3) */
	uint64_t not_after_boot_ms;     /* and must have ended by this; the call's timeout is min(15 s, what is left),
	                                 * a LIST's what is left */
	const char *description;        /* CREATE: with its marker */
	const struct permission *permissions; size_t n_permissions;
	bool has_expires_at;
	int64_t expires_at;             /* Unix seconds */
	const char *token_id;           /* DELETE */
	const char *looked_for;         /* LIST: tokens whose description holds this text are kept; NULL: none is, the
	                                 * list is only tried */
	int64_t created_from;           /* LIST: unless they were created before this, Unix seconds */

	/* out, set by the worker */
	enum verdict verdict;
	bool left;                      /* the request may have left this process: the attempt is spent */
	bool credential_renewed;        /* CREDENTIAL: and the next call will carry another one */
	int http_status;                /* 0: no answer */
	uint64_t retry_after_ms;        /* from Retry-After, either form; 0: none */
	uint64_t took_us;
	char message[JOB_MESSAGE_BYTES];   /* why, for people: printable, never a secret */
	/* out of a CREATE that came back CREATED */
	char created_id[JOB_TOKEN_ID_ROOM];
	struct span access_token;       /* in the leased memory below */
	bool marker_intact;             /* the description came back as it was sent */
	int64_t created_at; int32_t created_at_nanos;      /* both 0: the answer did not say */
	bool token_expires; int64_t token_expires_at; int32_t token_expires_at_nanos;
	void *leased;                   /* guarded memory of the pool's; NULL: none */
	/* out of a LIST that came back LISTED */
	struct job_listed *listed; size_t n_listed;        /* what was looked for, ordered by marker; NULL and 0:
	                                                    * nothing was found. free() takes it, or pool_return */
	size_t n_tokens;                /* in the whole list, revoked ones too */
	int64_t skew_ms;                /* what the API's clock is ahead of ours, by the answer's Date; 0: unknown */
};

#endif
