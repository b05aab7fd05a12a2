/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what one life writes is what the next one knows, and a journal that cannot be trusted is never worked
 * on (R8, R10, R11, I12). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/journal.h"
#include "tokend/v1/journal.pb-c.h"

#define PARTITION 3

static struct cluster clusters[] = { { .name = "main", .digest = { 7 } } };
static const struct config config = { .clusters = clusters, .n_clusters = 1, .deadline_most_ms = 3600000 };
static struct assignment assignment;
static const struct journal_found nothing = { .request_low = 0, .request_high = 100, .journal_high = 0,
    .marker_offsets = 1 };

static struct journal *
open_empty(void)
{
	struct journal *j = journal_new(PARTITION, &config, 0);
	struct err e;
	int64_t start;

	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	assert_int_equal(start, 0);
	return j;
}

/* The request `id` at that offset; tag makes its fingerprint. */
static struct ticket *
request(const char *id, int64_t offset, unsigned char tag)
{
	struct ticket *t = ticket_new(&assignment);

	t->record = (struct record){ .partition = PARTITION, .offset = offset, .key = span_str(id) };
	t->request.request_id = id;
	t->request.principal = t->principal = "telemetry";
	t->request.deadline = clock_wall_ms() / 1000 + 600;
	t->verified = true;
	memset(t->fingerprint, tag, 32);
	memset(t->digest, tag + 100, 32);
	t->journal_key = journal_request_key(&t->arena, METHOD_CREATE_TOKEN, "telemetry", id);
	t->key_hash = journal_key_hash(t->journal_key);
	return t;
}

static void
begin(struct ticket *t)
{
	t->attempts.open = true;
	t->attempts.current = (struct attempt){ .number = ++t->attempts.begun, .cluster = "main",
	    .not_before_ms = 1000, .not_after_ms = 31000 };
	memset(t->attempts.current.uuid, (int)t->attempts.begun, ATTEMPT_UUID_BYTES);
	memcpy(t->attempts.current.cluster_digest, clusters[0].digest, sizeof clusters[0].digest);
}

static void
remember(struct journal *j, struct span key, struct span value, int64_t offset)
{
	struct err e;

	if (journal_remember(j, key, value, offset, &e) != 0)
		fail_msg("%s", e.text);
}

static enum journal_seen
seen(const struct journal *j, const struct ticket *t)
{
	struct journal_look look;

	journal_look(j, t->key_hash, t->fingerprint, &look);
	return look.seen;
}

static void
test_keys(void **state)
{
	struct arena a = { 0 };
	struct span key = journal_request_key(&a, METHOD_CREATE_TOKEN, "telemetry", "order-17");

	(void)state;
	assert_true(span_is(key, "C9:telemetry,8:order-17"));
	assert_true(span_is(journal_request_key(&a, METHOD_REVOKE_TOKEN, "a", "b"), "R1:a,1:b"));
	assert_true(span_is(journal_offset_key(&a, 3, 12), "#3:12"));
	assert_int_not_equal(journal_key_hash(key), journal_key_hash(span_str("R9:telemetry,8:order-17")));
	arena_free(&a);
}

static void
test_one_life(void **state)
{
	struct journal *j = open_empty();
	struct ticket *t = request("r", 0, 1), *other = request("r", 1, 2);
	struct journal_look look;

	(void)state;
	assert_int_equal(seen(j, t), JOURNAL_NEW);
	journal_admit(j, t);
	assert_int_equal(seen(j, t), JOURNAL_IN_FLIGHT);
	assert_int_equal(seen(j, other), JOURNAL_OTHER_BYTES);
	journal_forget(j, t);
	assert_int_equal(seen(j, t), JOURNAL_NEW);
	journal_admit(j, t);
	journal_settled(j, t, 77);
	journal_look(j, t->key_hash, t->fingerprint, &look);
	assert_int_equal(look.seen, JOURNAL_DONE);
	assert_int_equal(look.offset, 77);
	journal_look(j, t->key_hash, other->fingerprint, &look);
	assert_int_equal(look.seen, JOURNAL_OTHER_BYTES);
	assert_true(look.done);
	journal_forget(j, t);           /* a settled one is not forgotten */
	assert_int_equal(seen(j, t), JOURNAL_DONE);
	ticket_free(t);
	ticket_free(other);
	journal_free(j);
}

/* kill -9 with an intent open: the next life takes its attempts over, the open one as unknown. */
static void
test_open_intent_is_taken_over(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1), *again = request("r", 5, 1);
	struct journal_found f = nothing;
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	journal_admit(j, t);
	begin(t);
	attempts_settle(&t->attempts, FATE_REFUSED, &t->arena);
	begin(t);
	remember(next, t->journal_key, journal_intent(j, t, &t->arena, &seq), 20);
	f.journal_high = 22;
	assert_int_equal(journal_open(next, &f, &start, &e), 0);
	assert_int_equal(journal_least(next), 22);
	assert_int_equal(journal_place(next, 5, again->digest), JOURNAL_PLACE_FREE);
	assert_int_equal(seen(next, again), JOURNAL_BEGUN);
	journal_admit(next, again);
	assert_true(again->journaled);
	assert_int_equal(again->attempts.begun, 2);
	assert_int_equal(again->attempts.n_closed, 2);
	assert_int_equal(again->attempts.closed[0].fate, FATE_REFUSED);
	assert_int_equal(again->attempts.closed[1].fate, FATE_UNKNOWN);
	assert_int_equal(again->attempts.closed[1].uuid[0], 2);
	assert_string_equal(again->attempts.closed[1].cluster, "main");
	assert_int_equal(seen(next, again), JOURNAL_IN_FLIGHT);
	/* The numbers go on above what is known. */
	(void)journal_answer(next, again, &again->arena, &seq);
	assert_int_equal(seq, 2);
	ticket_free(t);
	ticket_free(again);
	journal_free(j);
	journal_free(next);
}

static void
test_hand_over_leaves_nothing_open(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1), *again = request("r", 5, 1);
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	journal_admit(j, t);
	begin(t);
	remember(next, t->journal_key, journal_intent(j, t, &t->arena, &seq), 20);
	attempts_settle(&t->attempts, FATE_NOT_SENT, &t->arena);
	remember(next, t->journal_key, journal_intent(j, t, &t->arena, &seq), 22);
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	journal_admit(next, again);
	assert_int_equal(again->attempts.n_closed, 0);
	assert_int_equal(again->attempts.begun, 1);
	ticket_free(t);
	ticket_free(again);
	journal_free(j);
	journal_free(next);
}

static void
test_done_is_replayed(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1), *repeat = request("r", 9, 1);
	Tokend__V1__Status status = TOKEND__V1__STATUS__INIT;
	Tokend__V1__CreateTokenReply reply = TOKEND__V1__CREATE_TOKEN_REPLY__INIT;
	unsigned char stored[256];
	struct journal_reply read;
	struct journal_look look;
	struct span done;
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	status.code = 7;
	status.message = "no";
	reply.status = &status;
	reply.request_id = "r";
	journal_admit(j, t);
	begin(t);
	t->stored = span_of(stored, tokend__v1__create_token_reply__pack(&reply, stored));
	t->token_id = "id";
	done = journal_done(j, t, &t->arena, &seq);
	remember(next, t->journal_key, done, 30);
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	journal_look(next, repeat->key_hash, repeat->fingerprint, &look);
	assert_int_equal(look.seen, JOURNAL_DONE);
	assert_int_equal(look.offset, 30);
	assert_int_equal(journal_place(next, 5, t->digest), JOURNAL_PLACE_ANSWERED);
	assert_int_equal(journal_place(next, 5, t->fingerprint), JOURNAL_PLACE_OTHER);
	assert_int_equal(journal_place(next, 5, NULL), JOURNAL_PLACE_ANSWERED);
	assert_int_equal(journal_place(next, 9, NULL), JOURNAL_PLACE_FREE);
	assert_int_equal(journal_place(next, 9, t->digest), JOURNAL_PLACE_FREE);
	journal_passed(next, 6);
	assert_int_equal(journal_place(next, 5, t->digest), JOURNAL_PLACE_FREE);
	assert_int_equal(journal_read_reply(done, &repeat->arena, &read, &e), 0);
	assert_true(span_equal(read.stored, t->stored));
	assert_int_equal(read.code, 7);
	assert_string_equal(read.message, "no");
	assert_string_equal(read.token_id, "id");
	/* Where the token is, for whoever deletes it: by what the cluster's name meant. */
	assert_int_equal(read.method, METHOD_CREATE_TOKEN);
	assert_string_equal(read.cluster, "main");
	assert_memory_equal(read.cluster_digest, t->attempts.current.cluster_digest, 32);
	ticket_free(t);
	ticket_free(repeat);
	journal_free(j);
	journal_free(next);
}

/* A RevokeToken that is the request's own: it is about that ID's token. */
static struct ticket *
revocation(const char *id, int64_t offset, unsigned char tag)
{
	struct ticket *t = request(id, offset, tag);

	t->request.method = METHOD_REVOKE_TOKEN;
	t->journal_key = journal_request_key(&t->arena, METHOD_REVOKE_TOKEN, "telemetry", id);
	t->key_hash = journal_key_hash(t->journal_key);
	t->token_id = "id";
	t->attempts.begun = 1;
	t->attempts.current.cluster = "main";
	return t;
}

/* Its DONE lies beside the CreateToken's, names no attempt, and is known to all replies that come after it, in the
 * next life, too. */
static void
test_a_revocation_is_remembered(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1), *revoke = revocation("r", 6, 2);
	Tokend__V1__Status status = TOKEND__V1__STATUS__INIT;
	Tokend__V1__RevokeTokenReply reply = TOKEND__V1__REVOKE_TOKEN_REPLY__INIT;
	Tokend__V1__JournalRecord *written;
	unsigned char stored[256];
	struct journal_reply read;
	struct span done;
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	status.message = "revoked";
	reply.status = &status;
	reply.request_id = "r";
	reply.token_id = "id";
	journal_admit(j, t);
	journal_settled(j, t, 30);
	journal_admit(j, revoke);
	assert_int_equal(seen(j, t), JOURNAL_DONE);
	assert_int_equal(journal_revoked_at(j, "telemetry", "r"), 0);
	journal_forget(j, revoke);
	assert_int_equal(seen(j, revoke), JOURNAL_NEW);
	journal_admit(j, revoke);
	assert_int_equal(journal_revoked_at(j, "telemetry", "r"), 0);
	revoke->revoked_at = 1700000000;
	revoke->stored = span_of(stored, tokend__v1__revoke_token_reply__pack(&reply, stored));
	done = journal_done(j, revoke, &revoke->arena, &seq);
	assert_int_equal(journal_revoked_at(j, "telemetry", "r"), 1700000000);
	journal_settled(j, revoke, 40);
	assert_int_equal(journal_revoked_at(j, "telemetry", "r"), 1700000000);
	assert_int_equal(journal_revoked_at(j, "billing", "r"), 0);

	written = tokend__v1__journal_record__unpack(NULL, done.bytes, done.data);
	assert_non_null(written);
	assert_null(written->attempt);
	assert_string_equal(written->token_id, "id");
	assert_string_equal(written->cluster, "main");
	assert_int_equal(written->revoked_at, 1700000000);
	tokend__v1__journal_record__free_unpacked(written, NULL);

	remember(next, revoke->journal_key, done, 40);
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	assert_int_equal(journal_revoked_at(next, "telemetry", "r"), 1700000000);
	assert_int_equal(journal_read_reply(done, &t->arena, &read, &e), 0);
	assert_int_equal(read.method, METHOD_REVOKE_TOKEN);
	assert_true(span_equal(read.stored, revoke->stored));
	ticket_free(t);
	ticket_free(revoke);
	journal_free(j);
	journal_free(next);
}

static void
test_strays(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *below = request("below", 4, 1), *here = request("here", 10, 2), *past = request("past", 90, 3),
	    *s;
	struct journal_found f = nothing;
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	begin(below);
	begin(here);
	begin(past);
	remember(next, below->journal_key, journal_intent(j, below, &below->arena, &seq), 20);
	remember(next, here->journal_key, journal_intent(j, here, &here->arena, &seq), 21);
	remember(next, past->journal_key, journal_intent(j, past, &past->arena, &seq), 22);
	f.request_low = 5;
	f.request_high = 90;
	assert_int_equal(journal_open(next, &f, &start, &e), 0);
	assert_int_equal(start, 5);
	for (int i = 0; i < 2; i++) {
		s = ticket_new(&assignment);
		assert_true(journal_stray(next, start, f.request_high, s));
		assert_int_equal(s->record.offset, -1);
		assert_int_equal(s->attempts.n_closed, 1);
		assert_int_equal(s->attempts.closed[0].fate, FATE_UNKNOWN);
		assert_true(strcmp(s->request.request_id, "below") == 0 || strcmp(s->request.request_id, "past") == 0);
		assert_string_equal(s->principal, "telemetry");
		journal_settled(next, s, 50 + i);
		ticket_free(s);
	}
	s = ticket_new(&assignment);
	assert_false(journal_stray(next, start, f.request_high, s));
	assert_int_equal(seen(next, below), JOURNAL_DONE);
	/* Another record at the intent's offset: not this request topic. */
	assert_int_equal(journal_place(next, 10, here->digest), JOURNAL_PLACE_FREE);
	assert_int_equal(journal_place(next, 10, below->digest), JOURNAL_PLACE_OTHER);
	assert_int_equal(journal_place(next, 10, NULL), JOURNAL_PLACE_FREE);
	assert_false(journal_stray_at(next, 11, s));
	assert_true(journal_stray_at(next, 10, s));
	assert_string_equal(s->request.request_id, "here");
	ticket_free(s);
	ticket_free(below);
	ticket_free(here);
	ticket_free(past);
	journal_free(j);
	journal_free(next);
}

/* R11: the committed offset's metadata against what is there. */
static void
test_went_backwards(void **state)
{
	struct journal *j = open_empty();
	struct ticket *t = request("r", 5, 1);
	char metadata[OFFSET_METADATA_ROOM];
	struct journal_found f = nothing;
	struct span first, second;
	uint64_t seq1, seq2;

	(void)state;
	journal_admit(j, t);
	begin(t);
	first = journal_intent(j, t, &t->arena, &seq1);
	second = journal_intent(j, t, &t->arena, &seq2);
	f.has_offset = true;
	f.offset = 5;
	f.metadata = metadata;

	struct { const char *what; bool has_first, has_second, opens; uint64_t seq; int64_t age_ms,
	    offset; const char *text; } rows[] = {
		{ "whole", true, true, true, seq2, 0, 5, NULL },
		{ "the last record is missing", true, false, false, seq2, 0, 5, NULL },
		{ "the journal is ahead", true, true, true, seq1, 0, 5, NULL },
		{ "empty", false, false, false, seq2, 0, 5, NULL },
		{ "empty, idle past the window", false, false, true, seq2, (int64_t)duration_ms(DURATION_WINDOW), 5,
		    NULL },
		{ "no metadata", true, true, false, seq2, 0, 5, "" },
		{ "foreign metadata", true, true, false, seq2, 0, 5, "hello" },
		{ "offset below the log", true, true, false, seq2, 0, -1, NULL },
		{ "offset above the log", true, true, false, seq2, 0, 101, NULL },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct journal *next = journal_new(PARTITION, &config, 0);
		struct err e;
		int64_t start;
		int rc;

		if (rows[i].has_first)
			remember(next, t->journal_key, first, 20);
		if (rows[i].has_second)
			remember(next, t->journal_key, second, 22);
		journal_metadata(j, rows[i].seq, clock_wall_ms() - rows[i].age_ms, "a/b/c", metadata);
		f.metadata = rows[i].text != NULL ? rows[i].text : metadata;
		f.offset = rows[i].offset;
		f.request_low = 0;
		if (rows[i].offset < 0) {
			f.offset = 5;
			f.request_low = 6;
		}
		rc = journal_open(next, &f, &start, &e);
		if ((rc == 0) != rows[i].opens)
			fail_msg("%s: %s", rows[i].what, rc == 0 ? "opened" : e.text);
		if (rc != 0)
			assert_int_equal(e.next, ERR_REFUSE);
		else {
			assert_int_equal(start, 5);
			assert_true(journal_seq(next) >= rows[i].seq);
		}
		journal_free(next);
	}
	ticket_free(t);
	journal_free(j);
}

static void
test_another_journal(void **state)
{
	struct journal *a = open_empty(), *b = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1);
	struct err e;
	uint64_t seq;

	(void)state;
	begin(t);
	remember(next, t->journal_key, journal_intent(a, t, &t->arena, &seq), 20);
	assert_int_equal(journal_remember(next, t->journal_key, journal_intent(b, t, &t->arena, &seq), 22, &e), -1);
	assert_int_equal(e.next, ERR_REFUSE);
	assert_non_null(strstr(e.text, "3@22"));
	ticket_free(t);
	journal_free(a);
	journal_free(b);
	journal_free(next);
}

static void
test_unreadable_records(void **state)
{
	struct journal *j = journal_new(PARTITION, &config, 0);
	Tokend__V1__JournalRecord r = TOKEND__V1__JOURNAL_RECORD__INIT;
	unsigned char id[16] = { 1 }, bytes[256];
	struct span key = span_str("#3:1");
	struct err e;

	(void)state;
	assert_int_equal(journal_remember(j, key, span_str("\xff\xff"), 1, &e), -1);
	assert_int_equal(journal_remember(j, key, span_of(NULL, 0), 1, &e), -1);
	r.format = r.lowest_reader = 1;
	r.state = TOKEND__V1__JOURNAL_STATE__DONE;
	r.journal_id = (ProtobufCBinaryData){ sizeof id, id };
	assert_int_equal(journal_remember(j, key, span_of(bytes, tokend__v1__journal_record__pack(&r, bytes)), 1, &e),
	    0);
	r.lowest_reader = 2;
	assert_int_equal(journal_remember(j, key, span_of(bytes, tokend__v1__journal_record__pack(&r, bytes)), 2, &e),
	    -1);
	r.lowest_reader = 1;
	r.state = TOKEND__V1__JOURNAL_STATE__LOSS;
	assert_int_equal(journal_remember(j, key, span_of(bytes, tokend__v1__journal_record__pack(&r, bytes)), 3, &e),
	    -1);
	r.state = TOKEND__V1__JOURNAL_STATE__DONE;
	for (const char **k = (const char *[]){ "x", "C", "C1:a", "C1:a,", "C1:a,2:b", "C1:a,1:bc", "C9:a,1:b",
	    "C1:A,1:b", NULL }; *k != NULL; k++)
		assert_int_equal(journal_remember(j, span_str(*k),
		    span_of(bytes, tokend__v1__journal_record__pack(&r, bytes)), 4, &e), -1);
	assert_int_equal(journal_remember(j, span_str("C1:a,1:b"),
	    span_of(bytes, tokend__v1__journal_record__pack(&r, bytes)), 4, &e), 0);
	r.journal_id.len = 5;
	assert_int_equal(journal_remember(j, key, span_of(bytes, tokend__v1__journal_record__pack(&r, bytes)), 5, &e),
	    -1);
	journal_free(j);
}

/* Ten thousand requests come and go: the table grows, nothing is lost in it. */
static void
test_many(void **state)
{
	enum { N = 10000 };
	static char ids[N][16];
	struct journal *j = open_empty();

	(void)state;
	for (int i = 0; i < N; i++) {
		struct ticket *t;

		snprintf(ids[i], sizeof ids[i], "r-%d", i);
		t = request(ids[i], i, 1);
		journal_admit(j, t);
		if (i % 3 == 0)
			journal_forget(j, t);
		else
			journal_settled(j, t, i);
		ticket_free(t);
	}
	assert_int_equal(journal_entries(j), N - (N + 2) / 3);
	for (int i = 0; i < N; i++) {
		struct ticket *t = request(ids[i], i, 1);
		struct journal_look look;

		journal_look(j, t->key_hash, t->fingerprint, &look);
		assert_int_equal(look.seen, i % 3 == 0 ? JOURNAL_NEW : JOURNAL_DONE);
		if (i % 3 != 0)
			assert_int_equal(look.offset, i);
		ticket_free(t);
	}
	journal_free(j);
}

static void
test_floor(void **state)
{
	int64_t now = 1000000000;

	(void)state;
	assert_int_equal(journal_floor(3600000, now), now - 7 * 86400 + 3600 + 4 * 120);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys), cmocka_unit_test(test_one_life),
		    cmocka_unit_test(test_open_intent_is_taken_over),
		cmocka_unit_test(test_hand_over_leaves_nothing_open), cmocka_unit_test(test_done_is_replayed),
		    cmocka_unit_test(test_a_revocation_is_remembered),
		    cmocka_unit_test(test_strays),
		cmocka_unit_test(test_went_backwards), cmocka_unit_test(test_another_journal),
		    cmocka_unit_test(test_unreadable_records),
		cmocka_unit_test(test_many), cmocka_unit_test(test_floor),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
