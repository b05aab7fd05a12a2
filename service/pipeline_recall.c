/* SPDX-License-Identifier: Apache-2.0 */
/* What became of an earlier request: asked by a repeat of it, by a GetOutcome, and by a RevokeToken on its way to the
 * token.
 *
 * There are three answers, whoever asks. It is in flight: then the ticket waits for the one that works on it. It is
 * decided: then the restorer reads its DONE back. Nothing is known of it: then there is nothing to tell. What is done
 * with a reply, once it is there, is one function (tell).
 *
 * Asking changes nothing of what it asks about: the answers stand under the records' places. An ID is somebody's, so
 * another principal's question looks under another key, where there is nothing. */
#include <stdlib.h>

#include "service/authorize.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log.h"
#include "service/conclude.h"
#include "service/journal.h"
#include "service/pipeline_private.h"
#include "service/restore.h"
#include "service/timers.h"

/* ---- in flight --------------------------------------------------------------------------------------------------- */

/* A repeat waits as long as its holder, for it has the same deadline; a question has one of its own. */
void
recall_wait(struct pipeline *p, struct ticket *t, struct ticket *holder)
{
	ticket_move(t, TICKET_WAITING);
	t->waits_for = holder;
	t->line_next = holder->waiters;
	holder->waiters = t;
	backlog_count_waiter(t);
	if (t->request.method != METHOD_CREATE_TOKEN)
		timers_set(p->timers, t, pipeline_deadline(t));
}

/* ---- decided ----------------------------------------------------------------------------------------------------- */

void
recall_fetch(struct pipeline *p, struct ticket *t)
{
	struct restoration *q = calloc(1, sizeof *q);
	struct journal_look look;
	unsigned char *key;

	if (q == NULL || (key = malloc(t->earlier_key.bytes)) == NULL)
		abort();
	journal_look(t->assignment->journal, t->earlier_hash, NULL, &look);
	memcpy(key, t->earlier_key.data, t->earlier_key.bytes);
	q->kind = RESTORE_REPLY;
	q->partition = t->assignment->partition;
	q->offset = look.offset;
	q->key = span_of(key, t->earlier_key.bytes);
	q->ticket = t;
	t->asked = q;
	restore_ask(p->restore, q);
}

void
recall_stored(struct pipeline *p, struct ticket *t, struct span key, uint64_t key_hash)
{
	ticket_move(t, TICKET_FETCHING);
	t->earlier_key = key;
	t->earlier_hash = key_hash;
	recall_fetch(p, t);
}

/* ---- nothing is known -------------------------------------------------------------------------------------------- */

static void
no_outcome(struct pipeline *p, struct ticket *t)
{
	(void)status_set(&t->status, STATUS_NO_OUTCOME,
	    "nothing is known of request_id \"%s\" for principal %s: never asked, or longer ago than is remembered%s",
	    t->request.request_id, t->request.principal, t->request.method == METHOD_REVOKE_TOKEN ?
	    "; what is older the operator revokes by its token ID" : "");
	answer_status(p, t);
}

void
recall_past_window(struct pipeline *p, struct ticket *t)
{
	bool lost = journal_in_loss(t->assignment->journal, t->request.issued_at);

	status_set(&t->status, STATUS_PAST_WINDOW, "the request is older than %s; an earlier reply may exist",
	    lost ? "a loss in the journal" : "what is remembered");
	answer_status(p, t);
}

/* ---- what a question comes to ------------------------------------------------------------------------------------ */

static void
still_in_flight(struct pipeline *p, struct ticket *t, const char *why)
{
	(void)status_set(&t->status, STATUS_STILL_IN_FLIGHT, "%s request_id \"%s\" was still in flight", why,
	    t->request.request_id);
	answer_status(p, t);
}

void
recall_late(struct pipeline *p, struct ticket *t)
{
	if (t->token_id == NULL) {
		still_in_flight(p, t, "the deadline passed while");
		return;
	}
	conclude_unrevoked(t);
	answer_status(p, t);
}

void
recall_create(struct pipeline *p, struct ticket *t)
{
	struct span key = journal_request_key(&t->arena, METHOD_CREATE_TOKEN, t->request.principal,
	    t->request.request_id);
	uint64_t key_hash = journal_key_hash(key);
	struct journal_look look;

	journal_look(t->assignment->journal, key_hash, NULL, &look);
	switch (look.seen) {
	case JOURNAL_IN_FLIGHT:
		recall_wait(p, t, look.holder);
		return;
	case JOURNAL_DONE:
		recall_stored(p, t, key, key_hash);
		return;
	case JOURNAL_BEGUN:             /* an earlier life began it, and its record is behind this one */
		still_in_flight(p, t, "this service has just taken over, and");
		return;
	default:
		no_outcome(p, t);
	}
}

/* The grants are not asked: the box, if there is one, was sealed when they were. */
void
recall_outcome(struct pipeline *p, struct ticket *t, const struct policy_key *key)
{
	if (authorize_record(key, &t->request, pipeline_now(), &t->status) != 0)
		answer_status(p, t);
	else
		recall_create(p, t);
}

/* ---- a reply is there -------------------------------------------------------------------------------------------- */

static void
tell(struct pipeline *p, struct ticket *t, const struct journal_reply *r)
{
	if (t->request.method == METHOD_REVOKE_TOKEN && r->method == METHOD_CREATE_TOKEN) {
		revoke_found(p, t, r);
		return;
	}
	t->stored = arena_copy(&t->arena, r->stored);
	t->code = r->code;
	status_set(&t->status, STATUS_CREATED, "%s", r->message);       /* only its message is used */
	answer_again(p, t);
}

void
recall_told(struct pipeline *p, struct ticket *t, const struct ticket *holder)
{
	struct journal_reply r = { .method = holder->request.method, .stored = holder->stored, .code = holder->code,
	    .message = holder->status.message, .token_id = holder->token_id != NULL ? holder->token_id : "",
	    .cluster = holder->token_id != NULL ? holder->attempts.current.cluster : "" };

	memcpy(r.cluster_digest, holder->attempts.current.cluster_digest, sizeof r.cluster_digest);
	pipeline_unwait(p, t);
	tell(p, t, &r);
}

/* The index may remember longer than the topic keeps. */
static void
cannot_read(struct pipeline *p, struct ticket *t, const struct err *why)
{
	struct journal_look look;

	journal_look(t->assignment->journal, t->earlier_hash, NULL, &look);
	if (look.seen == JOURNAL_DONE && !journal_past_window(t->assignment->journal, look.deadline, pipeline_now())) {
		log_warn("journal", "cannot read a stored reply yet", LOG_N("partition", t->record.partition),
		    LOG_S("error", why->text));
		timers_set(p->timers, t, clock_boot_ms() + duration_ms(DURATION_RESTORE_RETRY));
	} else if (t->request.method == METHOD_CREATE_TOKEN)
		recall_past_window(p, t);
	else
		no_outcome(p, t);
}

void
recall_fetched(struct pipeline *p, struct restoration *q)
{
	struct ticket *t = q->ticket;
	struct journal_reply r;
	struct err e = q->err;

	if (t == NULL)
		return;
	t->asked = NULL;
	if (!q->failed && journal_read_reply(q->value, &t->arena, &r, &e) == 0)
		tell(p, t, &r);
	else
		cannot_read(p, t, &e);
}
