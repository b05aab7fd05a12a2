/* SPDX-License-Identifier: Apache-2.0 */
/* The nouns of the service: what travels, on whose behalf, and what is written about it.
 *
 *   assignment   our hold on one partition, from the moment the group gave it until it is given up or lost
 *   ticket       one record on its way from the topic to its committed answer
 *   attempt      one POST, spent the moment it may have left
 *   item         what one ticket wants in the next transaction: journal record, reply or dead letter
 *   transaction  the items that are committed together, with the offsets of every partition they touch
 *
 * All of it belongs to the loop thread. A transaction is lent to the publisher, a job to a worker, and comes
 * back whole.
 *
 * A ticket's state says who will touch it next. One function changes it (ticket_move) and refuses illegal moves. */
#ifndef TOKEND_TICKET_H
#define TOKEND_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/mailbox.h"
#include "service/record.h"
#include "service/request.h"
#include "service/status.h"
#include "workers/job.h"

struct generation;                      /* intake's: the captured group metadata */
struct journal;                         /* journal.c's: one partition's memory */
struct policy;
struct series;
struct restoration;                     /* restore's: a question to the restorer */
struct watermark;

/* ---- attempts ---------------------------------------------------------------------------------------------------- */

#define ATTEMPT_UUID_BYTES 16
#define ATTEMPTS_CLOSED_MOST 64         /* then the request ends as at its deadline */
#define ATTEMPTS_UNKNOWN_MOST 5         /* R10 */

enum fate { FATE_OPEN = 0, FATE_NOT_SENT = 1, FATE_REFUSED = 2, FATE_UNKNOWN = 3 };   /* journal.proto's numbers */

/* How it is known that an attempt brings no token to anybody any more: what R4 may go by. Not written down. */
enum closure {
	CLOSURE_NONE,                   /* it is not: open, or inherited open and not yet in a committed closed[] */
	CLOSURE_ENDED,                  /* its call was ours, and ended without a string */
	CLOSURE_COMMITTED               /* it stands in a committed closed[] */
};

struct attempt {
	unsigned char uuid[ATTEMPT_UUID_BYTES];
	uint32_t number;                /* 1 for the request's first */
	const char *cluster;            /* its name; in the arena or the configuration */
	unsigned char cluster_digest[32];
	int64_t not_before_ms, not_after_ms;    /* Unix milliseconds */
	enum fate fate;
	enum closure closure;
};

/* All attempts of one request whose token, should one exist, is nobody's. */
struct attempts {
	uint32_t begun;                 /* how many, those never sent included */
	bool open;                      /* is `current` under way? */
	struct attempt current;
	enum fate previous;             /* of the one before the current */
	unsigned n_closed;
	struct attempt *closed;         /* room for ATTEMPTS_CLOSED_MOST, allocated with the first */
};

/* ---- assignment -------------------------------------------------------------------------------------------------- */

#define JOURNAL_ID_BYTES 16
#define OFFSET_METADATA_ROOM 256

enum assignment_state {
	ASSIGNMENT_RESTORING,           /* its journal is being read */
	ASSIGNMENT_OPEN,                /* records are read and answered */
	ASSIGNMENT_CLOSED,              /* its journal cannot be trusted (R11): held, unread */
	ASSIGNMENT_DRAINING,            /* asked back: no new work, what is under way ends */
	ASSIGNMENT_LOST                 /* somebody else's by now: nothing is written for it any more */
};

/* Committed before an assignment's first transaction, in one of its own: who holds the partition now (takeover.c). */
struct claim {
	int64_t offset;                 /* as it was committed last, and so is what follows, but for the name */
	char metadata[OFFSET_METADATA_ROOM];    /* "": none is due */
};

struct share { unsigned tickets; size_t bytes; };

struct assignment {
	struct assignment *next;
	int32_t partition;
	enum assignment_state state;
	struct generation *generation;  /* counted */
	struct journal *journal;        /* NULL until restored */
	struct watermark *watermark;    /* NULL until restored */
	struct claim claim;
	struct ticket *tickets;         /* all of its tickets */
	unsigned n_tickets;
	struct share *of_cluster;       /* what a cluster's tickets hold of it, by the cluster's index */
	unsigned in_transactions;       /* transactions under way that touch it */
	bool readable;                  /* its queue may hold records */
	bool full;                      /* its memory is, and nothing of it may go: left unread */
	bool alarmed;                   /* somebody was told that it is nearly full */
	struct series *lag, *fill;
	struct restoration *asked;      /* RESTORING, CLOSED: what the restorer was asked; NULL: between two tries */
	uint64_t retry_boot_ms;         /* RESTORING, CLOSED: when it is tried again */
	int64_t judged_high;            /* CLOSED: the journal's end when it was judged last; -1: not yet */
	bool wants_loss;                /* CLOSED: that its journal is in order does not open it, but another #loss */
	bool lost_before;               /* CLOSED: than this one, if it had one when it was closed */
	unsigned char loss_before[JOURNAL_ID_BYTES];
};

/* ---- item and transaction ---------------------------------------------------------------------------------------- */

enum outgoing_topic { OUT_JOURNAL, OUT_REPLY, OUT_DEAD_LETTER };

struct outgoing {
	enum outgoing_topic topic;      /* journal and reply go to the assignment's partition */
	struct span key, value;
	const struct header *headers;
	size_t n_headers;
	int64_t delivered_offset;       /* out: -1 until the broker has said so */
};

#define ITEM_OUT_MOST 3

struct item {
	struct item *next;
	struct ticket *ticket;
	struct assignment *assignment;
	int64_t answers;                /* the offset that is answered by it; -1: none */
	uint64_t seq;                   /* of its last journal record */
	size_t bytes;
	bool queued;                    /* waits for a transaction; false once it is in one */
	unsigned n_out;
	struct outgoing out[ITEM_OUT_MOST];
};

struct touched {
	struct assignment *assignment;
	int32_t partition;
	int64_t offset;                         /* to commit */
	char metadata[OFFSET_METADATA_ROOM];
	const struct claim *claim;              /* the assignment's, as long as it is due; else NULL */
	int64_t journal_least;                  /* the first journal record must be delivered at or above this */
	int64_t journal_last;                   /* out: the highest delivered offset; -1: none */
	bool unreported;                        /* out: a journal record without a delivered offset */
	/* out: a record was delivered below the least: the journal went backwards */
	bool too_low;
};

enum transaction_result {
	TRANSACTION_COMMITTED,
	TRANSACTION_ABORTED,            /* for certain; the same items may be queued again in the same generation */
	TRANSACTION_STALE,              /* for certain, because the generation is over */
	TRANSACTION_FATAL               /* the producer is fenced or broken, perhaps in doubt: exit (R5) */
};

#define TRANSACTION_ITEMS_MOST 1000
#define TRANSACTION_BYTES_MOST (1024 * 1024)

struct transaction {
	struct mail mail;               /* first */
	struct generation *generation;
	struct item *items;             /* in order */
	size_t n_touched;
	struct touched *touched;
	/* out */
	enum transaction_result result;
	struct err err;                 /* unless committed */
	uint64_t commit_began_boot_ms;  /* the moment before the call that committed: the lease counts from here (R3) */
	uint64_t took_us;
};

/* ---- ticket ------------------------------------------------------------------------------------------------------ */

enum ticket_state {
	TICKET_READ,                    /* walking through the first rooms; never seen in between */
	TICKET_FETCHING,                /* the restorer reads a stored reply back for it */
	TICKET_WAITING,                 /* a repeat, a GetOutcome, a RevokeToken: waits for another's outcome */
	TICKET_BACKOFF,                 /* waits for time to pass */
	TICKET_QUEUED,                  /* waits for a permit */
	/* its intent is queued or in a transaction; it holds a permit. A RevokeToken needs none */
	TICKET_INTENT,
	TICKET_CALLING,                 /* a worker has its job; it holds a permit */
	/* waits for a list of its cluster's tokens, which tells what its answer meant */
	TICKET_LOOKING,
	TICKET_ANSWERING,               /* its answer, or its hand-over, is queued or in a transaction */
	TICKET_STATES
};

struct ticket {
	/* lists */
	struct ticket *next, *prev;     /* of its assignment */
	struct ticket *line_next;       /* of the cluster's queue for permits, or of the holder's waiters */
	struct ticket *waiters;         /* those that wait for this one's outcome; newer than it */
	struct ticket *waits_for;       /* WAITING: its holder */
	struct restoration *asked;      /* FETCHING: what the restorer was asked; NULL: between two tries */
	struct span earlier_key;        /* FETCHING: whose DONE is read back, and the key's hash */
	uint64_t earlier_hash;
	int timer;                      /* place in the timers' heap; -1: none */
	uint64_t due_boot_ms;

	struct assignment *assignment;
	enum ticket_state state;
	struct arena arena;             /* everything below lives here */

	struct record record;
	struct metadata metadata;
	struct request request;         /* once decoded */
	struct policy *policy;          /* the snapshot it is judged by; counted */

	bool signed_well;               /* by a key of the policy's; what was signed may be anything */
	bool verified;
	const char *principal;          /* the verified key's owner; "" before */
	unsigned char fingerprint[32], digest[32];
	struct span journal_key;        /* C..., or #p:offset where it is not the request's own answer */
	uint64_t key_hash;              /* of the request's own key; 0 before it is known */
	bool counted;                   /* among its cluster's tickets in the assignment */
	bool holder;                    /* the index names this ticket as the request's own */
	bool journaled;                 /* an INTENT of this request is in the journal */

	struct attempts attempts;
	unsigned backoffs, conflicts;   /* retries so far; of them after 409 */
	enum verdict last_verdict;
	bool has_last_verdict;

	struct status status;           /* what it is told */
	struct span stored;             /* the reply as it is journaled */
	int code;                       /* of the reply that is published */
	const char *token_id;           /* the delivered one, or the one that a RevokeToken is about; NULL: none */
	int64_t revoked_at;             /* of the token it tells of, Unix seconds; 0: it was not */
	bool replayed;                  /* it tells an earlier outcome again */
	bool handing_over;              /* its item writes no answer: the successor goes on */
	size_t counted_bytes;           /* what it weighs against the bound on all tickets */

	struct job job;
	struct item item;
};

/* The ticket of a record just read; empty but for its assignment. */
struct ticket *ticket_new(struct assignment *a);
/* Also takes it off its assignment. */
void ticket_free(struct ticket *t);
void ticket_move(struct ticket *t, enum ticket_state to);

/* Settle the open attempt, whose call has ended or never began: it goes into closed[] unless it certainly was not
 * sent. */
void attempts_settle(struct attempts *a, enum fate fate, struct arena *arena);
/* A record that carries closed[] as it is now was committed. */
void attempts_committed(struct attempts *a);
/* The closed attempt of that uuid; NULL: there is none. */
const struct attempt *attempts_find(const struct attempts *a, const unsigned char uuid[ATTEMPT_UUID_BYTES]);
/* As settling does, for one that is not open here; how that is known stands in what. */
void attempts_close(struct attempts *a, const struct attempt *what, enum fate fate, struct arena *arena);
unsigned attempts_unknown(const struct attempts *a);

#endif
