/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier life left: its committed records, taken in one by one, and then judged as a whole.
 *
 * The last record of a key is what is known of it. A #loss between them divides them: what was begun before it is
 * forgotten, what was answered before it still counts, for the record that it is about and for no other.
 *
 * Whether the journal may be believed is lineage.c's word. */
#include "service/journal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/random.h"
#include "service/base/text.h"
#include "service/journal_private.h"

static void
remember_answer(struct journal *j, const struct record_read *r, int64_t journal_offset)
{
	if (j->n_answered == j->answered_room) {
		j->answered_room = j->answered_room != 0 ? 2 * j->answered_room : 256;
		if ((j->answered = realloc(j->answered, j->answered_room * sizeof *j->answered)) == NULL)
			abort();
	}
	j->answered[j->n_answered].offset = r->offset;
	j->answered[j->n_answered].journal_offset = journal_offset;
	memcpy(j->answered[j->n_answered++].digest, r->digest, 32);
}

/* The last record of a key is what is known of it: an older INTENT of the same request gives way. */
static void
remember_request(struct journal *j, struct span key, struct begun *b, int64_t offset)
{
	uint64_t hash = journal_key_hash(key);
	struct index_entry *e = index_insert(j->index, hash);
	const struct record_read *r = &b->read;

	if (e->state == INDEX_BEGUN) {
		journal_begun_unlink(j, e->at.begun);
		journal_begun_free(e->at.begun);
	}
	e->kind = key.data[0];
	memcpy(e->fingerprint, r->fingerprint, 32);
	e->deadline = index_seconds(r->deadline);
	e->last_not_after = index_seconds(e->kind == 'R' ? r->revoked_at : r->last_not_after_ms / 1000);
	e->cluster = INDEX_NO_CLUSTER;
	for (size_t i = 0; i < r->n_closed; i++)
		e->cluster = journal_note_attempt(j, &r->closed[i], r->closed[i].fate == FATE_UNKNOWN);
	if (r->has_attempt)
		e->cluster = journal_note_attempt(j, &r->attempt, r->state == RECORD_INTENT);
	memcpy(e->delivered, r->delivered, sizeof e->delivered);
	e->token = r->state == RECORD_DONE ? index_token(r->token_id) : 0;
	if (r->state == RECORD_DONE) {
		e->state = INDEX_DONE;
		e->at.offset = offset;
		journal_begun_free(b);
		return;
	}
	e->state = INDEX_BEGUN;
	e->at.begun = b;
	b->key = arena_copy(&b->arena, key);
	b->key_hash = hash;
	b->record_offset = r->offset;
	memcpy(b->digest, r->digest, 32);
	b->next = j->begun;
	j->begun = b;
}

/* An operator accepted that what came before may be incomplete: nothing that was begun is continued or closed, for it
 * may have been decided in what is lost. (Its tokens are nobody's whom we know.) */
static void
forget_begun(struct journal *j)
{
	struct begun *b;

	while ((b = j->begun) != NULL) {
		j->begun = b->next;
		index_drop(j->index, index_find(j->index, b->key_hash));
		journal_begun_free(b);
	}
}

void
journal_remember(struct journal *j, struct span key, struct span value, int64_t offset)
{
	struct begun *b = calloc(1, sizeof *b);
	struct err e;

	if (b == NULL)
		abort();
	arena_init(&b->arena);
	if (record_read(key, value, &b->arena, &b->read, &e) != 0) {
		lineage_unreadable(&j->lineage, &e, j->partition, offset);
		journal_begun_free(b);
		return;
	}
	lineage_read(&j->lineage, &b->read, j->partition, offset);
	if (b->read.state == RECORD_LOSS)
		forget_begun(j);
	if (b->read.state == RECORD_DONE && b->read.offset >= 0 && b->read.offset >= j->keep_from)
		remember_answer(j, &b->read, offset);
	if (key.data[0] == '#')
		journal_begun_free(b);
	else
		remember_request(j, key, b, offset);
	if (index_used(j->index) >= j->crowded)
		journal_make_room(j, clock_wall_ms() / 1000);
}

static int
by_offset_and_age(const void *a, const void *b)
{
	const struct answered *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->journal_offset > y->journal_offset) - (x->journal_offset < y->journal_offset);
}

/* Sorted, and of several answers to one offset (a #loss lies between them) the newest alone. */
static void
settle_answers(struct journal *j)
{
	size_t n = 0;

	if (j->n_answered == 0)
		return;
	qsort(j->answered, j->n_answered, sizeof *j->answered, by_offset_and_age);
	for (size_t i = 0; i < j->n_answered; i++) {
		if (n > 0 && j->answered[n - 1].offset == j->answered[i].offset)
			n--;
		j->answered[n++] = j->answered[i];
	}
	j->n_answered = n;
}

/* Clusters change by restart. Tokens of attempts are looked for as long as they may come to light: where they were
 * made must still stand in the configuration. */
static int
refuse_gone_clusters(const struct journal *j, int64_t now_ms, struct err *ret_err)
{
	for (size_t i = 0; i < j->n_clusters; i++) {
		const struct journal_cluster *c = &j->clusters[i];
		int64_t until_ms = c->last_not_after_ms + (int64_t)duration_ms(DURATION_SWEEP_FOR);
		char when[TEXT_RFC3339_ROOM];

		if (c->place != INDEX_NO_CLUSTER || until_ms <= now_ms)
			continue;
		text_time(until_ms / 1000, -1, when);
		return err_set(ret_err, ERR_FATAL, "partition %" PRId32 ": until %s tokens may be found at cluster "
		    "\"%s\", which %s: put it back as it was, with retiring: true", j->partition, when, c->name,
		    config_cluster(j->config, c->name) < 0 ? "is not in the configuration any more" :
		    "the configuration now gives another product, url, account_id or cluster_id");
	}
	return 0;
}

int
journal_open(struct journal *j, const struct journal_found *f, int64_t *ret_start, struct err *ret_err)
{
	int64_t now_ms = clock_wall_ms(), start;

	if (lineage_judge(&j->lineage, f, now_ms, &start, ret_err) != 0 ||
	    refuse_gone_clusters(j, now_ms, ret_err) != 0)
		return -1;
	if (!j->lineage.has_id) {
		j->lineage.has_id = true;
		random_bytes(j->lineage.id, sizeof j->lineage.id);
	}
	j->least = f->journal_high;
	j->marker_offsets = f->marker_offsets;
	settle_answers(j);
	journal_passed(j, start);
	*ret_start = start;
	return 0;
}

void
journal_past(const struct journal *j, const struct journal_found *f, struct journal_past *ret)
{
	lineage_past(&j->lineage, f, ret);
}
