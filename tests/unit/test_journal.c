/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what one life writes is what the next one knows, and a journal that cannot be trusted is never worked
 * on (R8, R10, R11, I12). */
#include "tests/unit/fixture_journal.h"

#include <stdio.h>

#include "service/base/durations.h"
#include "tokend/v1/journal.pb-c.h"

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

/* ---- memory bounded ---------------------------------------------------------------------------------------------- */

#define FEW 100
static const struct config few = { .clusters = clusters, .n_clusters = 1, .deadline_most_ms = 3600000,
    .max_remembered = FEW };

static struct journal *
open_few(void)
{
	struct journal *j = journal_new(PARTITION, &few, 0);
	struct err e;
	int64_t start;

	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	return j;
}

/* The request r-<i>, answered without an attempt; its deadline so long ago. */
static void
settle_one(struct journal *j, int i, int64_t deadline)
{
	char id[16];
	struct ticket *t;

	(void)snprintf(id, sizeof id, "r-%d", i);
	t = request(id, i, 1);
	t->request.deadline = deadline;
	journal_admit(j, t);
	journal_settled(j, t, i);
	ticket_free(t);
}

static bool
forgotten(const struct journal *j, int64_t deadline, int64_t now)
{
	return journal_may_have_forgotten(j, deadline, deadline, now);
}

static void
test_floor(void **state)
{
	struct journal *j = open_empty();
	int64_t now = 1000000000, floor = now - 7 * 86400 + 3600 + 4 * 120;

	(void)state;
	assert_int_equal(journal_floor(j, now), floor);
	assert_true(forgotten(j, floor - 120, now));
	assert_false(forgotten(j, floor - 119, now));
	journal_free(j);
}

/* Full: the oldest go and the floor is raised, for this partition alone; or nothing may go, and there is no room. */
static void
test_room(void **state)
{
	struct journal *j = open_few(), *other = open_few();
	int64_t now = clock_wall_ms() / 1000, first = now - 1000;

	(void)state;
	for (int i = 0; i < FEW - 1; i++)
		settle_one(j, i, first + i);
	assert_true(journal_room(j, now));
	assert_int_equal(journal_fill(j), FEW - 1);
	assert_int_equal(journal_floor(j, now), journal_floor(other, now));
	settle_one(j, FEW - 1, now + 50);
	assert_int_equal(journal_fill(j), 100);
	assert_true(journal_room(j, now));
	assert_int_equal(journal_entries(j), FEW - 7);          /* a share at once: a sixteenth and one */
	assert_int_equal(journal_floor(j, now), first + 6 + 120);
	assert_true(forgotten(j, first + 6, now));
	assert_false(forgotten(j, first + 7, now));
	assert_false(forgotten(other, first + 6, now));

	for (int i = 0; i < FEW; i++)
		settle_one(other, i, now - 119 + (i == 0 ? 0 : 60));
	assert_false(journal_room(other, now));
	assert_int_equal(journal_entries(other), FEW);          /* nothing is dropped */
	assert_false(journal_room(other, now + 1));             /* one has aged: it is not looked for at once */
	assert_true(journal_room(other, now + 10));
	assert_int_equal(journal_entries(other), FEW - 1);
	journal_free(j);
	journal_free(other);
}

/* What was written under a larger bound: the same order of leaving, and what safety needs is taken in all the same. */
static void
test_room_at_restore(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &few, 0);
	int64_t now = clock_wall_ms() / 1000, start;
	struct err e;

	(void)state;
	for (int i = 0; i < 4 * FEW; i++) {
		char id[16];
		struct ticket *t;
		uint64_t seq;

		(void)snprintf(id, sizeof id, "r-%d", i);
		t = request(id, i, 1);
		t->request.deadline = i < 2 * FEW ? now - 5000 + i : now + 600;
		remember(next, t->journal_key, i == 7 ? journal_intent(j, t, &t->arena, &seq) :
		    journal_done(j, t, &t->arena, &seq), 20 + i);
		ticket_free(t);
	}
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	/* The new ones are needed, and so is the open intent; of the old ones none is left. */
	assert_int_equal(journal_entries(next), 2 * FEW + 1);
	assert_int_equal(journal_floor(next, now), now - 5000 + 2 * FEW - 1 + 120);
	assert_false(journal_room(next, now));
	assert_true(journal_room(next, now + 600 + 120));
	journal_free(j);
	journal_free(next);
}

/* ---- what the sweep asks ----------------------------------------------------------------------------------------- */

static void
uuid_of(const struct ticket *t, unsigned char random, unsigned char ret[ATTEMPT_UUID_BYTES])
{
	memset(ret, random, ATTEMPT_UUID_BYTES);
	memcpy(ret, &t->key_hash, sizeof t->key_hash);
}

static void
test_attempts_are_found(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1), *begun = request("b", 6, 1);
	unsigned char first[ATTEMPT_UUID_BYTES], second[ATTEMPT_UUID_BYTES], foreign[ATTEMPT_UUID_BYTES] = { 9 };
	const struct journal_cluster *at;
	struct journal_attempt a;
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	uuid_of(t, 1, first);
	uuid_of(t, 2, second);
	journal_look_attempt(j, first, "id", &a);
	assert_int_equal(a.seen, JOURNAL_NEW);
	journal_admit(j, t);
	begin(t);
	memcpy(t->attempts.current.uuid, first, sizeof first);
	t->attempts.current.cluster_digest[0] = 7;
	attempts_settle(&t->attempts, FATE_UNKNOWN, &t->arena);
	begin(t);
	memcpy(t->attempts.current.uuid, second, sizeof second);
	t->attempts.current.cluster_digest[0] = 7;
	t->attempts.current.not_after_ms = 91000;
	journal_look_attempt(j, first, "id", &a);
	assert_int_equal(a.seen, JOURNAL_IN_FLIGHT);
	assert_ptr_equal(a.holder, t);
	remember(next, t->journal_key, journal_intent(j, t, &t->arena, &seq), 20);
	t->token_id = "id";
	journal_settled(j, t, 77);
	journal_look_attempt(j, second, "id", &a);
	assert_true(a.seen == JOURNAL_DONE && a.delivered && a.offset == 77 && a.cluster == 0);
	journal_look_attempt(j, second, "twin", &a);        /* of the same attempt: a gateway sent it twice */
	assert_true(a.seen == JOURNAL_DONE && !a.delivered);
	journal_look_attempt(j, first, "id", &a);
	assert_true(a.seen == JOURNAL_DONE && !a.delivered);
	assert_int_equal(journal_clusters(j, &at), 1);
	assert_true(at->place == 0 && at->last_not_after_ms == 91000 && at->last_unknown_not_after_ms == 31000);

	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	journal_look_attempt(next, second, "id", &a);
	assert_true(a.seen == JOURNAL_BEGUN && a.n_closed == 1 && a.cluster == 0);
	assert_memory_equal(a.closed[0].uuid, first, sizeof first);
	journal_look_attempt(next, foreign, "id", &a);
	assert_int_equal(a.seen, JOURNAL_NEW);
	assert_int_equal(journal_clusters(next, &at), 1);
	assert_true(at->last_not_after_ms == 91000 && at->last_unknown_not_after_ms == 91000);
	/* What stands in the journal is committed; what was open is not known to be over. */
	journal_admit(next, (ticket_free(begun), begun = request("r", 5, 1)));
	assert_int_equal(begun->attempts.closed[0].closure, CLOSURE_COMMITTED);
	assert_int_equal(begun->attempts.closed[1].closure, CLOSURE_NONE);
	ticket_free(t);
	ticket_free(begun);
	journal_free(j);
	journal_free(next);
}

static void
test_revocations_are_found(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
	struct ticket *t = request("r", 5, 1);
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	t->request.method = METHOD_REVOKE_TOKEN;
	t->journal_key = journal_request_key(&t->arena, METHOD_REVOKE_TOKEN, "telemetry", "r");
	t->key_hash = journal_key_hash(t->journal_key);
	journal_admit(j, t);
	assert_int_equal(journal_revoked_at(j, "telemetry", "r"), 0);
	t->revoked_at = 1700000000;
	remember(next, t->journal_key, journal_done(j, t, &t->arena, &seq), 20);
	journal_settled(j, t, 20);
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	for (int life = 0; life < 2; life++) {
		assert_int_equal(journal_revoked_at(life == 0 ? j : next, "telemetry", "r"), 1700000000);
		assert_int_equal(journal_revoked_at(life == 0 ? j : next, "telemetry", "s"), 0);
		assert_int_equal(journal_revoked_at(life == 0 ? j : next, "other", "r"), 0);
	}
	ticket_free(t);
	journal_free(j);
	journal_free(next);
}

static void
test_answers_below_the_start_are_not_kept(void **state)
{
	struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 6);
	struct ticket *below = request("a", 5, 1), *at = request("b", 6, 2);
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	remember(next, span_str("#3:5"), journal_answer(j, below, &below->arena, &seq), 20);
	remember(next, span_str("#3:6"), journal_answer(j, at, &at->arena, &seq), 21);
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	assert_int_equal(journal_place(next, 5, below->digest), JOURNAL_PLACE_FREE);
	assert_int_equal(journal_place(next, 6, at->digest), JOURNAL_PLACE_ANSWERED);
	ticket_free(below);
	ticket_free(at);
	journal_free(j);
	journal_free(next);
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
		cmocka_unit_test(test_many), cmocka_unit_test(test_floor), cmocka_unit_test(test_room),
		cmocka_unit_test(test_room_at_restore), cmocka_unit_test(test_attempts_are_found),
		cmocka_unit_test(test_revocations_are_found),
		cmocka_unit_test(test_answers_below_the_start_are_not_kept),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
