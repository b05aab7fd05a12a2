/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/journal.c service/journal_restore.c service/journal_hold.c service/journal_record.c service/lineage.c
 *
 * A whole journal, taken in record by record, opened, and worked with: against a model that is a plain list.
 *
 * Input: operations, a byte each, with their arguments. Up to the first OPEN they are records: made here of
 * few keys and few fingerprints, so that they meet, or raw. Behind it they are what the loop does with a
 * journal.
 *
 * Promises: the last record of a key is what look finds, under its fingerprint alone; an answered offset is
 * known, and no other; an intent is handed out once, as its own request's or as a stray, with no more
 * attempts than were written; what was admitted is in flight until it is settled or forgotten; the number of
 * entries is the model's. */
#include "tests/fuzz/harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/err.h"
#include "service/journal.h"
#include "service/journal_record.h"
#include "tokend/v1/journal.pb-c.h"

#define KEYS_MOST 64
#define ANSWERS_MOST 256
#define OPERATIONS_MOST 200
#define FEW 6                           /* principals' requests that the made records are about */

enum state { NEW, BEGUN, IN_FLIGHT, DONE };

struct known {
	struct span key;
	uint64_t hash;
	enum state state;
	unsigned char fingerprint[32];
	int64_t done_at;                        /* DONE */
	int64_t record_offset;                  /* BEGUN */
	size_t n_closed;                        /* BEGUN: those it would hand over */
	struct ticket *ticket;                  /* IN_FLIGHT */
};

struct world {
	struct feed *f;
	struct journal *j;
	struct arena arena;
	struct assignment assignment;
	struct known known[KEYS_MOST]; size_t n_known;
	struct { int64_t offset; unsigned char digest[32]; } answers[ANSWERS_MOST]; size_t n_answers;
	int64_t next_offset, passed;
	unsigned char id[JOURNAL_ID_BYTES]; bool has_id;
	uint64_t seq;
	bool doubted;                           /* it must stay closed */
	unsigned char replaced[JOURNAL_ID_BYTES]; bool lost, lost_last;
	size_t n_older;                         /* answers before the last #loss */
};

/* Around zero, so that they meet. */
static int64_t
feed_offset(struct feed *f)
{
	int64_t b = feed_byte(f);

	return b < 0x80 ? b : b - 0x100;
}

static struct known *
known(struct world *w, uint64_t hash)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (w->known[i].hash == hash)
			return &w->known[i];
	return NULL;
}

static struct known *
known_or_new(struct world *w, struct span key)
{
	uint64_t hash = journal_key_hash(key);
	struct known *k = known(w, hash);

	if (k != NULL)
		return k;
	HOLDS(w->n_known < KEYS_MOST);
	k = &w->known[w->n_known++];
	*k = (struct known){ .key = arena_copy(&w->arena, key), .hash = hash };
	return k;
}

/* ---- records
 * ------------------------------------------------------------------------------------------------------ */

static void
model_loss(struct world *w, const Tokend__V1__JournalRecord *m)
{
	w->doubted = false;
	w->lost = true;
	w->n_older = w->n_answers;
	memset(w->replaced, 0, sizeof(w->replaced));
	if (m->replaced_journal_id.len > 0)
		memcpy(w->replaced, m->replaced_journal_id.data, sizeof(w->replaced));
	for (size_t i = 0; i < w->n_known; i++)
		if (w->known[i].state == BEGUN)
			w->known[i].state = NEW;
}

/* The model's own reading: protobuf-c, and no check, for the record can be read. */
static void
model_remember(struct world *w, struct span key, struct span value, int64_t offset)
{
	Tokend__V1__JournalRecord *m = tokend__v1__journal_record__unpack(NULL, value.bytes, value.data);

	HOLDS(m != NULL && m->journal_id.len == JOURNAL_ID_BYTES);
	if (m->state == TOKEND__V1__JOURNAL_STATE__LOSS)
		model_loss(w, m);
	else if (w->has_id && memcmp(w->id, m->journal_id.data, JOURNAL_ID_BYTES) != 0)
		w->doubted = true;
	w->lost_last = m->state == TOKEND__V1__JOURNAL_STATE__LOSS;
	memcpy(w->id, m->journal_id.data, JOURNAL_ID_BYTES);
	w->has_id = true;
	if (m->seq > w->seq)
		w->seq = m->seq;
	if (m->state == TOKEND__V1__JOURNAL_STATE__DONE && m->offset >= 0) {
		w->answers[w->n_answers].offset = m->offset;
		if (m->request_digest.len == 32)
			memcpy(w->answers[w->n_answers].digest, m->request_digest.data, 32);
		w->n_answers++;
	}
	if (key.data[0] != '#') {
		struct known *k = known_or_new(w, key);

		k->state = m->state == TOKEND__V1__JOURNAL_STATE__DONE ? DONE : BEGUN;
		k->done_at = offset;
		k->record_offset = m->offset;
		k->n_closed = m->n_closed + (m->attempt != NULL);
		if (k->n_closed > ATTEMPTS_CLOSED_MOST)
			k->n_closed = ATTEMPTS_CLOSED_MOST;
		memset(k->fingerprint, 0, 32);
		if (m->fingerprint.len == 32)
			memcpy(k->fingerprint, m->fingerprint.data, 32);
	}
	tokend__v1__journal_record__free_unpacked(m, NULL);
}

static void
remember(struct world *w, struct span key, struct span value)
{
	struct err e = { 0 };
	struct record_read r;
	int64_t offset = w->next_offset;

	w->next_offset += 1 + (feed_byte(w->f) & 3);
	if (w->n_known == KEYS_MOST || w->n_answers == ANSWERS_MOST)
		return;
	journal_remember(w->j, key, value, offset);
	if (record_read(key, value, &w->arena, &r, &e) != 0) {
		HOLDS(e.next == ERR_REFUSE);
		harness_sentence(&e);
		w->doubted = true;
		w->lost_last = false;
	} else {
		model_remember(w, key, value, offset);
	}
}

static struct span
few_key(struct world *w, uint8_t which)
{
	char id[8];

	(void)snprintf(id, sizeof(id), "r-%u", which % FEW);
	return journal_request_key(&w->arena, (which & 0x40) != 0 ? METHOD_REVOKE_TOKEN : METHOD_CREATE_TOKEN,
	    "telemetry", id);
}

static unsigned char *
hash_of(struct world *w, uint8_t tag)
{
	return memset(arena_alloc(&w->arena, 32), tag & 3, 32);
}

static void
made_record(struct world *w)
{
	uint8_t which = feed_byte(w->f), shape = feed_byte(w->f);
	struct attempt closed[ATTEMPTS_CLOSED_MOST];
	struct attempt current = { .number = shape, .cluster = "prod", .not_after_ms = 1000 * shape };
	struct attempts attempts = { .begun = shape, .closed = closed,
	    .n_closed = shape >= 0xf0 ? ATTEMPTS_CLOSED_MOST : shape >> 3 };
	struct record_written r = { .journal_id = w->has_id && shape != 0xff ? w->id : hash_of(w, shape),
	    .seq = w->seq + 1 + (shape & 1),
	    .state = (shape & 2) != 0 ? RECORD_DONE : RECORD_INTENT, .attempts = &attempts,
	    .attempt = (shape & 4) != 0 ? &current : NULL };
	struct span key = few_key(w, which);

	for (size_t i = 0; i < ATTEMPTS_CLOSED_MOST; i++)
		closed[i] = (struct attempt){ .number = (uint32_t)i, .cluster = "prod", .fate = FATE_UNKNOWN };
	r.fingerprint = hash_of(w, feed_byte(w->f));
	r.digest = hash_of(w, feed_byte(w->f));
	r.offset = feed_offset(w->f);
	if ((which & 0x80) != 0) {
		r.state = RECORD_DONE;
		key = journal_offset_key(&w->arena, 0, r.offset);
	}
	remember(w, key, record_write(&r, &w->arena));
}

/* Made by hand: tokend reads it and never writes it. */
static void
made_loss(struct world *w, uint8_t id, uint8_t replaced)
{
	Tokend__V1__JournalRecord m = TOKEND__V1__JOURNAL_RECORD__INIT;
	unsigned char *value;

	m.format = m.lowest_reader = 1;
	m.state = TOKEND__V1__JOURNAL_STATE__LOSS;
	m.seq = w->seq + 1;
	m.loss_moment = HARNESS_NOW - 1000;
	m.journal_id = (ProtobufCBinaryData){ JOURNAL_ID_BYTES, hash_of(w, id) };
	m.replaced_journal_id = (ProtobufCBinaryData){ JOURNAL_ID_BYTES, hash_of(w, replaced) };
	value = arena_alloc(&w->arena, tokend__v1__journal_record__get_packed_size(&m));
	remember(w, span_str(JOURNAL_LOSS_KEY), span_of(value, tokend__v1__journal_record__pack(&m, value)));
}

static void
raw_record(struct world *w)
{
	struct span key = feed_span(w->f);

	remember(w, key, feed_span(w->f));
}

/* ---- what the loop does
 * ------------------------------------------------------------------------------------------- */

static enum state
state_of(enum journal_seen seen)
{
	return seen == JOURNAL_NEW ? NEW : seen == JOURNAL_BEGUN ? BEGUN : seen == JOURNAL_IN_FLIGHT ? IN_FLIGHT : DONE;
}

static void
check_known(struct world *w, const struct known *k)
{
	unsigned char other[32];
	struct journal_look look;

	journal_look(w->j, k->hash, k->fingerprint, &look);
	HOLDS(look.seen != JOURNAL_OTHER_BYTES && state_of(look.seen) == k->state);
	if (k->state == DONE)
		HOLDS(look.offset == k->done_at);
	if (k->state == IN_FLIGHT)
		HOLDS(look.holder == k->ticket);
	memcpy(other, k->fingerprint, 32);
	other[31] ^= 0x80;
	journal_look(w->j, k->hash, other, &look);
	HOLDS(k->state == NEW ? look.seen == JOURNAL_NEW :
	    look.seen == JOURNAL_OTHER_BYTES && look.done == (k->state == DONE));
}

static void
check_all(struct world *w)
{
	size_t entries = 0;

	for (size_t i = 0; i < w->n_known; i++) {
		check_known(w, &w->known[i]);
		entries += w->known[i].state != NEW;
	}
	HOLDS(journal_entries(w->j) == entries);
	HOLDS(journal_seq(w->j) >= w->seq);
}

static bool
begun_at(const struct world *w, int64_t offset)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (w->known[i].state == BEGUN && w->known[i].record_offset == offset)
			return true;
	return false;
}

static void
check_place(struct world *w, int64_t offset)
{
	static const unsigned char foreign[32] = "a digest that no record here has";
	size_t n = 0, last = 0;

	for (size_t i = 0; i < w->n_answers; i++)
		if (w->answers[i].offset == offset && offset >= w->passed) {
			n++;
			last = i;
		}
	if (n == 0 && !begun_at(w, offset))
		HOLDS(journal_place(w->j, offset, foreign) == JOURNAL_PLACE_FREE);
	else
		HOLDS(n == 0 || last < w->n_older || journal_place(w->j, offset, foreign) != JOURNAL_PLACE_FREE);
	if (n == 1)     /* several: no journal of ours has that */
		HOLDS(journal_place(w->j, offset, w->answers[last].digest) == JOURNAL_PLACE_ANSWERED);
}

static struct ticket *
ticket_of(struct world *w, const struct known *k)
{
	struct ticket *t = ticket_new(&w->assignment);

	t->journal_key = arena_copy(&t->arena, k->key);
	t->key_hash = k->hash;
	memcpy(t->fingerprint, k->fingerprint, 32);
	t->request.principal = t->request.request_id = "";
	return t;
}

static void
took_over(struct known *k, struct ticket *t, bool was_begun)
{
	HOLDS(t->holder && t->journaled == was_begun);
	HOLDS(t->attempts.n_closed == (was_begun ? k->n_closed : 0));
	k->state = IN_FLIGHT;
	k->ticket = t;
}

static void
admit(struct world *w)
{
	struct known *k = known_or_new(w, few_key(w, feed_byte(w->f)));
	bool was_begun = k->state == BEGUN;

	if (k->state == IN_FLIGHT || k->state == DONE)
		return;
	struct ticket *t = ticket_of(w, k);

	journal_admit(w->j, t);
	took_over(k, t, was_begun);
}

static void
let_go(struct world *w, bool settled)
{
	struct known *k = known_or_new(w, few_key(w, feed_byte(w->f)));

	if (k->state != IN_FLIGHT)
		return;
	if (settled)
		journal_settled(w->j, k->ticket, w->next_offset);
	else
		journal_forget(w->j, k->ticket);
	k->state = settled ? DONE : NEW;
	k->done_at = w->next_offset++;
	ticket_free(k->ticket);
	k->ticket = NULL;
}

static void
stray(struct world *w, bool at)
{
	int64_t from = feed_offset(w->f), high = at ? from : from + feed_byte(w->f);
	struct ticket *t = ticket_new(&w->assignment);
	bool expected = false;
	struct known *k;
	struct span again;

	for (size_t i = 0; i < w->n_known; i++)
		if (w->known[i].state == BEGUN)
			expected = expected || (at ? w->known[i].record_offset == from :
			    w->known[i].record_offset < from || w->known[i].record_offset >= high);
	HOLDS((at ? journal_stray_at(w->j, from, t) : journal_stray(w->j, from, high, t)) == expected);
	if (!expected) {
		ticket_free(t);
		return;
	}
	k = known(w, t->key_hash);
	HOLDS(k != NULL && k->state == BEGUN && span_equal(k->key, t->journal_key));
	HOLDS(at ? k->record_offset == from : k->record_offset < from || k->record_offset >= high);
	HOLDS(memcmp(t->fingerprint, k->fingerprint, 32) == 0);
	again = journal_request_key(&w->arena, t->request.method, t->request.principal, t->request.request_id);
	/* A length may have zeros before it. */
	HOLDS(span_equal(again, k->key) || memchr(k->key.data, '0', k->key.bytes) != NULL);
	took_over(k, t, true);
}

/* What is written for a ticket is what the next life reads. */
static void
write_intent(struct world *w)
{
	struct known *k = known_or_new(w, few_key(w, feed_byte(w->f)));
	struct record_read r;
	struct err e;
	uint64_t seq, before = journal_seq(w->j);
	struct span value;

	if (k->state != IN_FLIGHT)
		return;
	value = journal_intent(w->j, k->ticket, &w->arena, &seq);
	HOLDS(seq == before + 1 && journal_seq(w->j) == seq);
	HOLDS(record_read(k->key, value, &w->arena, &r, &e) == 0);
	HOLDS(r.state == RECORD_INTENT && r.seq == seq && r.n_closed == k->ticket->attempts.n_closed);
	HOLDS(memcmp(r.fingerprint, k->fingerprint, 32) == 0);
}

static void
step(struct world *w)
{
	switch (feed_byte(w->f) & 7) {
	case 0:
		check_place(w, feed_offset(w->f));
		break;
	case 1:
		admit(w);
		break;
	case 2:
	case 3:
		let_go(w, (w->f->rest.bytes & 1) != 0);
		break;
	case 4:
		stray(w, false);
		break;
	case 5:
		stray(w, true);
		break;
	case 6:
		write_intent(w);
		break;
	case 7: {
		int64_t to = w->passed + (feed_byte(w->f) & 15);

		journal_passed(w->j, to);
		w->passed = to;
		break;
	}
	}
}

static bool
opened(struct world *w)
{
	uint8_t flags = feed_byte(w->f);
	char metadata[OFFSET_METADATA_ROOM];
	struct journal_found found = { .has_offset = (flags & 1) != 0, .request_low = feed_offset(w->f),
	    .request_high = 100, .journal_high = w->next_offset, .offset = feed_offset(w->f), .marker_offsets = 1 };
	struct err e = { 0 };
	int64_t start;

	if ((flags & 2) != 0) {
		found.metadata = feed_text(w->f);
	} else {
		journal_metadata(w->j, journal_seq(w->j), HARNESS_NOW * 1000, "tokens/default/tokend-0", metadata);
		found.metadata = metadata;
	}
	if (journal_open(w->j, &found, &start, &e) != 0) {
		HOLDS(e.next == ERR_FATAL || (e.next == ERR_REFUSE && (w->doubted || found.has_offset)));
		harness_sentence(&e);
		return false;
	}
	HOLDS(!w->doubted);
	HOLDS(start >= found.request_low && (start <= found.request_high || found.request_low > found.request_high));
	HOLDS(start == (found.has_offset ? found.offset : found.request_low) ||
	    (start == found.request_low && w->lost));
	HOLDS(journal_least(w->j) == w->next_offset);
	w->passed = start;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	struct world w = { .f = &f, .j = journal_new(0, harness_config(), INT64_MIN) };
	int n = 0;
	bool more = true;

	while (f.rest.bytes > 0 && n++ < OPERATIONS_MOST && more) {
		uint8_t what = feed_byte(&f);

		switch (what & 3) {
		case 0:
		case 1:
			made_record(&w);
			break;
		case 2:
			raw_record(&w);
			break;
		case 3:
			more = what >= 0xf0;
			if (more)
				made_loss(&w, feed_byte(&f), feed_byte(&f));
			break;
		}
	}
	check_all(&w);
	if (!more && opened(&w))
		while (f.rest.bytes > 0 && n++ < OPERATIONS_MOST && w.n_known < KEYS_MOST) {
			step(&w);
			check_all(&w);
		}
	for (size_t i = 0; i < w.n_known; i++)
		ticket_free(w.known[i].ticket);
	journal_free(w.j);
	arena_free(&w.arena);
	feed_end(&f);
	return 0;
}
