/* SPDX-License-Identifier: Apache-2.0 */
/* What the pipeline's own files share: pipeline_walk.c (a record's first walk), pipeline_recall.c (what became of an
 * earlier request), pipeline_revoke.c (a token is deleted), pipeline.c (the laps, and the turn), pipeline_backlog.c
 * (who holds too much), pipeline_orphans.c (nobody's tokens), pipeline_answer.c (what is written), pipeline_hold.c
 * (assignments: restored, drained, lost). */
#ifndef TOKEND_PIPELINE_PRIVATE_H
#define TOKEND_PIPELINE_PRIVATE_H

#include "service/base/log_limit.h"
#include "service/pipeline.h"
#include "service/status.h"
#include "service/ticket.h"

struct journal_reply;
struct policy_key;

struct pipeline {
	struct pipeline_options o;
	struct policy *policy;

	struct mailbox *outcomes, *results, *restored;
	struct pool *pool;
	struct publish *publish;
	struct restore *restore;
	struct intake *intake;
	struct authorize *authorize;
	struct batch *batch;
	struct dispatch *dispatch;
	struct lists *lists;
	struct sweep *sweep;
	struct timers *timers;

	struct assignment *assignments;
	size_t tickets, tickets_bytes;
	bool stopping;                  /* drained, then over */
	bool revoking;                  /* drained, then given up to the group */
	uint64_t member_since_boot_ms;  /* of the group, without a break; 0: not now */
	uint64_t drain_until_boot_ms;

	bool broken;
	struct err why;                 /* broken: the process must exit */

	/* Lines about records that did not verify, which anybody may write who reaches the topic. */
	struct log_limit refusals[STATUS_COUNT], dead_letters;

	struct series *pending, *assigned, *entries, *closed, *full, *rebalances, *seconds;
};

void pipeline_break(struct pipeline *p, const struct err *why);
int64_t pipeline_now(void);             /* Unix seconds */
uint64_t pipeline_deadline(const struct ticket *t);     /* on the boot clock, milliseconds */

/* ---- pipeline_answer.c: what is written -------------------------------------------------------------------------- */

/* The record is refused (about RECORD) or the request ends (about OUTCOME) as t->status says. */
void answer_status(struct pipeline *p, struct ticket *t);
/* A token came back: seal it and deliver. */
void answer_token(struct pipeline *p, struct ticket *t);
/* t->stored is an outcome decided earlier: tell it again. */
void answer_again(struct pipeline *p, struct ticket *t);
/* No reply can be given: the record goes to the dead letters. reason is a constant; limit is that of the lines about
 * it, NULL: each is written. */
void answer_dead_letter(struct pipeline *p, struct ticket *t, const char *reason, struct log_limit *limit);
/* Write the intent; or hand the request over to whoever takes the partition next. */
void answer_intent(struct pipeline *p, struct ticket *t);
void answer_hand_over(struct pipeline *p, struct ticket *t);
/* An INTENT whose record nobody will bring, or is refused now: ended by DONE(INTERNAL). */
void answer_stray(struct pipeline *p, struct ticket *t);
/* Its answer is committed: audit line and metrics. */
void answer_settled(struct pipeline *p, struct ticket *t);

/* ---- pipeline_hold.c: assignments -------------------------------------------------------------------------------- */

void hold_events(struct pipeline *p);
void hold_restored(struct pipeline *p);
void hold_turn(struct pipeline *p, uint64_t now_boot_ms, uint64_t *wake_boot_ms);
void hold_drain(struct pipeline *p);
bool hold_nothing(const struct pipeline *p);    /* nothing is under way any more */
/* Hold it, and leave it unread (R11), until its journal can be trusted. worked_on: the journal that was trusted when
 * it had to be closed; it opens for a #loss that is not in there. NULL: trusted is enough. */
void hold_close(struct pipeline *p, int32_t partition, struct generation *g, const struct journal *worked_on,
    const struct err *why);
/* Drop all of a's that nobody else has. */
void hold_lose(struct pipeline *p, struct assignment *a);
/* Lose everything and be assigned again: journals are read anew. */
void hold_begin_anew(struct pipeline *p);

/* ---- pipeline_memory.c: how full partitions' memories are ------------------------------------------------------- */

/* May another record of it be read? */
bool memory_room(struct assignment *a);
void memory_turn(struct pipeline *p);

/* ---- pipeline_backlog.c: no cluster starves another -------------------------------------------------------------- */

#define TICKETS_BYTES_MOST (64u * 1024 * 1024)

/* t waits for a cluster from now on; or does no more. */
void backlog_count(struct ticket *t);
void backlog_count_waiter(struct ticket *t);
void backlog_forget(struct ticket *t);
/* Answer what is too much of clusters that do not answer. */
void backlog_shed(struct pipeline *p, uint64_t now_boot_ms);

/* ---- pipeline_orphans.c: nobody's tokens ------------------------------------------------------------------------- */

/* t's attempt may leave now; or it ended without a token. */
void orphans_begun(struct pipeline *p, const struct ticket *t);
void orphans_ended(struct pipeline *p, const struct ticket *t);
/* a is open: what others have attempted there is looked for, too. */
void orphans_restored(struct pipeline *p, const struct assignment *a);
/* Ask for the list that the cluster's sweep wants now. True: a DELETE waits for the cluster's breaker. */
bool orphans_want(struct pipeline *p, int cluster, uint64_t now_boot_ms, uint64_t *wake_boot_ms);
/* Look at tokens that lists have found, and begin DELETEs. */
void orphans_turn(struct pipeline *p, uint64_t now_boot_ms, uint64_t *wake_boot_ms);
/* A record was read back for a sweep. */
void orphans_read(struct pipeline *p, struct restoration *q);
/* t's call made this token (NULL: it made none), its partition is lost, and t is about to be dropped. uncommitted: its
 * DONE is certainly not. */
void orphans_string(struct pipeline *p, const struct ticket *t, const char *token_id, bool uncommitted);

/* ---- pipeline_walk.c: a record's first walk ---------------------------------------------------------------------- */

void walk_records(struct pipeline *p);
/* Could a partition be read further at once? */
bool walk_more(const struct pipeline *p);

/* ---- pipeline_recall.c: what became of an earlier request -------------------------------------------------------- */

/* A GetOutcome: tell the outcome, once there is one. key: the one that signed. */
void recall_outcome(struct pipeline *p, struct ticket *t, const struct policy_key *key);
/* A GetOutcome or a RevokeToken goes on to the CreateToken of its ID. */
void recall_create(struct pipeline *p, struct ticket *t);
/* t waits until holder is decided; or reads back the DONE of that key, now or (t waited for that) once more. */
void recall_wait(struct pipeline *p, struct ticket *t, struct ticket *holder);
void recall_stored(struct pipeline *p, struct ticket *t, struct span key, uint64_t key_hash);
void recall_fetch(struct pipeline *p, struct ticket *t);
/* What t waited for is committed; what it asked the restorer for came back. */
void recall_told(struct pipeline *p, struct ticket *t, const struct ticket *holder);
void recall_fetched(struct pipeline *p, struct restoration *q);
/* The own deadline of a GetOutcome or a RevokeToken passed. */
void recall_late(struct pipeline *p, struct ticket *t);
/* The journal may have forgotten t: it is told so. */
void recall_past_window(struct pipeline *p, struct ticket *t);

/* ---- pipeline_revoke.c: a token is deleted ----------------------------------------------------------------------- */

void revoke_asked(struct pipeline *p, struct ticket *t, const struct policy_key *key);
/* The CreateToken's reply is there, and committed. */
void revoke_found(struct pipeline *p, struct ticket *t, const struct journal_reply *r);
/* t has a permit. */
void revoke_call(struct pipeline *p, struct ticket *t);
/* It ends, and not with REVOKED: others may try. */
void revoke_let_go(struct pipeline *p, struct ticket *t);

/* ---- pipeline.c -------------------------------------------------------------------------------------------------- */

/* t waits no more, whatever for: it is in no line, on no timer. Its state is as it was. */
void pipeline_unwait(struct pipeline *p, struct ticket *t);
/* t is done with, wherever it is. Waiters go with it. */
void pipeline_drop(struct pipeline *p, struct ticket *t);
/* The same, once its partition is lost, and nothing of t's that is not committed ever will be. */
void pipeline_drop_lost(struct pipeline *p, struct ticket *t);
/* t waits for a permit, at most until its deadline. */
void pipeline_to_line(struct pipeline *p, struct ticket *t);
/* t leaves the line, backoff or queue it is in, because its partition is asked back. */
void pipeline_leave(struct pipeline *p, struct ticket *t);

#endif
