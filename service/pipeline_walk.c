/* SPDX-License-Identifier: Apache-2.0 */
/* A record's first walk: read, believed or refused, known or new, admitted, and into the line for a permit.
 *
 * The order of checks is the contract's, and it matters. Whatever fails before the request is admitted
 * refuses the RECORD, is written under the record's place, and leaves the ID untouched; whatever fails after
 * is the request's OUTCOME, for good. A repeat is answered before anything is asked that may have changed
 * since: key's validity, policy, clock. */
#include <stdlib.h>

#include "service/authorize.h"
#include "service/base/chaos.h"
#include "service/base/config.h"
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

/* A CreateToken that verified and can be read: does the journal know it? */
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
		recall_wait(p, t, look.holder);
		return;
	case JOURNAL_DONE:
		if (RULE_OFF("R8"))
			break;
		recall_stored(p, t, t->journal_key, t->key_hash);
		return;
	case JOURNAL_BEGUN:
		admit(p, t, false);
		return;
	case JOURNAL_NEW:
		break;
	}
	if (journal_may_have_forgotten(t->assignment->journal, t->request.issued_at, t->request.deadline,
	    pipeline_now())) {
		end_stray(p, t);
		recall_past_window(p, t);
	} else if (authorize_record(key, &t->request, pipeline_now(), &t->status) != 0)
		refuse(p, t);
	else
		admit(p, t, true);
}

/* What is said, by the owner of the key that signed. False: t->status refuses the record. */
static bool
read_request(struct pipeline *p, struct ticket *t, const struct verification *v)
{
	if (decode_shape(p->o.config, t->metadata.method, t->metadata.body, t->record.key, v->key->principal,
	    &t->arena, &t->request, &t->status) != 0)
		return false;
	t->verified = true;
	t->principal = v->key->principal;
	return true;
}

/* Each method has a way of its own from here. */
static void
go_by_method(struct pipeline *p, struct ticket *t, const struct policy_key *key)
{
	switch (t->request.method) {
	case METHOD_GET_OUTCOME:
		recall_outcome(p, t, key);
		break;
	case METHOD_REVOKE_TOKEN:
		revoke_asked(p, t, key);
		break;
	default:
		look_up(p, t, key);
		break;
	}
}

static void
walk(struct pipeline *p, struct ticket *t)
{
	struct status bad_signature;
	bool outside_read = headers_read(p->o.config, &t->record, &t->metadata, &t->status) == 0, signature_good;
	struct verification v = { .metadata = &t->metadata, .policy = t->policy };

	signature_good = t->signed_well = verify_signature(&v, &bad_signature) == 0;
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
		hold_close(p, a->partition, a->generation, a->journal, &e);
		return;
	}
	case JOURNAL_PLACE_FREE:
		break;
	}
	if (!headers_key_valid(&t->record)) {
		answer_dead_letter(p, t, "invalid_key", t->signed_well ? NULL : &p->dead_letters);
		return;
	}
	if (outside_read && !signature_good)
		t->status = bad_signature;
	if (outside_read && signature_good && read_request(p, t, &v))
		go_by_method(p, t, v.key);
	else
		refuse(p, t);
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
	answer_dead_letter(p, t, "skipped", NULL);
}

static void
read_partition(struct pipeline *p, struct assignment *a)
{
	for (int n = 0; n < READ_A_TURN && a->state == ASSIGNMENT_OPEN; n++) {
		struct ticket *t;

		if (a->n_tickets >= p->o.config->max_pending || p->tickets_bytes >= TICKETS_BYTES_MOST ||
		    !watermark_room(a->watermark) || !memory_room(a))
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
		if (a->readable && a->state == ASSIGNMENT_OPEN && !a->full &&
		    a->n_tickets < p->o.config->max_pending && p->tickets_bytes < TICKETS_BYTES_MOST &&
		    watermark_room(a->watermark))
			return true;
	return false;
}
