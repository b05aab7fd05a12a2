/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of one partition: an index of requests, the offsets answered, and the place in the journal.
 *
 * Entries of requests in flight hold the ticket where the others hold the journal offset, so that finding a
 * request and finding who works on it is one look. INTENTs that an earlier life left open are kept whole beside
 * the index until their record comes again.
 *
 * It is bounded, and does not forget in silence: the floor says up to where its absence of knowledge means
 * anything. Three things raise it: the journal's own retention as time passes, what the index lets go when it is
 * full, and, for what was issued before, a #loss.
 *
 * What is not here: how entries are stored (index.c), what an earlier life left (journal_restore.c), requests in
 * work and what is written of them (journal_hold.c), how records are written and read (journal_record.c) and where
 * they come from (restore.c). */
#include "service/journal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/durations.h"
#include "service/journal_private.h"

#define SHARE 16                        /* of the entries, the part that goes at once: a look at all of them is dear */
#define CROWDED_AGAIN_S 10              /* how long a look that found little is not repeated */
#define AGE_EVERY_S 600

static int64_t
skew_seconds(void)
{
	return (int64_t)(duration_ms(DURATION_SKEW) / 1000);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

struct span
journal_request_key(struct arena *a, enum method m, const char *principal, const char *request_id)
{
	return span_str(arena_text(a, "%c%zu:%s,%zu:%s", m == METHOD_REVOKE_TOKEN ? 'R' : 'C', strlen(principal),
	    principal, strlen(request_id), request_id));
}

struct span
journal_offset_key(struct arena *a, int32_t partition, int64_t offset)
{
	return span_str(arena_text(a, "#%" PRId32 ":%" PRId64, partition, offset));
}

uint64_t
journal_key_hash(struct span key)
{
	unsigned char hash[DSSE_HASH_BYTES];
	uint64_t first;

	dsse_sha256(key, hash);
	memcpy(&first, hash, sizeof first);
	return first;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct journal *
journal_new(int32_t partition, const struct config *c, int64_t keep_from)
{
	struct journal *j = calloc(1, sizeof *j);

	if (j == NULL)
		abort();
	j->config = c;
	j->partition = partition;
	j->keep_from = keep_from;
	j->index = index_new();
	j->crowded = c->max_remembered;
	return j;
}

void
journal_begun_free(struct begun *b)
{
	arena_free(&b->arena);
	free(b);
}

void
journal_begun_unlink(struct journal *j, struct begun *b)
{
	struct begun **at = &j->begun;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
}

void
journal_free(struct journal *j)
{
	struct begun *b;

	if (j == NULL)
		return;
	while ((b = j->begun) != NULL) {
		j->begun = b->next;
		journal_begun_free(b);
	}
	for (size_t i = 0; i < j->n_clusters; i++)
		free(j->clusters[i].name);
	free(j->clusters);
	index_free(j->index);
	free(j->answered);
	free(j);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void
journal_look(const struct journal *j, uint64_t key_hash, const unsigned char fingerprint[32], struct journal_look *ret)
{
	const struct index_entry *e = index_find(j->index, key_hash);

	memset(ret, 0, sizeof *ret);
	if (e == NULL)
		return;
	memcpy(ret->fingerprint, e->fingerprint, 32);
	ret->done = e->state == INDEX_DONE;
	ret->deadline = e->deadline;
	if (fingerprint != NULL && memcmp(e->fingerprint, fingerprint, 32) != 0)
		ret->seen = JOURNAL_OTHER_BYTES;
	else if (e->state == INDEX_DONE) {
		ret->seen = JOURNAL_DONE;
		ret->offset = e->at.offset;
	} else if (e->state == INDEX_IN_FLIGHT) {
		ret->seen = JOURNAL_IN_FLIGHT;
		ret->holder = e->at.holder;
	} else
		ret->seen = JOURNAL_BEGUN;
}

static const struct answered *
answer_to(const struct journal *j, int64_t offset)
{
	size_t from = j->answered_from, to = j->n_answered;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (j->answered[middle].offset == offset)
			return &j->answered[middle];
		if (j->answered[middle].offset < offset)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

enum journal_place
journal_place(const struct journal *j, int64_t offset, const unsigned char digest[32])
{
	static const unsigned char undecoded[32];       /* what a skipped record is answered under */
	const struct answered *a = answer_to(j, offset);

	if (a != NULL && (digest == NULL || memcmp(a->digest, digest, 32) == 0 ||
	    memcmp(a->digest, undecoded, 32) == 0))
		return JOURNAL_PLACE_ANSWERED;
	if (a != NULL && a->journal_offset >= journal_loss_offset(j))
		return JOURNAL_PLACE_OTHER;
	if (digest == NULL)
		return JOURNAL_PLACE_FREE;
	for (const struct begun *b = j->begun; b != NULL; b = b->next)
		if (b->record_offset == offset && memcmp(b->digest, digest, 32) != 0)
			return JOURNAL_PLACE_OTHER;
	return JOURNAL_PLACE_FREE;
}

void
journal_look_attempt(const struct journal *j, const unsigned char uuid[ATTEMPT_UUID_BYTES],
    const char *token_id, struct journal_attempt *ret)
{
	static const unsigned char none[8];
	const struct index_entry *e;
	uint64_t key_hash;

	memcpy(&key_hash, uuid, sizeof key_hash);
	e = index_find(j->index, key_hash);
	*ret = (struct journal_attempt){ .seen = JOURNAL_NEW, .cluster = INDEX_NO_CLUSTER };
	if (e == NULL)
		return;
	ret->cluster = e->cluster;
	if (e->state == INDEX_IN_FLIGHT) {
		ret->seen = JOURNAL_IN_FLIGHT;
		ret->holder = e->at.holder;
	} else if (e->state == INDEX_BEGUN) {
		ret->seen = JOURNAL_BEGUN;
		ret->closed = e->at.begun->read.closed;
		ret->n_closed = e->at.begun->read.n_closed;
	} else {
		ret->seen = JOURNAL_DONE;
		ret->offset = e->at.offset;
		ret->delivered = memcmp(e->delivered, uuid + 8, 8) == 0 && memcmp(e->delivered, none, 8) != 0 &&
		    e->token == index_token(token_id);
	}
}

/* Attempts are made at one cluster of a few. Which one says the digest; its name may have changed. */
uint16_t
journal_note_attempt(struct journal *j, const struct attempt *t, bool unknown)
{
	struct journal_cluster *c;
	size_t at = 0;

	while (at < j->n_clusters && (strcmp(j->clusters[at].name, t->cluster) != 0 ||
	    memcmp(j->clusters[at].digest, t->cluster_digest, sizeof t->cluster_digest) != 0))
		at++;
	if (at == j->n_clusters) {
		if ((j->clusters = realloc(j->clusters, (j->n_clusters + 1) * sizeof *j->clusters)) == NULL)
			abort();
		c = &j->clusters[j->n_clusters++];
		*c = (struct journal_cluster){ .name = strdup(t->cluster), .place = INDEX_NO_CLUSTER };
		memcpy(c->digest, t->cluster_digest, sizeof c->digest);
		for (size_t i = 0; i < j->config->n_clusters; i++)
			if (memcmp(j->config->clusters[i].digest, c->digest, sizeof c->digest) == 0)
				c->place = (uint16_t)i;
	}
	c = &j->clusters[at];
	if (t->not_after_ms > c->last_not_after_ms)
		c->last_not_after_ms = t->not_after_ms;
	if (unknown && t->not_after_ms > c->last_unknown_not_after_ms)
		c->last_unknown_not_after_ms = t->not_after_ms;
	return c->place;
}

size_t
journal_clusters(const struct journal *j, const struct journal_cluster **ret)
{
	*ret = j->clusters;
	return j->n_clusters;
}

int64_t
journal_revoked_at(const struct journal *j, const char *principal, const char *request_id)
{
	struct arena a = { 0 };
	const struct index_entry *e = index_find(j->index,
	    journal_key_hash(journal_request_key(&a, METHOD_REVOKE_TOKEN, principal, request_id)));

	arena_free(&a);
	if (e == NULL)
		return 0;
	return e->state == INDEX_DONE ? e->last_not_after : e->state == INDEX_IN_FLIGHT ? e->at.holder->revoked_at : 0;
}

/* ---- the floor --------------------------------------------------------------------------------------------------- */

/* What retention alone makes of it. */
static int64_t
window(const struct journal *j, int64_t now)
{
	return now - (int64_t)(duration_ms(DURATION_WINDOW) / 1000) + (int64_t)(j->config->deadline_most_ms / 1000) +
	    4 * skew_seconds();
}

int64_t
journal_floor(const struct journal *j, int64_t now)
{
	return window(j, now) > j->floor ? window(j, now) : j->floor;
}

bool
journal_in_loss(const struct journal *j, int64_t issued_at)
{
	return j->lineage.lost && issued_at <= j->lineage.loss_moment + skew_seconds();
}

bool
journal_may_have_forgotten(const struct journal *j, int64_t issued_at, int64_t deadline, int64_t now)
{
	return deadline + skew_seconds() <= journal_floor(j, now) || journal_in_loss(j, issued_at);
}

bool
journal_past_window(const struct journal *j, int64_t deadline, int64_t now)
{
	return deadline + skew_seconds() <= window(j, now);
}

int64_t
journal_loss_offset(const struct journal *j)
{
	return j->lineage.lost ? j->lineage.loss_offset : -1;
}

const unsigned char *
journal_loss_id(const struct journal *j)
{
	return j->lineage.lost ? j->lineage.loss_id : NULL;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

bool
journal_make_room(struct journal *j, int64_t now)
{
	size_t most = j->config->max_remembered, used = index_used(j->index), share = most / SHARE + 1;
	size_t wanted = share + (used > most ? used - most : 0);
	bool enough = index_shed(j->index, wanted, now, &j->floor) == wanted;

	j->crowded = enough ? most : index_used(j->index) + share;
	return enough;
}

bool
journal_room(struct journal *j, int64_t now)
{
	if (index_used(j->index) >= j->config->max_remembered && now >= j->crowded_at &&
	    !journal_make_room(j, now))
		j->crowded_at = now + CROWDED_AGAIN_S;
	return index_used(j->index) < j->config->max_remembered;
}

void
journal_age(struct journal *j, int64_t now)
{
	if (now < j->aged_at + AGE_EVERY_S && now >= j->aged_at)
		return;
	j->aged_at = now;
	(void)index_age(j->index, now, window(j, now));
}

unsigned
journal_fill(const struct journal *j)
{
	return (unsigned)(index_used(j->index) * 100 / j->config->max_remembered);
}

size_t
journal_entries(const struct journal *j)
{
	return index_used(j->index);
}

uint64_t
journal_seq(const struct journal *j)
{
	return j->lineage.seq;
}

void
journal_passed(struct journal *j, int64_t watermark)
{
	while (j->answered_from < j->n_answered && j->answered[j->answered_from].offset < watermark)
		j->answered_from++;
	if (j->answered_from == j->n_answered && j->answered != NULL) {
		free(j->answered);
		j->answered = NULL;
		j->n_answered = j->answered_room = j->answered_from = 0;
	}
}
