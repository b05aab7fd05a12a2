/* SPDX-License-Identifier: Apache-2.0 */
/* A record's first walk: read, believed or refused, known or new, admitted, and into the line for a permit.
 *
 * The order of checks is the contract's, and it matters. Whatever fails before the request is admitted
 * refuses the RECORD, is written under the record's place, and leaves the ID untouched; whatever fails after
 * is the request's OUTCOME, for good. A repeat is answered before anything is asked that may have changed
 * since: key's validity, policy, clock. */
#include <stdlib.h>

#include "service/authorize.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/metrics.h"
#include "service/base/text.h"
#include "service/conclude.h"
#include "service/crash.h"
#include "service/decode.h"
#include "service/dispatch.h"
#include "service/headers.h"
#include "service/intake.h"
#include "service/journal.h"
#include "service/pipeline_private.h"
#include "service/policy.h"
#include "service/restore.h"
#include "service/timers.h"
#include "service/verify.h"
#include "service/watermark.h"

#define READ_A_TURN 256                 /* of one partition, so that none holds up the others */

/* Should an earlier life have begun what t's record asks for, it ends here: nobody else will bring it. */
static void
end_stray(struct pipeline *p, const struct ticket *t)
{
	struct ticket *stray = ticket_new(t->assignment);

	if (journal_stray_at(t->assignment->journal, t->record.offset, stray)) {
		p->tickets++;
		answer_stray(p, stray);
	} else
		ticket_free(stray);
}

static void
refuse(struct pipeline *p, struct ticket *t)
{
	end_stray(p, t);
	answer_status(p, t);
}

void
walk_fetch(struct pipeline *p, struct ticket *t)
{
	struct restoration *q = calloc(1, sizeof *q);
	struct journal_look look;
	unsigned char *key;

	if (q == NULL || (key = malloc(t->journal_key.bytes)) == NULL)
		abort();
	journal_look(t->assignment->journal, t->key_hash,
	    t->request.method == METHOD_GET_OUTCOME ? NULL : t->fingerprint, &look);
	memcpy(key, t->journal_key.data, t->journal_key.bytes);
	q->kind = RESTORE_REPLY;
	q->partition = t->assignment->partition;
	q->offset = look.offset;
	q->key = span_of(key, t->journal_key.bytes);
	q->ticket = t;
	t->asked = q;
	restore_ask(p->restore, q);
}

static void
wait_for(struct ticket *t, struct ticket *holder)
{
	ticket_move(t, TICKET_WAITING);
	t->waits_for = holder;
	t->line_next = holder->waiters;
	holder->waiters = t;
	backlog_count_waiter(t);
}

static void
refuse_reused(struct pipeline *p, struct ticket *t, const struct journal_look *look)
{
	char hex[65];

	status_set(&t->status, STATUS_REQUEST_ID_REUSED, "request_id \"%s\" was used before, with other bytes",
	    t->request.request_id);
	status_detail(&t->status, "fingerprint", "%s", text_hex(span_of(look->fingerprint, 32), hex));
	status_detail(&t->status, "state", "%s", look->done ? "DONE" : "IN_FLIGHT");
	refuse(p, t);
}

/* The request's own ticket from here on: whatever ends it is its outcome. */
static void
admit(struct pipeline *p, struct ticket *t, bool is_new)
{
	int64_t now = pipeline_now();

	journal_admit(t->assignment->journal, t);
	if (decode_values(p->o.config, &t->arena, &t->request, &t->status) != 0) {
		answer_status(p, t);
		return;
	}
	if (now >= t->request.deadline) {
		conclude_deadline(t);
		answer_status(p, t);
		return;
	}
	if (authorize_request(p->authorize, t->policy, t->record.partition, &t->request, now, is_new,
	    &t->status) != 0) {
		answer_status(p, t);
		return;
	}
	if (conclude_spent(t)) {
		answer_status(p, t);
		return;
	}
	backlog_count(t);
	pipeline_to_line(p, t);
}

bool
walk_past_window(const struct pipeline *p, const struct ticket *t)
{
	int64_t skew = (int64_t)(duration_ms(DURATION_SKEW) / 1000);

	return t->request.deadline + skew <= journal_floor(p->o.config->deadline_most_ms, pipeline_now());
}

/* It verified and can be read: does the journal know it? */
static void
look_up(struct pipeline *p, struct ticket *t, const struct policy_key *key)
{
	struct journal_look look;

	t->journal_key = journal_request_key(&t->arena, t->request.method, t->request.principal, t->request.request_id);
	t->key_hash = journal_key_hash(t->journal_key);
	journal_look(t->assignment->journal, t->key_hash, t->fingerprint, &look);
	switch (look.seen) {
	case JOURNAL_OTHER_BYTES:
		refuse_reused(p, t, &look);
		return;
	case JOURNAL_IN_FLIGHT:
		wait_for(t, look.holder);
		return;
	case JOURNAL_DONE:
		ticket_move(t, TICKET_FETCHING);
		walk_fetch(p, t);
		return;
	case JOURNAL_BEGUN:
		admit(p, t, false);
		return;
	case JOURNAL_NEW:
		break;
	}
	if (walk_past_window(p, t)) {
		status_set(&t->status, STATUS_PAST_WINDOW,
		    "the request is older than what is remembered; an earlier reply may exist");
		refuse(p, t);
	} else if (authorize_record(key, &t->request, pipeline_now(), &t->status) != 0)
		refuse(p, t);
	else
		admit(p, t, true);
}

void
walk_still_in_flight(struct pipeline *p, struct ticket *t)
{
	(void)status_set(&t->status, STATUS_STILL_IN_FLIGHT,
	    "the deadline passed while request_id \"%s\" was still in flight", t->request.request_id);
	refuse(p, t);
}

/* What became of an ID, for the principal that asked under it; to anybody else it is as if it did not exist. The
 * grants are not asked: the box, if there is one, was sealed when they were. */
static void
look_up_outcome(struct pipeline *p, struct ticket *t, const struct policy_key *key)
{
	struct journal_look look;

	t->journal_key = journal_request_key(&t->arena, METHOD_CREATE_TOKEN, t->request.principal,
	    t->request.request_id);
	t->key_hash = journal_key_hash(t->journal_key);
	if (authorize_record(key, &t->request, pipeline_now(), &t->status) != 0) {
		refuse(p, t);
		return;
	}
	journal_look(t->assignment->journal, t->key_hash, NULL, &look);
	switch (look.seen) {
	case JOURNAL_IN_FLIGHT:
		wait_for(t, look.holder);
		timers_set(p->timers, t, pipeline_deadline(t));
		return;
	case JOURNAL_DONE:
		ticket_move(t, TICKET_FETCHING);
		walk_fetch(p, t);
		return;
	case JOURNAL_BEGUN:             /* its own record is still to be read again */
		walk_still_in_flight(p, t);
		return;
	default:
		(void)status_set(&t->status, STATUS_NO_OUTCOME,
		    "nothing is known of request_id \"%s\" for principal %s: never asked, or longer than 7 days ago",
		    t->request.request_id, t->request.principal);
		refuse(p, t);
	}
}

/* Who speaks, and what is said. False: t->status refuses the record. */
static bool
read_request(struct pipeline *p, struct ticket *t, bool outside_read, struct verification *v, bool signature_good)
{
	if (!outside_read)
		return false;
	if (t->metadata.method == METHOD_REVOKE_TOKEN) {
		status_set(&t->status, STATUS_UNKNOWN_METHOD, "%s is declared, and not built in this version",
		    headers_method_name(t->metadata.method));
		return false;
	}
	if (!signature_good)
		return false;
	if (decode_shape(p->o.config, t->metadata.method, t->metadata.body, t->record.key, v->key->principal,
	    &t->arena, &t->request, &t->status) != 0)
		return false;
	t->verified = true;
	t->principal = v->key->principal;
	return true;
}

static void
walk(struct pipeline *p, struct ticket *t)
{
	struct status bad_signature;
	bool outside_read = headers_read(p->o.config, &t->record, &t->metadata, &t->status) == 0, signature_good;
	struct verification v = { .metadata = &t->metadata, .policy = t->policy };

	signature_good = verify_signature(&v, &bad_signature) == 0;
	memcpy(t->fingerprint, v.fingerprint, sizeof t->fingerprint);
	memcpy(t->digest, v.digest, sizeof t->digest);
	switch (journal_place(t->assignment->journal, t->record.offset, t->digest)) {
	case JOURNAL_PLACE_ANSWERED:
		watermark_answered(t->assignment->watermark, t->record.offset);
		pipeline_drop(p, t);
		return;
	case JOURNAL_PLACE_OTHER: {
		struct assignment *a = t->assignment;
		struct err e;

		err_set(&e, ERR_REFUSE, "the record at offset %lld is another one than the journal knows",
		    (long long)t->record.offset);
		hold_lose(p, a);
		hold_close(p, a->partition, a->generation, &e);
		return;
	}
	case JOURNAL_PLACE_FREE:
		break;
	}
	if (!headers_key_valid(&t->record)) {
		answer_dead_letter(p, t, "invalid_key");
		return;
	}
	if (outside_read && !signature_good && t->metadata.method != METHOD_REVOKE_TOKEN)
		t->status = bad_signature;
	if (!read_request(p, t, outside_read, &v, signature_good))
		refuse(p, t);
	else if (t->request.method == METHOD_GET_OUTCOME)
		look_up_outcome(p, t, v.key);
	else
		look_up(p, t, v.key);
}

/* An operator has named it: it goes to the dead letters as it came, without a look. */
static void
skip(struct pipeline *p, struct ticket *t)
{
	if (journal_place(t->assignment->journal, t->record.offset, NULL) == JOURNAL_PLACE_ANSWERED) {
		watermark_answered(t->assignment->watermark, t->record.offset);
		pipeline_drop(p, t);
		return;
	}
	end_stray(p, t);
	answer_dead_letter(p, t, "skipped");
}

static void
read_partition(struct pipeline *p, struct assignment *a)
{
	for (int n = 0; n < READ_A_TURN && a->state == ASSIGNMENT_OPEN; n++) {
		struct ticket *t;

		if (a->n_tickets >= p->o.config->max_pending || p->tickets_bytes >= TICKETS_BYTES_MOST ||
		    !watermark_room(a->watermark))
			return;
		t = ticket_new(a);
		if (!intake_read(p->intake, a->partition, &t->arena, &t->record)) {
			a->readable = false;
			ticket_free(t);
			metrics_set(a->lag, intake_lag(p->intake, a->partition));
			return;
		}
		if (!watermark_take(a->watermark, t->record.offset)) {
			ticket_free(t);
			continue;
		}
		p->tickets++;
		t->counted_bytes = t->arena.used_bytes + sizeof *t;
		p->tickets_bytes += t->counted_bytes;
		t->policy = policy_hold(p->policy);
		if (config_skips(p->o.config, a->partition, t->record.offset)) {
			skip(p, t);
			continue;
		}
		crash_decoding(a->partition, t->record.offset);
		walk(p, t);
		crash_decoded();
	}
}

void
walk_records(struct pipeline *p)
{
	if (intake_woken(p->intake))
		for (struct assignment *a = p->assignments; a != NULL; a = a->next)
			a->readable = true;
	for (struct assignment *a = p->assignments; a != NULL; a = a->next)
		if (a->readable && a->state == ASSIGNMENT_OPEN)
			read_partition(p, a);
}

bool
walk_more(const struct pipeline *p)
{
	for (const struct assignment *a = p->assignments; a != NULL; a = a->next)
		if (a->readable && a->state == ASSIGNMENT_OPEN && a->n_tickets < p->o.config->max_pending &&
		    p->tickets_bytes < TICKETS_BYTES_MOST && watermark_room(a->watermark))
			return true;
	return false;
}
