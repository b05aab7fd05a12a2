/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions: given, restored, asked back, lost.
 *
 *   given     its journal is read first; until then nothing of it is worked on (R2), also when it comes back
 *             to the same process
 *   asked     no new record, no new intent, no new POST; calls in flight end, outcomes are committed, and what
 *   back      goes on elsewhere is handed over by one more INTENT without an open attempt, or clean hand-overs
 *             would use up the cap on unknown attempts
 *   lost      somebody else's by now: whatever is still queued for it is dropped, and a string that comes later
 *             delivers nothing: its token is deleted
 *   closed    its journal cannot be trusted (R11): held, and left unread. It is looked at again now and then, for
 *             an operator may have written a #loss. If it was closed while it was worked on, its journal alone looks
 *             as good as before: then only a #loss opens it, another than the one it may have had. Which one it is
 *             its id says, not its offset: a journal that was made anew begins at 0 again */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/batch.h"
#include "service/dispatch.h"
#include "service/generation.h"
#include "service/intake.h"
#include "service/journal.h"
#include "service/ops.h"
#include "service/pipeline_private.h"
#include "service/restore.h"
#include "service/timers.h"
#include "service/watermark.h"

static void
show(struct pipeline *p)
{
	int64_t held = 0, closed = 0;

	for (struct assignment *a = p->assignments; a != NULL; a = a->next) {
		held += a->state != ASSIGNMENT_LOST;
		closed += a->state == ASSIGNMENT_CLOSED;
	}
	metrics_set(p->assigned, held);
	metrics_set(p->closed, closed);
	atomic_store(&p->o.health->journal_closed, (int)closed);
}

/* ---- lost -------------------------------------------------------------------------------------------------------- */

/* One that neither a worker nor the publisher has. */
static struct ticket *
loose(const struct assignment *a)
{
	struct ticket *t = a->tickets;

	while (t != NULL && (t->state == TICKET_CALLING ||
	    ((t->state == TICKET_INTENT || t->state == TICKET_ANSWERING) && !t->item.queued)))
		t = t->next;
	return t;
}

/* What others have comes back by itself, and is dropped then. */
void
hold_lose(struct pipeline *p, struct assignment *a)
{
	struct ticket *t;

	a->state = ASSIGNMENT_LOST;
	if (a->asked != NULL)
		atomic_store(&a->asked->unwanted, true);
	while ((t = loose(a)) != NULL)
		pipeline_drop_lost(p, t);
}

static void
lose_all(struct pipeline *p)
{
	for (struct assignment *a = p->assignments; a != NULL; a = a->next)
		hold_lose(p, a);
	p->revoking = false;
}

/* ---- given and restored ------------------------------------------------------------------------------------------ */

static void
ask_restore(struct pipeline *p, struct assignment *a)
{
	struct restoration *q = calloc(1, sizeof *q);

	if (q == NULL)
		abort();
	q->kind = RESTORE_JOURNAL;
	q->partition = a->partition;
	q->assignment = a;
	q->judged_high = a->state == ASSIGNMENT_CLOSED ? a->judged_high : -1;
	q->newcomer = clock_boot_ms() - p->member_since_boot_ms < duration_ms(DURATION_SESSION);
	a->asked = q;
	restore_ask(p->restore, q);
}

static struct assignment *
add(struct pipeline *p, int32_t partition, struct generation *g)
{
	struct assignment *a = calloc(1, sizeof *a);
	char number[16];

	if (a == NULL)
		abort();
	a->partition = partition;
	a->generation = generation_hold(g);
	if ((a->of_cluster = calloc(p->o.config->n_clusters, sizeof *a->of_cluster)) == NULL)
		abort();
	snprintf(number, sizeof number, "%" PRId32, partition);
	a->lag = metrics_at(METRIC_LAG, number, NULL);
	a->fill = metrics_at(METRIC_JOURNAL_FILL, number, NULL);
	a->next = p->assignments;
	p->assignments = a;
	return a;
}

static void
forget_memory(struct assignment *a)
{
	journal_free(a->journal);
	watermark_free(a->watermark);
	a->journal = NULL;
	a->watermark = NULL;
}

static void
say_closed(const struct assignment *a, const struct err *why)
{
	log_error("journal", "the partition stays closed: its journal cannot be trusted",
	    LOG_N("partition", a->partition), LOG_S("error", why->text),
	    LOG_S("opens", a->wants_loss ? "by tokenctl journal accept-loss --although-trusted" :
	    "by itself when it is whole again, or by tokenctl journal accept-loss"));
}

void
hold_close(struct pipeline *p, int32_t partition, struct generation *g, const struct journal *worked_on,
    const struct err *why)
{
	struct assignment *a = add(p, partition, g);
	const unsigned char *loss = worked_on != NULL ? journal_loss_id(worked_on) : NULL;

	a->state = ASSIGNMENT_CLOSED;
	a->judged_high = -1;
	a->wants_loss = worked_on != NULL;
	a->lost_before = loss != NULL;
	if (loss != NULL)
		memcpy(a->loss_before, loss, sizeof a->loss_before);
	a->retry_boot_ms = clock_boot_ms() + duration_ms(DURATION_CLOSED_RETRY);
	say_closed(a, why);
	show(p);
}

void
hold_begin_anew(struct pipeline *p)
{
	log_warn("intake", "the journal's end is not known: leaving the group and joining again",
	    LOG_N("tickets", p->tickets));
	lose_all(p);
	intake_begin_anew(p->intake);
}

static void
open_assignment(struct pipeline *p, struct assignment *a, struct restoration *q)
{
	struct ticket *t;

	a->journal = q->journal;
	q->journal = NULL;
	a->watermark = watermark_new(q->start);
	a->claim = q->claim;
	a->state = ASSIGNMENT_OPEN;
	a->readable = true;
	log_info("journal", "restored", LOG_N("partition", a->partition), LOG_N("start", q->start),
	    LOG_N("entries", journal_entries(a->journal)), LOG_N("seq", journal_seq(a->journal)),
	    LOG_N("generation", generation_number(a->generation)));
	orphans_restored(p, a);
	for (t = ticket_new(a); journal_stray(a->journal, q->start, q->request_high, t); t = ticket_new(a)) {
		p->tickets++;
		answer_stray(p, t);
	}
	ticket_free(t);
}

/* What came in while it was open, or closed, is not there any more. */
static int
reread(struct pipeline *p, const struct assignment *a, struct restoration *q)
{
	if (intake_seek(p->intake, a->partition, q->start, &q->err) == 0)
		return 0;
	q->failed = true;
	log_warn("journal", "cannot open yet", LOG_N("partition", a->partition), LOG_S("error", q->err.text));
	return -1;
}

/* Its journal is in order; is that enough? */
static bool
may_open(const struct assignment *a, const struct journal *j)
{
	const unsigned char *loss = journal_loss_id(j);

	if (!a->wants_loss)
		return true;
	return loss != NULL && (!a->lost_before || memcmp(loss, a->loss_before, sizeof a->loss_before) != 0);
}

/* A closed partition's journal was looked at again. What it was closed for is told again only when the journal is
 * another one than it was. */
static void
judge_again(struct pipeline *p, struct assignment *a, struct restoration *q)
{
	bool first = a->judged_high < 0;

	a->retry_boot_ms = clock_boot_ms() + duration_ms(DURATION_CLOSED_RETRY);
	if (!q->failed && may_open(a, q->journal) && reread(p, a, q) == 0) {
		open_assignment(p, a, q);
		return;
	}
	journal_free(q->journal);
	if (q->failed && q->err.next == ERR_RETRY)
		return;
	a->judged_high = q->journal_high;
	if (q->failed && q->err.next == ERR_FATAL)
		pipeline_break(p, &q->err);
	else if (q->failed && !first)
		say_closed(a, &q->err);
}

static void
take_journal(struct pipeline *p, struct restoration *q)
{
	struct assignment *a = q->assignment;

	a->asked = NULL;
	if (a->state == ASSIGNMENT_CLOSED) {
		judge_again(p, a, q);
		return;
	}
	if (a->state != ASSIGNMENT_RESTORING) {
		journal_free(q->journal);
		return;
	}
	if (!q->failed)
		open_assignment(p, a, q);
	else if (q->err.next == ERR_FATAL)
		pipeline_break(p, &q->err);
	else if (q->err.next == ERR_REFUSE) {
		hold_lose(p, a);
		hold_close(p, a->partition, a->generation, NULL, &q->err);
	} else {
		log_warn("journal", "cannot restore yet", LOG_N("partition", a->partition),
		    LOG_S("error", q->err.text));
		a->retry_boot_ms = clock_boot_ms() + duration_ms(DURATION_RESTORE_RETRY);
	}
}

void
hold_restored(struct pipeline *p)
{
	struct mail *mail = mailbox_take(p->restored), *next;

	if (mail == NULL)
		return;
	for (; mail != NULL; mail = next) {
		struct restoration *q = (struct restoration *)mail;

		next = mail->next;
		if (q->kind == RESTORE_JOURNAL)
			take_journal(p, q);
		else if (q->kind == RESTORE_REPLY)
			recall_fetched(p, q);
		else
			orphans_read(p, q);
		free((void *)(uintptr_t)q->value.data);
		free((void *)(uintptr_t)q->key.data);
		free(q);
	}
	show(p);
}

/* ---- asked back -------------------------------------------------------------------------------------------------- */

static void
drain(struct pipeline *p, struct assignment *a)
{
	struct ticket *t, *next;

	if (a->state == ASSIGNMENT_LOST || a->state == ASSIGNMENT_DRAINING)
		return;
	a->state = ASSIGNMENT_DRAINING;
	if (a->asked != NULL)
		atomic_store(&a->asked->unwanted, true);
	/* Waiters are newer than their holders, so they stand before them: a holder that goes takes none along
	 * that is still to come. */
	for (t = a->tickets; t != NULL; t = next) {
		next = t->next;
		pipeline_leave(p, t);
	}
}

void
hold_drain(struct pipeline *p)
{
	for (struct assignment *a = p->assignments; a != NULL; a = a->next)
		drain(p, a);
}

/* Free what is lost and has nothing under way any more. */
static void
sweep_up(struct pipeline *p)
{
	struct assignment **at = &p->assignments;

	while (*at != NULL) {
		struct assignment *a = *at;

		if (a->state != ASSIGNMENT_LOST || a->n_tickets > 0 || a->in_transactions > 0 || a->asked != NULL) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		metrics_set(a->fill, 0);        /* whoever has it now, and be it we, says how full it is */
		forget_memory(a);
		generation_release(a->generation);
		free(a->of_cluster);
		free(a);
		show(p);
	}
}

bool
hold_nothing(const struct pipeline *p)
{
	for (const struct assignment *a = p->assignments; a != NULL; a = a->next)
		if (a->state != ASSIGNMENT_LOST && (a->n_tickets > 0 || a->in_transactions > 0))
			return false;
	return true;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void
on_assigned(struct pipeline *p, struct intake_event *e)
{
	log_info("intake", "assigned", LOG_N("partitions", e->n_partitions),
	    LOG_N("generation", generation_number(e->generation)));
	metrics_add(p->rebalances, 1);
	atomic_store(&p->o.health->joined, 1);
	if (p->member_since_boot_ms == 0)
		p->member_since_boot_ms = clock_boot_ms();
	if (generation_valid(e->generation) && !p->stopping)
		for (size_t i = 0; i < e->n_partitions; i++)
			ask_restore(p, add(p, e->partitions[i], e->generation));
	generation_release(e->generation);
}

void
hold_events(struct pipeline *p)
{
	struct intake_event e;

	while (intake_poll(p->intake, &e)) {
		switch (e.kind) {
		case INTAKE_ASSIGNED:
			on_assigned(p, &e);
			break;
		case INTAKE_REVOKED:
			log_info("intake", "the group asks the partitions back", LOG_N("tickets", p->tickets));
			p->revoking = true;
			if (!p->stopping)       /* else the end is set already */
				p->drain_until_boot_ms = clock_boot_ms() + duration_ms(DURATION_DRAIN);
			hold_drain(p);
			break;
		case INTAKE_LOST:
			log_warn("intake", "the partitions are lost", LOG_N("tickets", p->tickets));
			p->member_since_boot_ms = 0;
			lose_all(p);
			break;
		case INTAKE_FATAL:
			generation_release(e.generation);
			pipeline_break(p, &e.err);
			break;
		}
		show(p);
	}
}

/* A transaction of the same partition's earlier hold may still commit: in the same generation nothing fences it. */
static bool
lost_one_writes(const struct pipeline *p, int32_t partition)
{
	for (const struct assignment *a = p->assignments; a != NULL; a = a->next)
		if (a->partition == partition && a->state == ASSIGNMENT_LOST && a->in_transactions > 0)
			return true;
	return false;
}

void
hold_turn(struct pipeline *p, uint64_t now_boot_ms, uint64_t *wake_boot_ms)
{
	if (p->revoking && (hold_nothing(p) || now_boot_ms >= p->drain_until_boot_ms)) {
		if (!hold_nothing(p))
			log_warn("intake", "giving partitions up with calls in flight", LOG_N("tickets", p->tickets));
		lose_all(p);
		intake_give_up(p->intake);
		log_info("intake", "gave the partitions up", LOG_N("tickets", p->tickets));
	}
	if (p->revoking && p->drain_until_boot_ms < *wake_boot_ms)
		*wake_boot_ms = p->drain_until_boot_ms;
	for (struct assignment *a = p->assignments; a != NULL; a = a->next) {
		if ((a->state != ASSIGNMENT_RESTORING && a->state != ASSIGNMENT_CLOSED) || a->asked != NULL ||
		    lost_one_writes(p, a->partition))
			continue;
		if (now_boot_ms >= a->retry_boot_ms)
			ask_restore(p, a);
		else if (a->retry_boot_ms < *wake_boot_ms)
			*wake_boot_ms = a->retry_boot_ms;
	}
	sweep_up(p);
}
