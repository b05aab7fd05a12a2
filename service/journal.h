/* SPDX-License-Identifier: Apache-2.0 */
/* One partition's memory: which requests were begun or answered, which offsets are answered, and what may be
 * written next.
 *
 * It is filled by the restorer (journal_remember, record by record, then journal_open) and belongs to the
 * loop from then on. The index keeps at most 96 bytes a request, everything included; replies stay in Kafka and
 * are read back by offset. */
#ifndef TOKEND_JOURNAL_H
#define TOKEND_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"
#include "service/ticket.h"

struct config;
struct err;
struct journal;                         /* opaque */

#define JOURNAL_KEY_MOST 256
#define JOURNAL_LOSS_KEY "#loss"

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* C<n>:<principal>,<n>:<request_id> (R... for a RevokeToken): the request's own life. In the arena. */
struct span journal_request_key(struct arena *a, enum method m, const char *principal, const char *request_id);
/* #<partition>:<offset>: every other answer. */
struct span journal_offset_key(struct arena *a, int32_t partition, int64_t offset);
/* The first 8 bytes of its SHA-256: what the index and an attempt's uuid begin with. */
uint64_t journal_key_hash(struct span key);

/* ---- restoring (any one thread) ---------------------------------------------------------------------------------- */

/* Offsets below keep_from will not be read: that they were answered need not be known. c is kept. */
struct journal *journal_new(int32_t partition, const struct config *c, int64_t keep_from);
void journal_free(struct journal *j);

/* Take in one committed record, in the journal's order. What is wrong with it is told by journal_open, for an
 * operator may have accepted it in a #loss that is still to come. */
void journal_remember(struct journal *j, struct span key, struct span value, int64_t offset);

/* What else was found at the assignment. */
struct journal_found {
	bool has_offset;                /* a committed offset exists */
	int64_t offset;
	const char *metadata;           /* its metadata; NULL or "": none */
	int64_t request_low, request_high;     /* the request partition's log */
	/* the journal partition's high watermark, aborted records and markers counted */
	int64_t journal_high;
	/* how many offsets a transaction's end takes: 1; 0 on a broker that writes no markers */
	int marker_offsets;
};

/* May this partition be worked on, and from where (R11)? On success the start of reading stands in *ret_start and
 * the journal is ready for the loop. Fails ERR_REFUSE when the journal went backwards, holds a record that cannot
 * be read or needs a newer reader (the sentence names its offset): the partition stays closed. Fails ERR_FATAL when
 * tokens may still be found at a cluster that the configuration does not hold any more. */
int journal_open(struct journal *j, const struct journal_found *f, int64_t *ret_start, struct err *ret_err);

/* What a #loss would take the place of, whatever journal_open said. */
struct journal_past {
	unsigned char id[JOURNAL_ID_BYTES];     /* the committed metadata's, else the last record's; zero: neither */
	uint64_t seq;                           /* the largest in both */
};
void journal_past(const struct journal *j, const struct journal_found *f, struct journal_past *ret);

/* ---- looking (loop thread from here on) -------------------------------------------------------------------------- */

enum journal_seen {
	JOURNAL_NEW,                    /* never begun */
	JOURNAL_BEGUN,                  /* an INTENT of an earlier life is open, and nobody holds it yet */
	JOURNAL_IN_FLIGHT,              /* *ret_holder works on it */
	JOURNAL_DONE,                   /* decided; the record lies at *ret_offset */
	JOURNAL_OTHER_BYTES             /* begun or decided under another fingerprint; *ret_done says which */
};
struct journal_look {
	enum journal_seen seen;
	struct ticket *holder;
	int64_t offset;
	bool done;
	unsigned char fingerprint[32];  /* the stored one */
	int64_t deadline;               /* its record's, Unix seconds */
};
/* fingerprint NULL: whatever its bytes were. */
void journal_look(const struct journal *j, uint64_t key_hash, const unsigned char fingerprint[32],
    struct journal_look *ret);

/* What an earlier life knew of the record at this offset. */
enum journal_place {
	JOURNAL_PLACE_FREE,             /* nothing */
	JOURNAL_PLACE_ANSWERED,         /* it was answered, this very record */
	/* it answered or began another record there: the request topic is another one (R11) */
	JOURNAL_PLACE_OTHER
};
/* digest NULL: the record is not decoded, and whatever is known of its place is about it. */
enum journal_place journal_place(const struct journal *j, int64_t offset, const unsigned char digest[32]);

/* ---- what the sweep asks ----------------------------------------------------------------------------------------- */

/* Whose is the token of that id, whose marker has this uuid? */
struct journal_attempt {
	enum journal_seen seen;         /* of its request: NEW (unknown), IN_FLIGHT, BEGUN or DONE */
	struct ticket *holder;          /* IN_FLIGHT: its attempts say the rest */
	/* BEGUN: what is committed. Its open attempt, if it is that one, is none of them: not known to be over. */
	const struct attempt *closed;
	size_t n_closed;
	/* DONE: the record lies at that journal offset */
	int64_t offset;
	bool delivered;                 /* and this attempt delivered this very token, as far as 32 bits tell */
	uint16_t cluster;               /* of its request's attempts, in the configuration; UINT16_MAX: unknown */
};
void journal_look_attempt(const struct journal *j, const unsigned char uuid[ATTEMPT_UUID_BYTES],
    const char *token_id, struct journal_attempt *ret);

/* Where attempts were made, that of an earlier life included: when the last one at each was certainly over. */
struct journal_cluster {
	char *name;
	unsigned char digest[32];
	uint16_t place;                         /* in the configuration; UINT16_MAX: not there so */
	int64_t last_not_after_ms;              /* Unix milliseconds */
	int64_t last_unknown_not_after_ms;      /* of those whose fate nobody knows; 0: none */
};
/* From journal_open on; good until the next call for this journal. */
size_t journal_clusters(const struct journal *j, const struct journal_cluster **ret);

/* When the token of that CreateToken was deleted by a RevokeToken (Unix seconds); 0: it was not. Its DONE may still be
 * queued: what is queued after it is never committed before it. */
int64_t journal_revoked_at(const struct journal *j, const char *principal, const char *request_id);

/* ---- the floor --------------------------------------------------------------------------------------------------- */

/* For a deadline (Unix seconds) whose skew ends at or below it, absence proves nothing: the journal's retention may
 * have removed it, or the index let it go. */
int64_t journal_floor(const struct journal *j, int64_t now);
/* Was it issued before a #loss, so that an answer to it may be lost (R11)? */
bool journal_in_loss(const struct journal *j, int64_t issued_at);
/* A request that the index does not hold: does that prove nothing, for one of the two reasons? */
bool journal_may_have_forgotten(const struct journal *j, int64_t issued_at, int64_t deadline, int64_t now);
/* One that it holds: may the journal's retention have removed its record all the same? */
bool journal_past_window(const struct journal *j, int64_t deadline, int64_t now);

/* ---- memory (service/index.h) ------------------------------------------------------------------------------------ */

/* Is there room for one more request? Lets the oldest go that safety does not need, and raises the floor. False:
 * all of them are needed; nothing is dropped, and the partition must be left unread. Cheap when asked often. */
bool journal_room(struct journal *j, int64_t now);
/* Let go of what is older than the journal's retention. Cheap when asked often. */
void journal_age(struct journal *j, int64_t now);
/* How full it is, in percent of config's max_remembered. */
unsigned journal_fill(const struct journal *j);

/* Where its last #loss stands in the journal; -1: it has none. */
int64_t journal_loss_offset(const struct journal *j);
/* Which one it is: the id that it gave the journal. JOURNAL_ID_BYTES, j's own; NULL: it has none. */
const unsigned char *journal_loss_id(const struct journal *j);

size_t journal_entries(const struct journal *j);
uint64_t journal_seq(const struct journal *j);

/* ---- holding ----------------------------------------------------------------------------------------------------- */

/* t is the request's own from now on. What an earlier life left open is taken over: its attempts are in
 * t->attempts, the open one closed as unknown. */
void journal_admit(struct journal *j, struct ticket *t);
/* Decided: the DONE lies at that journal offset. */
void journal_settled(struct journal *j, const struct ticket *t, int64_t journal_offset);
/* The ticket goes and nothing of it was ever written. */
void journal_forget(struct journal *j, const struct ticket *t);

/* INTENTs of an earlier life whose record nobody will bring: it lies below start, or at or past high. Makes
 * t, a fresh ticket without a record, the holder of one of them (principal, request ID, fingerprint,
 * deadline, attempts: all closed), so that it can be ended like any other; false when there is none. */
bool journal_stray(struct journal *j, int64_t start, int64_t high, struct ticket *t);
/* The same for the one whose record lies at that very offset, and is refused or skipped now. */
bool journal_stray_at(struct journal *j, int64_t offset, struct ticket *t);
/* The watermark has passed: what lies below is no longer asked for. */
void journal_passed(struct journal *j, int64_t watermark);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Each gives the value of the next record, in the arena, and spends a seq. */
struct span journal_intent(struct journal *j, const struct ticket *t, struct arena *a, uint64_t *ret_seq);
/* The request's own DONE: status and reply are in t->stored. */
struct span journal_done(struct journal *j, const struct ticket *t, struct arena *a, uint64_t *ret_seq);
/* Any other answer: only that this record was answered. */
struct span journal_answer(struct journal *j, const struct ticket *t, struct arena *a, uint64_t *ret_seq);

/* What is committed beside the offset. */
void journal_metadata(const struct journal *j, uint64_t seq, int64_t now_ms, const char *transactional_id,
    char ret_text[OFFSET_METADATA_ROOM]);
/* Where the partition's next journal record must be delivered at or above; and what became of a transaction's. */
int64_t journal_least(const struct journal *j);
void journal_delivered(struct journal *j, int64_t offset);

/* ---- reading a stored reply back --------------------------------------------------------------------------------- */

struct journal_reply {
	enum method method;             /* whose: CREATE_TOKEN or REVOKE_TOKEN */
	struct span stored;             /* as conclude made it */
	int code;
	const char *message;
	const char *token_id;           /* "" when none */
	const char *cluster;            /* the token's, by its name; "" when none */
	unsigned char cluster_digest[32];      /* and what that name meant */
};
/* Is value the DONE of that key? Anything else: ERR_RETRY (compaction moved it: look the entry up anew). */
int journal_read_reply(struct span value, struct arena *a, struct journal_reply *ret, struct err *ret_err);

/* ---- reading an attempt's end back ------------------------------------------------------------------------------- */

/* What a committed DONE says of one attempt. */
struct journal_told {
	enum { JOURNAL_TOLD_NOTHING, JOURNAL_TOLD_CLOSED, JOURNAL_TOLD_DELIVERED } what;
	struct attempt attempt;         /* its strings in the arena, as token_id */
	const char *token_id;           /* DELIVERED: by it */
};
/* Fails when key or value are not of the request that the uuid belongs to, or cannot be read. */
int journal_read_attempt(struct span key, struct span value, const unsigned char uuid[ATTEMPT_UUID_BYTES],
    struct arena *a, struct journal_told *ret, struct err *ret_err);

#endif
