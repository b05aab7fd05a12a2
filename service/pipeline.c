/* SPDX-License-Identifier: Apache-2.0 */
/* A request's way, from the record to its committed reply:
 *
 *   record -> headers -> verify -> decode -> journal (seen?) -> authorize -> dispatch (permit) -> journal (intent)
 *          => publish => workers => conclude (~ timers: another lap)
 *          -> seal => publish (reply + outcome + offsets, one transaction) -> watermark
 *
 * (=> crosses a thread.) Nothing calls backwards: a retry is a new lap through the same rooms. A turn takes
 * in whatever has come back, and lets every ticket walk as far as it can; what waits, waits in a state, on a
 * timer, in a line or in the batch. */
#include "service/pipeline.h"

#include <assert.h>
#include <stdlib.h>

#include "service/authorize.h"
#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/random.h"
#include "service/batch.h"
#include "service/conclude.h"
#include "service/dispatch.h"
#include "service/intake.h"
#include "service/journal.h"
#include "service/lists.h"
#include "service/ops.h"
#include "service/pipeline_private.h"
#include "service/policy.h"
#include "service/publish.h"
#include "service/restore.h"
#include "service/sweep.h"
#include "service/timers.h"
#include "workers/pool.h"

#define IDLE_MS 1000                    /* the group wants to be polled even when nothing happens */

void
pipeline_break(struct pipeline *p, const struct err *why)
{
	if (p->broken)
		return;
	p->broken = true;
	p->why = *why;
}

int64_t
pipeline_now(void)
{
	return clock_wall_ms() / 1000;
}

uint64_t
pipeline_deadline(const struct ticket *t)
{
	int64_t left_ms = t->request.deadline * 1000 - clock_wall_ms();

	return clock_boot_ms() + (left_ms > 0 ? (uint64_t)left_ms : 0);
}

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

static void
unlink_waiter(struct ticket *t)
{
	struct ticket **at;

	if (t->waits_for == NULL)
		return;
	at = &t->waits_for->waiters;
	while (*at != t)
		at = &(*at)->line_next;
	*at = t->line_next;
	t->waits_for = NULL;
}

void
pipeline_unwait(struct pipeline *p, struct ticket *t)
{
	timers_clear(p->timers, t);
	switch (t->state) {
	case TICKET_WAITING:
		unlink_waiter(t);
		break;
	case TICKET_QUEUED:
		dispatch_withdraw(p->dispatch, t);
		break;
	case TICKET_LOOKING:
		lists_withdraw(p->lists, t);
		break;
	default:
		break;
	}
}

void
pipeline_drop(struct pipeline *p, struct ticket *t)
{
	while (t->waiters != NULL)
		pipeline_drop(p, t->waiters);
	pipeline_unwait(p, t);
	if (t->state == TICKET_INTENT)
		dispatch_unused(p->dispatch, t);
	if (t->item.queued)
		batch_withdraw(p->batch, &t->item);
	if (t->asked != NULL)
		t->asked->ticket = NULL;
	pool_return(p->pool, &t->job);
	policy_release(t->policy);
	t->policy = NULL;
	backlog_forget(t);
	if (t->holder)
		journal_forget(t->assignment->journal, t);
	p->tickets--;
	p->tickets_bytes -= t->counted_bytes;
	ticket_free(t);
}

void
pipeline_drop_lost(struct pipeline *p, struct ticket *t)
{
	orphans_string(p, t, t->token_id, true);
	pipeline_drop(p, t);
}

/* Nothing of it may be in the journal: then the successor finds it new. Else it goes on where this life
 * leaves it. */
static void
hand_over_or_drop(struct pipeline *p, struct ticket *t)
{
	if (t->journaled)
		answer_hand_over(p, t);
	else
		pipeline_drop(p, t);
}

void
pipeline_leave(struct pipeline *p, struct ticket *t)
{
	switch (t->state) {
	case TICKET_QUEUED:
	case TICKET_BACKOFF:
		pipeline_unwait(p, t);
		break;
	case TICKET_INTENT:
		if (!t->item.queued)
			return;         /* its commit comes back */
		batch_withdraw(p->batch, &t->item);
		attempts_settle(&t->attempts, FATE_NOT_SENT, &t->arena);
		if (t->journaled)
			dispatch_unused(p->dispatch, t);
		break;
	case TICKET_FETCHING:
		pipeline_drop(p, t);
		return;
	case TICKET_LOOKING:
		pipeline_unwait(p, t);
		conclude_unlooked(t);
		break;
	default:
		return;                 /* WAITING goes where its holder goes; the others come back by themselves */
	}
	hand_over_or_drop(p, t);
}

/* ---- waiting for a permit ---------------------------------------------------------------------------------------- */

void
pipeline_to_line(struct pipeline *p, struct ticket *t)
{
	ticket_move(t, TICKET_QUEUED);
	dispatch_queue(p->dispatch, t);
	timers_set(p->timers, t, pipeline_deadline(t));
}

/* ---- permits and intents ----------------------------------------------------------------------------------------- */

/* What tickets wait to know, the breakers' own, and the sweeps'. */
static void
begin_lists(struct pipeline *p, uint64_t now_boot_ms, uint64_t *wake_boot_ms)
{
	uint64_t retry;

	for (int cluster = 0; cluster < (int)p->o.config->n_clusters; cluster++) {
		bool wanted = orphans_want(p, cluster, now_boot_ms, wake_boot_ms) ||
		    lists_wanted(p->lists, cluster, now_boot_ms);

		if (dispatch_probe(p->dispatch, cluster, wanted, now_boot_ms))
			lists_probe(p->lists, cluster);
		lists_hold(p->lists, cluster, dispatch_list_at(p->dispatch, cluster, now_boot_ms));
	}
	retry = lists_flush(p->lists, now_boot_ms);
	if (retry < *wake_boot_ms)
		*wake_boot_ms = retry;
}

static void
begin_attempts(struct pipeline *p, uint64_t now_boot_ms, uint64_t *wake_boot_ms)
{
	struct ticket *t;
	uint64_t retry;

	while ((t = dispatch_next(p->dispatch, now_boot_ms, &retry)) != NULL) {
		timers_clear(p->timers, t);
		if (t->request.method == METHOD_REVOKE_TOKEN) {
			revoke_call(p, t);
			continue;
		}
		if (t->attempts.begun > 0 && authorize_request(p->authorize, t->policy, t->record.partition,
		    &t->request, pipeline_now(), false, &t->status) != 0) {
			dispatch_unused(p->dispatch, t);
			answer_status(p, t);
			continue;
		}
		dispatch_begin(p->dispatch, t);
		answer_intent(p, t);
	}
	if (retry < *wake_boot_ms)
		*wake_boot_ms = retry;
}

/* ---- what comes back --------------------------------------------------------------------------------------------- */

/* An attempt came to an end, or a list told what its end meant: deliver, end, look, or try again. */
static void
go_on(struct pipeline *p, struct ticket *t, enum conclude_step step, uint64_t wait_ms)
{
	const char *cluster = p->o.config->clusters[t->request.cluster].name;
	uint64_t now = clock_boot_ms();

	orphans_ended(p, t);
	switch (step) {
	case CONCLUDE_DELIVER:
		if (!t->job.marker_intact)
			dispatch_shut(p->dispatch, t->request.cluster);
		answer_token(p, t);
		break;
	case CONCLUDE_END:
		answer_status(p, t);
		break;
	case CONCLUDE_LOOK:
		if (t->assignment->state == ASSIGNMENT_DRAINING) {
			conclude_unlooked(t);
			answer_hand_over(p, t);
			break;
		}
		ticket_move(t, TICKET_LOOKING);
		lists_wait(p->lists, t);
		timers_set(p->timers, t, pipeline_deadline(t));
		break;
	case CONCLUDE_RETRY:
		metrics_add(metrics_at(METRIC_RETRIES, cluster, verdict_label(t->last_verdict)), 1);
		log_info("conclude", t->job.verb == JOB_DELETE ? "a token is not deleted yet; another call follows" :
		    "an attempt ended without a token; another follows",
		    LOG_S("request_id", t->request.request_id), LOG_S("principal", t->principal),
		    LOG_S("cluster", cluster), LOG_N("attempt", t->attempts.begun),
		    LOG_S("verdict", verdict_label(t->last_verdict)), LOG_S("why", t->job.message),
		    LOG_N("wait_ms", wait_ms), LOG_N("partition", t->record.partition),
		    LOG_N("offset", t->record.offset));
		if (t->assignment->state == ASSIGNMENT_DRAINING) {
			hand_over_or_drop(p, t);
			break;
		}
		ticket_move(t, TICKET_BACKOFF);
		timers_set(p->timers, t, now + wait_ms < pipeline_deadline(t) ? now + wait_ms : pipeline_deadline(t));
		break;
	}
}

static void
call_returned(struct pipeline *p, struct ticket *t)
{
	enum conclude_step step;
	uint64_t wait_ms = 0;

	if (t->job.verb == JOB_CREATE)
		CHAOS_POINT("post-answered");
	if (t->job.verb == JOB_DELETE)
		CHAOS_POINT("after-delete");
	dispatch_returned(p->dispatch, t, clock_boot_ms());
	if (t->assignment->state == ASSIGNMENT_LOST) {
		if (t->job.verdict == VERDICT_CREATED)
			orphans_string(p, t, t->job.created_id, true);
		pipeline_drop(p, t);
		return;
	}
	step = t->job.verb == JOB_CREATE ? conclude_outcome(t, random_dice(), &wait_ms) :
	    conclude_deleted(t, pipeline_now(), random_dice(), &wait_ms);
	go_on(p, t, step, wait_ms);
}

/* A list came back. One that is only the sweep's says nothing of the cluster: when it fails, because it is too long or
 * the right to list is missing, requests go on. */
static void
list_returned(struct pipeline *p, struct job *list)
{
	struct ticket *t;

	switch (lists_returned(p->lists, list)) {
	case LISTS_BREAKER:
		dispatch_probed(p->dispatch, list, clock_boot_ms());
		break;
	case LISTS_TICKETS:
		dispatch_listed(p->dispatch, list, clock_boot_ms());
		break;
	case LISTS_SWEEP:
		dispatch_patience(p->dispatch, list, clock_boot_ms());
		break;
	}
	while ((t = lists_served(p->lists, list)) != NULL) {
		uint64_t wait_ms = 0;
		enum conclude_step step = conclude_looked(t, list, random_dice(), &wait_ms);

		timers_clear(p->timers, t);
		go_on(p, t, step, wait_ms);
	}
	sweep_listed(p->sweep, list);
	pool_return(p->pool, list);
}

/* An orphan's: it is nobody's ticket. */
static void
delete_returned(struct pipeline *p, struct job *job)
{
	dispatch_patience(p->dispatch, job, clock_boot_ms());
	sweep_deleted(p->sweep, job);
}

static void
take_outcomes(struct pipeline *p)
{
	struct mail *mail, *next;

	for (mail = mailbox_take(p->outcomes); mail != NULL; mail = next) {
		struct job *job = (struct job *)mail;

		next = mail->next;
		if (job->verb == JOB_LIST)
			list_returned(p, job);
		else if (job->owner == NULL)
			delete_returned(p, job);
		else
			call_returned(p, job->owner);
	}
}

static void
answer_committed(struct pipeline *p, struct ticket *t)
{
	struct ticket *w;

	if (t->handing_over || t->assignment->state == ASSIGNMENT_LOST) {
		pipeline_drop(p, t);
		return;
	}
	if (t->holder) {
		CHAOS_POINT("done-committed");
		journal_settled(t->assignment->journal, t, t->item.out[0].delivered_offset);
	}
	answer_settled(p, t);
	while ((w = t->waiters) != NULL)
		recall_told(p, w, t);
	pipeline_drop(p, t);
}

static void
intent_committed(struct pipeline *p, struct ticket *t, uint64_t commit_began_boot_ms)
{
	t->journaled = true;
	attempts_committed(&t->attempts);
	CHAOS_POINT("intent-committed");
	if (t->assignment->state == ASSIGNMENT_OPEN && !dispatch_is_shut(p->dispatch, t->request.cluster)) {
		ticket_move(t, TICKET_CALLING);
		orphans_begun(p, t);
		dispatch_call(p->dispatch, t, commit_began_boot_ms);
		return;
	}
	attempts_settle(&t->attempts, FATE_NOT_SENT, &t->arena);
	if (t->assignment->state == ASSIGNMENT_LOST) {
		pipeline_drop(p, t);
		return;
	}
	dispatch_unused(p->dispatch, t);
	if (t->assignment->state == ASSIGNMENT_OPEN) {  /* its cluster was shut meanwhile */
		ticket_move(t, TICKET_BACKOFF);
		pipeline_to_line(p, t);
		return;
	}
	answer_hand_over(p, t);
}

/* Not committed, for certain, and not queued again: the partition does not go on as it was. */
static void
aborted(struct pipeline *p, struct transaction *x)
{
	bool anew = false;

	log_warn("publish", "a transaction was aborted", LOG_S("error", x->err.text),
	    LOG_T("stale", x->result == TRANSACTION_STALE));
	for (size_t i = 0; i < x->n_touched; i++) {
		struct touched *t = &x->touched[i];

		if (t->assignment->state == ASSIGNMENT_LOST)
			continue;
		if (x->result == TRANSACTION_STALE || t->too_low)
			hold_lose(p, t->assignment);
		if (t->too_low)
			hold_close(p, t->partition, t->assignment->generation, t->assignment->journal, &x->err);
		anew |= t->unreported && !t->too_low;
	}
	if (anew)
		hold_begin_anew(p);
	for (struct item *it = x->items, *next; it != NULL; it = next) {
		next = it->next;
		pipeline_drop_lost(p, it->ticket);
	}
}

/* Whether it was committed nobody here will know (R5). What it would have delivered is named, and left to the
 * journal. */
static void
in_doubt(struct pipeline *p, struct transaction *x)
{
	pipeline_break(p, &x->err);
	for (struct item *it = x->items; it != NULL; it = it->next)
		orphans_string(p, it->ticket, it->ticket->token_id, false);
}

static void
take_result(struct pipeline *p, struct transaction *x)
{
	if (x->result == TRANSACTION_FATAL)
		in_doubt(p, x);
	if (x->n_touched == 0) {        /* the publisher's word that it has no producer */
		batch_done(x);
		return;
	}
	batch_settle(p->batch, x);
	if (x->result == TRANSACTION_ABORTED || x->result == TRANSACTION_STALE)
		aborted(p, x);
	else if (x->result == TRANSACTION_COMMITTED)
		for (struct item *it = x->items, *next; it != NULL; it = next) {
			next = it->next;
			if (it->ticket->state == TICKET_INTENT)
				intent_committed(p, it->ticket, x->commit_began_boot_ms);
			else
				answer_committed(p, it->ticket);
		}
	batch_done(x);
}

static void
take_results(struct pipeline *p)
{
	struct mail *mail, *next;

	for (mail = mailbox_take(p->results); mail != NULL; mail = next) {
		next = mail->next;
		take_result(p, (struct transaction *)mail);
	}
}

/* t's deadline has passed. */
static void
end_at_deadline(struct pipeline *p, struct ticket *t)
{
	pipeline_unwait(p, t);
	if (t->request.method != METHOD_CREATE_TOKEN) {
		recall_late(p, t);
		return;
	}
	if (t->state == TICKET_LOOKING) {
		conclude_unlooked(t);
		orphans_ended(p, t);
	}
	conclude_deadline(t);
	answer_status(p, t);
}

static void
take_due(struct pipeline *p, uint64_t now_boot_ms)
{
	struct ticket *t;

	while ((t = timers_take(p->timers, now_boot_ms)) != NULL) {
		bool over = pipeline_now() >= t->request.deadline;

		/* A repeat whose reply is decided is told it, however late. */
		if (t->state == TICKET_FETCHING && !(over && t->request.method != METHOD_CREATE_TOKEN))
			recall_fetch(p, t);
		else if (over)
			end_at_deadline(p, t);
		else if (t->state == TICKET_BACKOFF)
			pipeline_to_line(p, t);
		else
			timers_set(p->timers, t, pipeline_deadline(t));
	}
}

/* ---- the turn ---------------------------------------------------------------------------------------------------- */

static bool
over(const struct pipeline *p, uint64_t now_boot_ms)
{
	return p->broken || (p->stopping && ((hold_nothing(p) && !batch_busy(p->batch)) ||
	    now_boot_ms >= p->drain_until_boot_ms));
}

bool
pipeline_turn(struct pipeline *p, uint64_t *ret_wake_boot_ms, struct err *ret_err)
{
	uint64_t now = clock_boot_ms(), wake = now + IDLE_MS;
	struct transaction *x;

	atomic_store(&p->o.health->heartbeat_boot_ms, now);
	hold_events(p);
	hold_restored(p);
	take_outcomes(p);
	take_results(p);
	take_due(p, now);
	walk_records(p);
	orphans_turn(p, now, &wake);
	begin_lists(p, now, &wake);
	backlog_shed(p, now);
	begin_attempts(p, now, &wake);
	dispatch_flush(p->dispatch);
	if ((x = batch_next(p->batch)) != NULL)
		publish_submit(p->publish, x);
	hold_turn(p, now, &wake);
	memory_turn(p);
	metrics_set(p->pending, (int64_t)p->tickets);

	if (over(p, now)) {
		*ret_err = p->broken ? p->why : (struct err){ .text = "" };
		if (!p->broken && (!hold_nothing(p) || batch_busy(p->batch)))
			err_set(ret_err, ERR_FATAL,
			    "drain_timeout is over with %zu requests under way; the next instance goes on with them",
			    p->tickets);
		return false;
	}
	if (p->stopping && p->drain_until_boot_ms < wake)
		wake = p->drain_until_boot_ms;
	if (timers_next(p->timers) < wake)
		wake = timers_next(p->timers);
	*ret_wake_boot_ms = walk_more(p) ? now : wake;
	return true;
}

void
pipeline_drain(struct pipeline *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	p->drain_until_boot_ms = clock_boot_ms() + duration_ms(DURATION_DRAIN);
	atomic_store(&p->o.health->draining, 1);
	log_info("loop", "draining", LOG_N("tickets", p->tickets));
	hold_drain(p);
}

void
pipeline_fds(const struct pipeline *p, int ret_fds[PIPELINE_FDS])
{
	ret_fds[0] = intake_fd(p->intake);
	ret_fds[1] = mailbox_fd(p->outcomes);
	ret_fds[2] = mailbox_fd(p->results);
	ret_fds[3] = mailbox_fd(p->restored);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct pipeline *
pipeline_new(const struct pipeline_options *o, struct err *ret_err)
{
	struct pipeline *p = calloc(1, sizeof *p);
	struct pool_options pool;

	if (p == NULL)
		abort();
	p->o = *o;
	p->policy = policy_hold(o->policy);
	p->pending = metrics_at(METRIC_PENDING, NULL, NULL);
	p->assigned = metrics_at(METRIC_ASSIGNED, NULL, NULL);
	p->entries = metrics_at(METRIC_JOURNAL_ENTRIES, NULL, NULL);
	p->closed = metrics_at(METRIC_JOURNAL_CLOSED, NULL, NULL);
	p->full = metrics_at(METRIC_JOURNAL_FULL, NULL, NULL);
	p->rebalances = metrics_at(METRIC_REBALANCES, NULL, NULL);
	p->seconds = metrics_at(METRIC_REQUEST_SECONDS, NULL, NULL);
	p->timers = timers_new();
	p->batch = batch_new(o->config->transactional_id);
	p->authorize = authorize_new(o->config);
	if ((p->outcomes = mailbox_new(ret_err)) == NULL || (p->results = mailbox_new(ret_err)) == NULL ||
	    (p->restored = mailbox_new(ret_err)) == NULL)
		goto fail;
	pool = (struct pool_options){ .threads = o->config->workers, .clusters = o->config->clusters,
	    .n_clusters = o->config->n_clusters, .outcomes = p->outcomes };
	if ((p->pool = pool_new(&pool, ret_err)) == NULL)
		goto fail;
	p->dispatch = dispatch_new(o->config, p->pool);
	p->lists = lists_new(o->config, p->pool);
	p->sweep = sweep_new(o->config, p->pool);
	if ((p->publish = publish_new(o->config, p->results, ret_err)) == NULL ||
	    (p->restore = restore_new(o->config, p->restored, ret_err)) == NULL ||
	    (p->intake = intake_new(o->config, ret_err)) == NULL)
		goto fail;
	return p;
fail:
	pipeline_free(p);
	return NULL;
}

/* Nobody writes any more: what is left is taken back and dropped. */
static void
empty(struct pipeline *p)
{
	for (struct mail *mail = mailbox_take(p->results), *next; mail != NULL; mail = next) {
		struct transaction *x = (struct transaction *)mail;

		next = mail->next;
		if (x->n_touched > 0)
			batch_settle(p->batch, x);
		batch_done(x);
	}
	for (struct assignment *a = p->assignments; a != NULL; a = a->next)
		while (a->tickets != NULL)
			pipeline_drop(p, a->tickets);
	hold_restored(p);
}

void
pipeline_free(struct pipeline *p)
{
	uint64_t never = UINT64_MAX;

	if (p == NULL)
		return;
	/* The group is left first: by then all that could be committed is. */
	intake_free(p->intake);
	publish_free(p->publish);
	restore_free(p->restore);
	if (p->pool != NULL)
		pool_stop(p->pool);
	for (struct assignment *a = p->assignments; a != NULL; a = a->next)
		a->state = ASSIGNMENT_LOST;
	p->revoking = false;            /* leaving the group gave them up */
	if (p->outcomes != NULL && p->results != NULL && p->restored != NULL) {
		(void)mailbox_take(p->outcomes);        /* the jobs are their tickets' */
		empty(p);
		hold_turn(p, 0, &never);
	}
	lists_free(p->lists);
	sweep_free(p->sweep);
	pool_free(p->pool);
	dispatch_free(p->dispatch);
	batch_free(p->batch);
	timers_free(p->timers);
	authorize_free(p->authorize);
	mailbox_free(p->outcomes);
	mailbox_free(p->results);
	mailbox_free(p->restored);
	policy_release(p->policy);
	free(p);
}
