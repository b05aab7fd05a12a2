/* SPDX-License-Identifier: Apache-2.0 */
/* May this token be deleted (R4)?  One pure function of what is known; any thread. */
#ifndef TOKEND_EVIDENCE_H
#define TOKEND_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/ticket.h"

/* Every answer there is. ROW(clause, effect, label, why): the label is for metrics and logs. */
#define EVIDENCE_CLAUSES(ROW) \
	ROW(CLOSED,      DELETE, "closed",      "its attempt is in a committed closed[]") \
	ROW(ENDED,       DELETE, "ended",       "its attempt is ours, and its call ended without a string") \
	ROW(TWIN,        DELETE, "twin",        "its attempt delivered another token, and made this one, too") \
	ROW(STRING,      DELETE, "string",      "its string is in hand, its partition lost, its DONE certainly not committed") \
	ROW(DELIVERED,   KEEP,   "delivered",   "somebody received it") \
	ROW(REVOKED,     KEEP,   "revoked",     "it is dead already") \
	ROW(UNDER_WAY,   KEEP,   "under_way",   "its attempt may still deliver it") \
	ROW(UNCOMMITTED, KEEP,   "uncommitted", "an earlier life began its attempt, and no record of ours closes it yet") \
	ROW(OUTSIDE,     KEEP,   "outside",     "its attempt delivered another token, and did not last when this one was made") \
	ROW(DOUBTFUL,    KEEP,   "doubtful",    "its string is in hand, and its DONE may be committed") \
	ROW(ELSEWHERE,   KEEP,   "elsewhere",   "its attempt was made at another cluster: somebody copied a description") \
	ROW(UNKNOWN,     KEEP,   "unknown",     "nothing is known of its attempt, and should be") \
	ROW(FORGOTTEN,   KEEP,   "forgotten",   "it is older than what is remembered") \
	ROW(FOREIGN,     KEEP,   "foreign",     "its partition is not held here, or its marker was changed") \
	ROW(UNREAD,      KEEP,   "unread",      "the journal could not be read now")

enum evidence_clause {
#define ROW(clause, effect, label, why) EVIDENCE_##clause,
	EVIDENCE_CLAUSES(ROW)
#undef ROW
	EVIDENCE_COUNT
};

const char *evidence_label(enum evidence_clause c);
const char *evidence_why(enum evidence_clause c);
bool evidence_deletes(enum evidence_clause c);

/* Where a token's attempt was found. */
enum evidence_found {
	FOUND_FOREIGN,                  /* nobody looked: the marker, or its partition, is none of ours */
	FOUND_UNREAD,                   /* the journal's record could not be read */
	FOUND_NOWHERE,                  /* the partition's journal does not know it */
	FOUND_ELSEWHERE,                /* made at another cluster than the token's */
	FOUND_OPEN,                     /* begun, and not ended */
	FOUND_CLOSED,                   /* in closed[] */
	FOUND_DELIVERED                 /* in a committed DONE, as the one that delivered */
};

struct evidence {
	/* the token, as the API shows it */
	const char *token_id;
	bool revoked;
	int64_t created_at;             /* Unix seconds, by the API's clock; 0: it does not say */
	int64_t skew_ms;                /* what that clock is ahead of ours, as measured */

	/* its attempt */
	enum evidence_found found;
	int64_t floor;                  /* NOWHERE: what is older is not remembered; Unix seconds */
	enum closure closure;           /* CLOSED: how that is known */
	const char *delivered_id;       /* DELIVERED: the token that the DONE names; NULL: which is not asked, since
	                                 * the attempt has only this one */
	int64_t not_before_ms, not_after_ms;    /* DELIVERED: its window, by our clocks */

	/* or it was our own call that made it, and brought its string */
	bool string;
	bool lost;                      /* the answer's partition, so that it is never queued again */
	bool uncommitted;               /* certainly */
};

enum evidence_clause evidence_may_delete(const struct evidence *e);

#endif
