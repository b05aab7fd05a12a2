/* SPDX-License-Identifier: Apache-2.0 */
/* RevokeToken: the token that a request brought its principal is deleted.
 *
 *   revoked already? -> the token's DONE (wait for it, or read it back) -> permit -> DELETE (~ another lap)
 *       -> REVOKED under the request's own key R..., told to all that wait
 *
 * A DELETE may be repeated at will, so there is no intent, and nothing is begun that a later life would have to know
 * of: whatever ends this one, the record is read again, and the second DELETE finds nothing left. Only a token whose
 * DONE is committed is deleted: before that nobody has it, and R4 decides about it.
 *
 * One RevokeToken at a time holds the key R..., from its first look until it has an answer; others, in the same bytes
 * or not, wait for it. REVOKED is an outcome, and told again for ever. Everything else is about the record alone: the
 * key is let go, and whoever waited begins anew, each until its own deadline.
 *
 * The grants are not asked: who was given a token may always give it up. */
#include <assert.h>

#include "service/authorize.h"
#include "service/base/chaos.h"
#include "service/base/config.h"
#include "service/conclude.h"
#include "service/dispatch.h"
#include "service/journal.h"
#include "service/pipeline_private.h"

static void
begin(struct pipeline *p, struct ticket *t)
{
	struct journal_look look;

	journal_look(t->assignment->journal, t->key_hash, NULL, &look);
	switch (look.seen) {
	case JOURNAL_DONE:
		recall_stored(p, t, t->journal_key, t->key_hash);
		return;
	case JOURNAL_IN_FLIGHT:
		recall_wait(p, t, look.holder);
		return;
	default:
		journal_admit(t->assignment->journal, t);
		recall_create(p, t);
	}
}

/* The same bytes again are a repeat, and told what was told before, whatever became of the key since. */
static bool
is_repeat(const struct ticket *t)
{
	struct journal_look look;

	journal_look(t->assignment->journal, t->key_hash, t->fingerprint, &look);
	return look.seen == JOURNAL_DONE;
}

void
revoke_asked(struct pipeline *p, struct ticket *t, const struct policy_key *key)
{
	t->journal_key = journal_request_key(&t->arena, t->request.method, t->request.principal, t->request.request_id);
	t->key_hash = journal_key_hash(t->journal_key);
	if (!is_repeat(t) && authorize_record(key, &t->request, pipeline_now(), &t->status) != 0)
		answer_status(p, t);
	else
		begin(p, t);
}

/* The name alone does not tell: it may have come to mean another cluster, where a DELETE would find nothing and seem
 * to have worked. */
static int
cluster_of(const struct config *c, const struct journal_reply *r)
{
	for (size_t i = 0; i < c->n_clusters; i++)
		if (memcmp(c->clusters[i].digest, r->cluster_digest, sizeof r->cluster_digest) == 0)
			return (int)i;
	return -1;
}

void
revoke_found(struct pipeline *p, struct ticket *t, const struct journal_reply *r)
{
	int cluster = cluster_of(p->o.config, r);

	if (t->assignment->state != ASSIGNMENT_OPEN) {
		pipeline_drop(p, t);            /* whoever takes the partition next reads its record again */
		return;
	}
	if (r->token_id[0] == '\0') {
		(void)status_set(&t->status, STATUS_NO_OUTCOME, "request_id \"%s\" brought no token: %s",
		    t->request.request_id, r->message);
		answer_status(p, t);
		return;
	}
	t->token_id = (const char *)arena_copy(&t->arena, span_str(r->token_id)).data;
	if (cluster < 0) {
		(void)status_set(&t->status, STATUS_TARGET_GONE,
		    "token %s is in cluster %s, which is not configured any more: the operator deletes it there",
		    t->token_id, r->cluster);
		answer_status(p, t);
		return;
	}
	backlog_forget(t);                      /* it counted as its holder's */
	t->request.cluster = cluster;
	if (pipeline_now() >= t->request.deadline) {
		recall_late(p, t);
		return;
	}
	backlog_count(t);
	pipeline_to_line(p, t);
}

void
revoke_call(struct pipeline *p, struct ticket *t)
{
	ticket_move(t, TICKET_CALLING);
	CHAOS_POINT("before-delete");
	dispatch_delete(p->dispatch, t);
}

static struct ticket *
oldest_waiter(const struct ticket *t)
{
	struct ticket *w = t->waiters;

	while (w != NULL && w->line_next != NULL)
		w = w->line_next;
	return w;
}

/* The oldest first: it may be the next to hold the key, and a holder is older than those that wait for it. */
void
revoke_let_go(struct pipeline *p, struct ticket *t)
{
	struct ticket *w;

	assert(t->request.method == METHOD_REVOKE_TOKEN);
	journal_forget(t->assignment->journal, t);
	t->holder = false;
	while ((w = oldest_waiter(t)) != NULL) {
		pipeline_unwait(p, w);
		backlog_forget(w);
		begin(p, w);
	}
}
