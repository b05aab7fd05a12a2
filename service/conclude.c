/* SPDX-License-Identifier: Apache-2.0 */
/* What a verdict means for the request, and the reply that says so.
 *
 * An attempt whose POST may have left and that delivers nothing is closed here, whatever the API said: a
 * gateway may answer 429 and create all the same. Those of unknown fate count against the cap (R10): without
 * it, an API that creates and never answers would be asked for ever. */
#include "service/conclude.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/chaos.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/text.h"
#include "service/marker.h"
#include "service/ticket.h"
#include "tokend/v1/token.pb-c.h"
#include "workers/backoff.h"

#define CONFLICTS_MOST 3                /* a 409 is tried again twice */

static enum fate
fate_of(enum verdict v)
{
	switch (verdict_fate(v)) {
	case JOB_FATE_NOT_SENT:
		return FATE_NOT_SENT;
	case JOB_FATE_REFUSED:
		return FATE_REFUSED;
	default:
		return FATE_UNKNOWN;
	}
}

static enum conclude_step
end(struct ticket *t, enum status_cause cause, const char *what)
{
	status_set(&t->status, cause, "%s: %s", what, t->job.message);
	return CONCLUDE_END;
}

/* why: the sentence's beginning, for a request that was begun. */
static void
end_as_at_deadline(struct ticket *t, const char *why)
{
	if (!t->has_last_verdict)
		status_set(&t->status, STATUS_UPSTREAM_UNREACHABLE, "%s after %u attempts", why, t->attempts.begun);
	else
		status_set(&t->status, t->last_verdict == VERDICT_CREDENTIAL ? STATUS_UPSTREAM_AUTH :
		    t->last_verdict == VERDICT_THROTTLED ? STATUS_UPSTREAM_THROTTLED : STATUS_UPSTREAM_UNREACHABLE,
		    "%s after %u attempts; the last: %s", why, t->attempts.begun, t->job.message);
}

bool
conclude_spent(struct ticket *t)
{
	unsigned unknown = attempts_unknown(&t->attempts);

	if (unknown >= ATTEMPTS_UNKNOWN_MOST && !RULE_OFF("R10"))
		status_set(&t->status, STATUS_UPSTREAM_AMBIGUOUS,
		    "%u attempts ended without a word on whether a token was created%s%s", unknown,
		    t->has_last_verdict ? "; the last: " : "", t->has_last_verdict ? t->job.message : "");
	else if (t->attempts.n_closed >= ATTEMPTS_CLOSED_MOST)
		end_as_at_deadline(t, "no attempt brought a token, and there is no room to remember another");
	else
		return false;
	return true;
}

static enum conclude_step
try_again(struct ticket *t, uint32_t dice, uint64_t *ret_wait_ms)
{
	const struct backoff b = { .base_ms = duration_ms(DURATION_BACKOFF_BASE),
	    .cap_ms = duration_ms(DURATION_BACKOFF_CAP) };

	*ret_wait_ms = backoff_ms(&b, t->backoffs++, t->job.retry_after_ms, dice);
	return CONCLUDE_RETRY;
}

static enum conclude_step
next_attempt(struct ticket *t, uint32_t dice, uint64_t *ret_wait_ms)
{
	return conclude_spent(t) ? CONCLUDE_END : try_again(t, dice, ret_wait_ms);
}

enum conclude_step
conclude_outcome(struct ticket *t, uint32_t dice, uint64_t *ret_wait_ms)
{
	enum verdict v = t->job.verdict;

	if (v == VERDICT_CREATED)
		return CONCLUDE_DELIVER;
	t->last_verdict = v;
	t->has_last_verdict = true;
	if (v == VERDICT_NOT_FOUND || v == VERDICT_CONFLICT)
		return CONCLUDE_LOOK;
	attempts_settle(&t->attempts, fate_of(v), &t->arena);
	if (v == VERDICT_REJECTED)
		return end(t, STATUS_UPSTREAM_REJECTED, "InfluxDB refused the request");
	return next_attempt(t, dice, ret_wait_ms);
}

/* A DELETE may be repeated at will, so whatever it comes to but success is tried again: what the API refuses today it
 * may do tomorrow, and a token that somebody wants dead is not given up before the deadline. */
enum conclude_step
conclude_deleted(struct ticket *t, int64_t now, uint32_t dice, uint64_t *ret_wait_ms)
{
	t->last_verdict = t->job.verdict;
	t->has_last_verdict = true;
	if (t->job.verdict != VERDICT_DELETED)
		return try_again(t, dice, ret_wait_ms);
	t->revoked_at = now;
	(void)status_set(&t->status, STATUS_REVOKED, "revoked");
	return CONCLUDE_END;
}

/* ---- what a list tells ------------------------------------------------------------------------------------------- */

static int
by_marker(const void *marker, const void *listed)
{
	return strcmp(marker, ((const struct job_listed *)listed)->marker);
}

static bool
holds_marker(const struct job *list, const char *marker)
{
	return list->n_listed > 0 &&
	    bsearch(marker, list->listed, list->n_listed, sizeof *list->listed, by_marker) != NULL;
}

/* A conflict with ourselves: something on the way sent the POST twice, and the other one was executed. */
static enum fate
fate_of_conflict(const struct ticket *t, const struct job *list)
{
	return list->verdict == VERDICT_LISTED && !holds_marker(list, marker_of(t->job.description)) ?
	    FATE_REFUSED : FATE_UNKNOWN;
}

/* The POST's own words stay: the list's are added to them. */
static void
add_lists_words(struct ticket *t, const struct job *list)
{
	char whole[2 * JOB_MESSAGE_BYTES + 32];
	struct span cut;

	(void)snprintf(whole, sizeof whole, "%s; and the list of tokens: %s", t->job.message, list->message);
	cut = text_cut(span_str(whole), sizeof t->job.message - 1);
	memcpy(t->job.message, cut.data, cut.bytes);
	t->job.message[cut.bytes] = '\0';
}

enum conclude_step
conclude_looked(struct ticket *t, const struct job *list, uint32_t dice, uint64_t *ret_wait_ms)
{
	bool conflict = t->last_verdict == VERDICT_CONFLICT, listed = list->verdict == VERDICT_LISTED;
	enum fate fate = conflict ? fate_of_conflict(t, list) : FATE_REFUSED;

	attempts_settle(&t->attempts, fate, &t->arena);
	if (!listed)
		add_lists_words(t, list);
	/* Where the list works, so do address, account and cluster: it is the request's own words that are not
	 * known. */
	if (!conflict && listed)
		return end(t, STATUS_TARGET_NOT_FOUND, "InfluxDB does not know the target");
	if (conflict && fate == FATE_REFUSED && ++t->conflicts >= CONFLICTS_MOST)
		return end(t, STATUS_UPSTREAM_CONFLICT, "InfluxDB answered with a conflict, again and again");
	return next_attempt(t, dice, ret_wait_ms);
}

void
conclude_unlooked(struct ticket *t)
{
	attempts_settle(&t->attempts, t->last_verdict == VERDICT_CONFLICT ? FATE_UNKNOWN : FATE_REFUSED, &t->arena);
}

/* ---- the end of the line ----------------------------------------------------------------------------------------- */

void
conclude_backlog(struct ticket *t, const char *cluster)
{
	enum status_cause cause = t->request.method == METHOD_REVOKE_TOKEN ? STATUS_STILL_IN_FLIGHT :
	    STATUS_UPSTREAM_BACKLOG;

	status_set(&t->status, cause,
	    "cluster %s lets nothing through, and too many requests wait for it already%s%s", cluster,
	    t->has_last_verdict ? "; the last attempt: " : "", t->has_last_verdict ? t->job.message : "");
}

void
conclude_deadline(struct ticket *t)
{
	char when[TEXT_RFC3339_ROOM], why[TEXT_RFC3339_ROOM + 32];

	text_time(t->request.deadline, -1, when);
	(void)snprintf(why, sizeof why, "the deadline %s passed", when);
	if (t->attempts.begun == 0)
		status_set(&t->status, STATUS_NOT_STARTED, "%s before anything was begun", why);
	else
		end_as_at_deadline(t, why);
}

/* Whether it is deleted all the same, by a call whose answer was lost, is not known: the next RevokeToken tells. */
void
conclude_unrevoked(struct ticket *t)
{
	char when[TEXT_RFC3339_ROOM];

	(void)status_set(&t->status, STATUS_STILL_IN_FLIGHT, "the deadline %s passed before token %s was deleted%s%s",
	    text_time(t->request.deadline, -1, when), t->token_id, t->has_last_verdict ? "; the last answer: " : "",
	    t->has_last_verdict ? t->job.message : "");
}

/* ---- the reply --------------------------------------------------------------------------------------------------- */

static Tokend__V1__Status *
status_message(struct ticket *t)
{
	const struct status_row *row = status_row(t->status.cause);
	Tokend__V1__Status *s = arena_alloc(&t->arena, sizeof *s);
	Tokend__V1__StatusDetail *d = arena_alloc(&t->arena, (t->status.n_details + 1) * sizeof *d);

	tokend__v1__status__init(s);
	s->code = (int32_t)row->code;
	s->message = t->status.message;
	s->reason = (char *)(uintptr_t)row->reason;
	s->about = (Tokend__V1__About)row->about;
	s->retry = (Tokend__V1__Retry)row->retry;
	s->n_details = t->status.n_details;
	s->details = arena_alloc(&t->arena, (t->status.n_details + 1) * sizeof *s->details);
	for (unsigned i = 0; i < t->status.n_details; i++) {
		tokend__v1__status_detail__init(&d[i]);
		d[i].key = (char *)(uintptr_t)t->status.details[i].key;
		d[i].value = t->status.details[i].value;
		s->details[i] = &d[i];
	}
	t->code = s->code;
	return s;
}

/* The client looks for its answer by the record's key; a request that an earlier life left open has its ID
 * from the journal. */
static char *
reply_id(struct ticket *t)
{
	return t->record.key.data != NULL ? (char *)(uintptr_t)t->record.key.data :
	    (char *)(uintptr_t)t->request.request_id;
}

static void
create_reply(struct ticket *t, struct span box)
{
	Tokend__V1__CreateTokenReply r = TOKEND__V1__CREATE_TOKEN_REPLY__INIT;
	unsigned char *bytes;
	size_t n;

	r.request_id = reply_id(t);
	r.principal = (char *)(uintptr_t)t->principal;
	r.status = status_message(t);
	r.attempts = t->attempts.begun;
	r.service_version = (char *)(uintptr_t)TOKEND_VERSION;
	if (box.bytes > 0) {
		r.suite = (Tokend__V1__Suite)t->request.suite;
		r.recipient_key_id = t->request.recipient_id;
		r.sealed_token = (ProtobufCBinaryData){ box.bytes, (uint8_t *)(uintptr_t)box.data };
	}
	n = tokend__v1__create_token_reply__get_packed_size(&r);
	bytes = arena_alloc(&t->arena, n);
	tokend__v1__create_token_reply__pack(&r, bytes);
	t->stored = span_of(bytes, n);
}

static void
revoke_reply(struct ticket *t)
{
	Tokend__V1__RevokeTokenReply r = TOKEND__V1__REVOKE_TOKEN_REPLY__INIT;
	unsigned char *bytes;
	size_t n;

	r.request_id = reply_id(t);
	r.principal = (char *)(uintptr_t)t->principal;
	r.status = status_message(t);
	if (t->status.cause == STATUS_REVOKED)
		r.token_id = (char *)(uintptr_t)t->token_id;
	r.attempts = t->attempts.begun;
	r.service_version = (char *)(uintptr_t)TOKEND_VERSION;
	n = tokend__v1__revoke_token_reply__get_packed_size(&r);
	bytes = arena_alloc(&t->arena, n);
	tokend__v1__revoke_token_reply__pack(&r, bytes);
	t->stored = span_of(bytes, n);
}

void
conclude_reply(struct ticket *t, struct span box)
{
	if (t->metadata.method == METHOD_REVOKE_TOKEN)
		revoke_reply(t);
	else
		create_reply(t, box);
}
