/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody's tokens: how their evidence is found, and who is asked for it (R4, R9).
 *
 * A marker names the partition, and its uuid begins with the hash of the request's key, so one look into the index
 * leads to the attempt: to a ticket in flight, to an INTENT of an earlier life, or to the DONE. The DONE itself
 * lies in Kafka and is read back by the restorer, except in the case that is nearly all of them: the token that was
 * delivered, with no other of its attempt beside it.
 *
 * The other way to an orphan is a string in hand whose partition was lost: no list is needed for that, nor any journal.
 *
 * What is not here: what counts as evidence (evidence.c), when a list is wanted and how DELETEs are made (sweep.c). */
#include <stdlib.h>

#include "service/base/config.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/dispatch.h"
#include "service/evidence.h"
#include "service/journal.h"
#include "service/lists.h"
#include "service/marker.h"
#include "service/pipeline_private.h"
#include "service/restore.h"
#include "service/sweep.h"

#define TOKENS_A_TURN 500               /* of one cluster: looked at in a few hundred microseconds */

/* ---- when -------------------------------------------------------------------------------------------------------- */

void
orphans_begun(struct pipeline *p, const struct ticket *t)
{
	sweep_after(p->sweep, t->request.cluster, t->attempts.current.not_after_ms, false);
}

void
orphans_ended(struct pipeline *p, const struct ticket *t)
{
	if (!t->attempts.open && t->attempts.previous == FATE_UNKNOWN)
		sweep_after(p->sweep, t->request.cluster, t->attempts.current.not_after_ms, true);
}

void
orphans_restored(struct pipeline *p, const struct assignment *a)
{
	const struct journal_cluster *clusters;
	size_t n = journal_clusters(a->journal, &clusters);

	for (size_t i = 0; i < n; i++) {
		if (clusters[i].place >= p->o.config->n_clusters)
			continue;
		sweep_after(p->sweep, clusters[i].place, clusters[i].last_not_after_ms, false);
		if (clusters[i].last_unknown_not_after_ms != 0)
			sweep_after(p->sweep, clusters[i].place, clusters[i].last_unknown_not_after_ms, true);
		sweep_soon(p->sweep, clusters[i].place);
	}
}

/* ---- evidence ---------------------------------------------------------------------------------------------------- */

static struct assignment *
held(const struct pipeline *p, int32_t partition)
{
	struct assignment *a = p->assignments;

	while (a != NULL && (a->partition != partition || a->state != ASSIGNMENT_OPEN))
		a = a->next;
	return a;
}

static bool
made_at(const struct pipeline *p, const struct attempt *a, int cluster)
{
	return memcmp(a->cluster_digest, p->o.config->clusters[cluster].digest, sizeof a->cluster_digest) == 0;
}

static void
closed_as(const struct pipeline *p, const struct attempt *a, int cluster, struct evidence *ret)
{
	ret->found = made_at(p, a, cluster) ? FOUND_CLOSED : FOUND_ELSEWHERE;
	ret->closure = a->closure;
}

static void
look_at_ticket(const struct pipeline *p, const struct ticket *t, const struct marker *m, int cluster,
    struct evidence *ret)
{
	const struct attempt *a = attempts_find(&t->attempts, m->uuid);

	if (a != NULL)
		closed_as(p, a, cluster, ret);
	else if (memcmp(t->attempts.current.uuid, m->uuid, sizeof m->uuid) == 0)
		ret->found = FOUND_OPEN;
	else
		ret->found = FOUND_NOWHERE;
}

/* Not in the committed closed[] of the INTENT that an earlier life left behind: then it is the one that was left open,
 * as far as anybody can say. */
static void
look_at_begun(const struct pipeline *p, const struct journal_attempt *j, const struct marker *m, int cluster,
    struct evidence *ret)
{
	ret->found = FOUND_CLOSED;
	ret->closure = CLOSURE_NONE;
	for (size_t i = 0; i < j->n_closed; i++)
		if (memcmp(j->closed[i].uuid, m->uuid, sizeof m->uuid) == 0) {
			closed_as(p, &j->closed[i], cluster, ret);
			ret->closure = CLOSURE_COMMITTED;
		}
}

static void
ask(struct pipeline *p, int cluster, int32_t partition, int64_t offset)
{
	struct restoration *q = calloc(1, sizeof *q);

	if (q == NULL)
		abort();
	q->kind = RESTORE_RECORD;
	q->partition = partition;
	q->offset = offset;
	q->cluster = cluster;
	sweep_ask(p->sweep, cluster);
	restore_ask(p->restore, q);
}

/* False: the journal is asked first. */
static bool
find(struct pipeline *p, int cluster, const struct sweep_token *token, struct evidence *ret)
{
	struct journal_attempt j;
	struct assignment *a;
	struct marker m;

	ret->found = FOUND_FOREIGN;
	if (!marker_read(token->listed->marker, p->o.config->service_id, &m) || (a = held(p, m.partition)) == NULL)
		return true;
	ret->floor = journal_floor(a->journal, pipeline_now());
	journal_look_attempt(a->journal, m.uuid, token->listed->token_id, &j);
	switch (j.seen) {
	case JOURNAL_IN_FLIGHT:
		look_at_ticket(p, j.holder, &m, cluster, ret);
		return true;
	case JOURNAL_BEGUN:
		look_at_begun(p, &j, &m, cluster, ret);
		return true;
	case JOURNAL_DONE:
		ret->found = FOUND_DELIVERED;
		if (j.delivered && token->alone && j.cluster == cluster)
			return true;
		ask(p, cluster, a->partition, j.offset);
		return false;
	default:
		ret->found = FOUND_NOWHERE;
		return true;
	}
}

/* The DONE was read back. */
static void
read_done(const struct pipeline *p, const struct restoration *q, const struct sweep_token *token, struct arena *a,
    struct evidence *ret)
{
	struct journal_told told;
	struct assignment *h;
	struct marker m;
	struct err e;

	ret->found = FOUND_UNREAD;
	if (q->failed || !marker_read(token->listed->marker, p->o.config->service_id, &m) ||
	    (h = held(p, m.partition)) == NULL || journal_read_attempt(q->key, q->value, m.uuid, a, &told, &e) != 0)
		return;
	ret->floor = journal_floor(h->journal, pipeline_now());
	if (told.what == JOURNAL_TOLD_NOTHING)
		ret->found = FOUND_NOWHERE;
	else if (!made_at(p, &told.attempt, q->cluster))
		ret->found = FOUND_ELSEWHERE;
	else if (told.what == JOURNAL_TOLD_CLOSED) {
		ret->found = FOUND_CLOSED;
		ret->closure = CLOSURE_COMMITTED;
	} else {
		ret->found = FOUND_DELIVERED;
		ret->delivered_id = told.token_id;
		ret->not_before_ms = told.attempt.not_before_ms;
		ret->not_after_ms = told.attempt.not_after_ms;
	}
}

static struct evidence
about(const struct sweep_token *token)
{
	return (struct evidence){ .token_id = token->listed->token_id, .revoked = token->listed->revoked,
	    .created_at = token->listed->created_at, .skew_ms = token->skew_ms };
}

void
orphans_read(struct pipeline *p, struct restoration *q)
{
	struct sweep_token token = sweep_asked(p->sweep, q->cluster);
	struct evidence e = about(&token);
	struct arena a;

	arena_init(&a);
	read_done(p, q, &token, &a, &e);
	sweep_judged(p->sweep, q->cluster, evidence_may_delete(&e));
	arena_free(&a);
}

/* ---- the turn ---------------------------------------------------------------------------------------------------- */

/* False: there are more, which can be looked at at once. */
static bool
go_through(struct pipeline *p, int cluster)
{
	struct sweep_token token;

	for (int n = 0; n < TOKENS_A_TURN; n++) {
		struct evidence e;

		if (!sweep_token(p->sweep, cluster, &token))
			return true;
		e = about(&token);
		if (e.revoked || find(p, cluster, &token, &e))
			sweep_judged(p->sweep, cluster, evidence_may_delete(&e));
	}
	return false;
}

void
orphans_turn(struct pipeline *p, uint64_t now_boot_ms, uint64_t *wake_boot_ms)
{
	for (int cluster = 0; cluster < (int)p->o.config->n_clusters; cluster++) {
		uint64_t may = dispatch_list_at(p->dispatch, cluster, now_boot_ms);

		if (!go_through(p, cluster))
			*wake_boot_ms = now_boot_ms;
		if (!sweep_deletes(p->sweep, cluster))
			continue;
		if (now_boot_ms >= may)
			sweep_flush(p->sweep, cluster);
		else if (may < *wake_boot_ms)
			*wake_boot_ms = may;
	}
}

bool
orphans_want(struct pipeline *p, int cluster, uint64_t now_boot_ms, uint64_t *wake_boot_ms)
{
	uint64_t at = p->stopping ? UINT64_MAX : sweep_wants(p->sweep, cluster, now_boot_ms);

	if (at <= now_boot_ms)
		lists_sweep(p->lists, cluster);
	else if (at < *wake_boot_ms)
		*wake_boot_ms = at;
	return sweep_deletes(p->sweep, cluster);
}

/* ---- late strings ------------------------------------------------------------------------------------------------ */

void
orphans_string(struct pipeline *p, const struct ticket *t, const char *token_id, bool uncommitted)
{
	const struct evidence e = { .token_id = token_id, .string = true, .lost = true, .uncommitted = uncommitted };
	const enum evidence_clause clause = evidence_may_delete(&e);
	const char *cluster;

	if (token_id == NULL || t->request.method != METHOD_CREATE_TOKEN)
		return;                 /* nothing was created, and perhaps no cluster was ever named */
	cluster = p->o.config->clusters[t->request.cluster].name;
	metrics_add(metrics_at(METRIC_LOST_STRINGS, cluster, NULL), 1);
	log_warn("sweep", "a token cannot be delivered any more: its partition is lost", LOG_S("cluster", cluster),
	    LOG_S("token_id", token_id), LOG_S("clause", evidence_label(clause)),
	    LOG_S("because", evidence_why(clause)), LOG_N("partition", t->record.partition),
	    LOG_N("offset", t->record.offset));
	if (evidence_deletes(clause))
		sweep_delete(p->sweep, t->request.cluster, token_id, marker_of(t->job.description), clause);
}
