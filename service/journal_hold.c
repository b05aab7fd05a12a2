/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in work: from the moment a ticket is the request's own until its outcome is committed, and what is
 * written of them meanwhile.
 *
 * A ticket that is admitted inherits what an earlier life had closed and what it left open. An INTENT whose record
 * nobody will bring, or that is refused now, is handed to a ticket made for it: a stray. */
#include "service/journal.h"

#include <assert.h>
#include <stdlib.h>

#include "service/journal_private.h"

/* ---- holding ----------------------------------------------------------------------------------------------------- */

/* What an earlier life had closed, and what it left open, of which nobody knows. */
static void
inherit(struct attempts *to, const struct record_read *r, struct arena *a)
{
	to->begun = r->attempts;
	to->previous = r->previous;
	for (size_t i = 0; i < r->n_closed && to->n_closed < ATTEMPTS_CLOSED_MOST; i++) {
		struct attempt kept = r->closed[i];

		kept.cluster = (const char *)arena_copy(a, span_str(kept.cluster)).data;
		kept.closure = CLOSURE_COMMITTED;
		attempts_close(to, &kept, kept.fate, a);
	}
	if (r->has_attempt && to->n_closed < ATTEMPTS_CLOSED_MOST) {
		struct attempt open = r->attempt;

		open.cluster = (const char *)arena_copy(a, span_str(open.cluster)).data;
		attempts_close(to, &open, FATE_UNKNOWN, a);
		to->previous = FATE_UNKNOWN;
	}
}

void
journal_admit(struct journal *j, struct ticket *t)
{
	struct index_entry *e = index_insert(j->index, t->key_hash);

	if (e->state == INDEX_BEGUN) {
		struct begun *b = e->at.begun;

		inherit(&t->attempts, &b->read, &t->arena);
		t->journaled = true;
		journal_begun_unlink(j, b);
		journal_begun_free(b);
	}
	e->state = INDEX_IN_FLIGHT;
	e->kind = t->journal_key.data[0];
	e->at.holder = t;
	e->deadline = index_seconds(t->request.deadline);
	memcpy(e->fingerprint, t->fingerprint, 32);
	t->holder = true;
}

static void
settle_attempt(struct journal *j, struct index_entry *e, const struct attempt *t)
{
	if (index_seconds(t->not_after_ms / 1000) > e->last_not_after)
		e->last_not_after = index_seconds(t->not_after_ms / 1000);
	e->cluster = journal_note_attempt(j, t, t->fate == FATE_UNKNOWN);
}

void
journal_settled(struct journal *j, const struct ticket *t, int64_t journal_offset)
{
	struct index_entry *e = index_find(j->index, t->key_hash);

	assert(e != NULL && e->state == INDEX_IN_FLIGHT && e->at.holder == t);
	e->state = INDEX_DONE;
	e->at.offset = journal_offset;
	if (e->kind == 'R') {
		e->last_not_after = index_seconds(t->revoked_at);
		return;
	}
	for (unsigned i = 0; i < t->attempts.n_closed; i++)
		settle_attempt(j, e, &t->attempts.closed[i]);
	if (t->token_id != NULL) {
		memcpy(e->delivered, t->attempts.current.uuid + 8, sizeof e->delivered);
		e->token = index_token(t->token_id);
		settle_attempt(j, e, &t->attempts.current);
	}
}

void
journal_forget(struct journal *j, const struct ticket *t)
{
	struct index_entry *e = index_find(j->index, t->key_hash);

	if (e != NULL && e->state == INDEX_IN_FLIGHT && e->at.holder == t)
		index_drop(j->index, e);
}

/* "C9:telemetry,8:order-17" -> its two parts, in the arena. record_read has checked the form. */
static void
split_key(struct span key, struct arena *a, const char **ret_principal, const char **ret_request_id)
{
	char *end;
	size_t n = strtoul((const char *)key.data + 1, &end, 10);

	*ret_principal = (const char *)arena_copy(a, span_of(end + 1, n)).data;
	end += 1 + n + 1;
	n = strtoul(end, &end, 10);
	*ret_request_id = (const char *)arena_copy(a, span_of(end + 1, n)).data;
}

static void
hand_stray(struct journal *j, struct begun *b, struct ticket *t)
{
	struct index_entry *e = index_find(j->index, b->key_hash);

	t->record.partition = j->partition;
	t->record.offset = -1;
	t->journal_key = arena_copy(&t->arena, b->key);
	t->key_hash = b->key_hash;
	t->verified = t->holder = t->journaled = true;
	t->request.method = b->key.data[0] == 'R' ? METHOD_REVOKE_TOKEN : METHOD_CREATE_TOKEN;
	split_key(t->journal_key, &t->arena, &t->request.principal, &t->request.request_id);
	t->principal = t->request.principal;
	t->request.deadline = b->read.deadline;
	memcpy(t->fingerprint, b->read.fingerprint, 32);
	inherit(&t->attempts, &b->read, &t->arena);
	e->state = INDEX_IN_FLIGHT;
	e->at.holder = t;
	journal_begun_unlink(j, b);
	journal_begun_free(b);
}

bool
journal_stray(struct journal *j, int64_t start, int64_t high, struct ticket *t)
{
	struct begun *b = j->begun;

	while (b != NULL && b->record_offset >= start && b->record_offset < high)
		b = b->next;
	if (b != NULL)
		hand_stray(j, b, t);
	return b != NULL;
}

bool
journal_stray_at(struct journal *j, int64_t offset, struct ticket *t)
{
	struct begun *b = j->begun;

	while (b != NULL && b->record_offset != offset)
		b = b->next;
	if (b != NULL)
		hand_stray(j, b, t);
	return b != NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void
journal_metadata(const struct journal *j, uint64_t seq, int64_t now_ms, const char *transactional_id,
    char ret_text[OFFSET_METADATA_ROOM])
{
	lineage_metadata(&j->lineage, seq, now_ms, transactional_id, ret_text);
}

int64_t
journal_least(const struct journal *j)
{
	return j->least;
}

void
journal_delivered(struct journal *j, int64_t offset)
{
	if (offset + 1 + j->marker_offsets > j->least)
		j->least = offset + 1 + j->marker_offsets;
}

struct span
journal_intent(struct journal *j, const struct ticket *t, struct arena *a, uint64_t *ret_seq)
{
	*ret_seq = ++j->lineage.seq;
	return record_write(&(struct record_written){ .journal_id = j->lineage.id, .seq = j->lineage.seq,
	    .state = RECORD_INTENT,
	    .fingerprint = t->fingerprint, .digest = t->digest, .offset = t->record.offset,
	    .deadline = t->request.deadline, .attempts = &t->attempts, .attempt = t->attempts.open ?
	    &t->attempts.current : NULL }, a);
}

struct span
journal_done(struct journal *j, const struct ticket *t, struct arena *a, uint64_t *ret_seq)
{
	*ret_seq = ++j->lineage.seq;
	return record_write(&(struct record_written){ .journal_id = j->lineage.id, .seq = j->lineage.seq,
	    .state = RECORD_DONE,
	    .fingerprint = t->fingerprint, .digest = t->digest, .offset = t->record.offset,
	    .deadline = t->request.deadline, .attempts = &t->attempts, .attempt = t->token_id != NULL &&
	    t->request.method == METHOD_CREATE_TOKEN ? &t->attempts.current : NULL, .stored = t->stored,
	    .token_id = t->token_id, .cluster = t->attempts.current.cluster, .revoked_at = t->revoked_at,
	    .request = &t->request, .token_expires = t->job.token_expires,
	    .token_expires_at = t->job.token_expires_at }, a);
}

struct span
journal_answer(struct journal *j, const struct ticket *t, struct arena *a, uint64_t *ret_seq)
{
	*ret_seq = ++j->lineage.seq;
	return record_write(&(struct record_written){ .journal_id = j->lineage.id, .seq = j->lineage.seq,
	    .state = RECORD_DONE,
	    .fingerprint = t->verified ? t->fingerprint : NULL, .digest = t->digest, .offset = t->record.offset }, a);
}
