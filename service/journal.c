/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of one partition: an index of requests, the offsets answered, and the place in the journal.
 *
 * Entries of requests in flight hold the ticket where the others hold the journal offset, so that finding a
 * request and finding who works on it is one look. INTENTs that an earlier life left open are kept whole beside
 * the index until their record comes again.
 *
 * What is not here: how entries are stored (index.c), how records are written and read (journal_record.c) and
 * where they come from (restore.c). */
#include "service/journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/durations.h"
#include "service/base/random.h"
#include "service/base/text.h"
#include "service/index.h"
#include "service/journal_record.h"
#include "service/lineage.h"

#define SHARE 16                        /* of the entries, the part that goes at once: a look at all of them is dear */
#define CROWDED_AGAIN_S 10              /* how long a look that found little is not repeated */
#define AGE_EVERY_S 600

/* An INTENT of an earlier life. */
struct begun {
	struct begun *next;
	int64_t record_offset;
	unsigned char digest[32];
	uint64_t key_hash;
	struct arena arena;
	struct record_read read;                /* strings live in the arena */
	struct span key;
};

/* An offset answered by an earlier life, at or above the start. */
struct answered {
	int64_t offset, journal_offset;
	unsigned char digest[32];
};

struct journal {
	const struct config *config;
	int32_t partition;
	int64_t keep_from;                      /* answers below it are not asked for */
	struct lineage lineage;
	int64_t least;                          /* the next record is delivered at or above this */
	int marker_offsets;

	struct index *index;
	size_t crowded;                         /* with so many entries, some must go */
	int64_t crowded_at;                     /* Unix seconds: in vain before */
	int64_t aged_at;
	int64_t floor;                          /* of what went */
	struct begun *begun;
	struct journal_cluster *clusters;       /* where attempts were made */
	size_t n_clusters;

	struct answered *answered;              /* sorted once opened */
	size_t n_answered, answered_room, answered_from;
};

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

/* ---- restoring --------------------------------------------------------------------------------------------------- */

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

/* Let a share of the entries go, the oldest first, and what is too much (a smaller bound than that of the life before).
 * False: not so many may go, and asking again soon is in vain. */
static bool
make_room(struct journal *j, int64_t now)
{
	size_t most = j->config->max_remembered, used = index_used(j->index), share = most / SHARE + 1;
	size_t wanted = share + (used > most ? used - most : 0);
	bool enough = index_shed(j->index, wanted, now, &j->floor) == wanted;

	j->crowded = enough ? most : index_used(j->index) + share;
	return enough;
}

static void
begun_free(struct begun *b)
{
	arena_free(&b->arena);
	free(b);
}

/* Take b off the list; the caller owns it then. */
static void
begun_unlink(struct journal *j, struct begun *b)
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
		begun_free(b);
	}
	for (size_t i = 0; i < j->n_clusters; i++)
		free(j->clusters[i].name);
	free(j->clusters);
	index_free(j->index);
	free(j->answered);
	free(j);
}

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

/* Attempts are made at one cluster of a few: what is kept of them is when the last one of each ended. Which cluster
 * it is says the digest; its name may have changed. Gives its place in the configuration. */
static uint16_t
remember_attempt(struct journal *j, const struct attempt *t, bool unknown)
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

/* The last record of a key is what is known of it: an older INTENT of the same request gives way. */
static void
remember_request(struct journal *j, struct span key, struct begun *b, int64_t offset)
{
	uint64_t hash = journal_key_hash(key);
	struct index_entry *e = index_insert(j->index, hash);
	const struct record_read *r = &b->read;

	if (e->state == INDEX_BEGUN) {
		begun_unlink(j, e->at.begun);
		begun_free(e->at.begun);
	}
	e->kind = key.data[0];
	memcpy(e->fingerprint, r->fingerprint, 32);
	e->deadline = index_seconds(r->deadline);
	e->last_not_after = index_seconds(e->kind == 'R' ? r->revoked_at : r->last_not_after_ms / 1000);
	e->cluster = INDEX_NO_CLUSTER;
	for (size_t i = 0; i < r->n_closed; i++)
		e->cluster = remember_attempt(j, &r->closed[i], r->closed[i].fate == FATE_UNKNOWN);
	if (r->has_attempt)
		e->cluster = remember_attempt(j, &r->attempt, r->state == RECORD_INTENT);
	memcpy(e->delivered, r->delivered, sizeof e->delivered);
	if (r->state == RECORD_DONE) {
		e->state = INDEX_DONE;
		e->at.offset = offset;
		begun_free(b);
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
		begun_free(b);
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
		begun_free(b);
		return;
	}
	lineage_read(&j->lineage, &b->read, j->partition, offset);
	if (b->read.state == RECORD_LOSS)
		forget_begun(j);
	if (b->read.state == RECORD_DONE && b->read.offset >= 0 && b->read.offset >= j->keep_from)
		remember_answer(j, &b->read, offset);
	if (key.data[0] == '#')
		begun_free(b);
	else
		remember_request(j, key, b, offset);
	if (index_used(j->index) >= j->crowded)
		make_room(j, clock_wall_ms() / 1000);
}

static int
by_offset(const void *a, const void *b)
{
	const struct answered *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int
by_offset_and_age(const void *a, const void *b)
{
	const struct answered *x = a, *y = b;
	int order = by_offset(a, b);

	return order != 0 ? order : (x->journal_offset > y->journal_offset) - (x->journal_offset < y->journal_offset);
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

enum journal_place
journal_place(const struct journal *j, int64_t offset, const unsigned char digest[32])
{
	static const unsigned char undecoded[32];       /* what a skipped record is answered under */
	struct answered key = { .offset = offset };
	const struct answered *a = j->n_answered == j->answered_from ? NULL :
	    bsearch(&key, j->answered + j->answered_from, j->n_answered - j->answered_from, sizeof key, by_offset);

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
    struct journal_attempt *ret)
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
		ret->delivered = memcmp(e->delivered, uuid + 8, 8) == 0 && memcmp(e->delivered, none, 8) != 0;
	}
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
	return j->lineage.lost && issued_at < j->lineage.loss_moment + skew_seconds();
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

/* ---- memory ------------------------------------------------------------------------------------------------------ */

bool
journal_room(struct journal *j, int64_t now)
{
	if (index_used(j->index) >= j->config->max_remembered && now >= j->crowded_at &&
	    !make_room(j, now))
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
		begun_unlink(j, b);
		begun_free(b);
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
	e->cluster = remember_attempt(j, t, t->fate == FATE_UNKNOWN);
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
	begun_unlink(j, b);
	begun_free(b);
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
