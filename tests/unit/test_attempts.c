/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is known of an attempt's end is known from where it was closed: by our own call, by a committed record, or
 * not yet; and a DONE that is read back says of each of its attempts what it says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/journal.h"

static struct cluster clusters[] = { { .name = "main", .digest = { 7 } } };
static const struct config config = { .clusters = clusters, .n_clusters = 1, .deadline_most_ms = 3600000 };
static const struct journal_found nothing = { .request_high = 100, .marker_offsets = 1 };
static struct assignment assignment;

static struct ticket *
request(const char *id)
{
	struct ticket *t = ticket_new(&assignment);

	t->record = (struct record){ .partition = 3, .offset = 1, .key = span_str(id) };
	t->request.request_id = id;
	t->request.principal = t->principal = "telemetry";
	t->request.deadline = 4000000000;
	t->journal_key = journal_request_key(&t->arena, METHOD_CREATE_TOKEN, "telemetry", id);
	t->key_hash = journal_key_hash(t->journal_key);
	return t;
}

/* Its n-th attempt: a uuid that begins with the request's hash. */
static void
begin(struct ticket *t)
{
	struct attempt *a = &t->attempts.current;

	t->attempts.open = true;
	*a = (struct attempt){ .number = ++t->attempts.begun, .cluster = "main", .cluster_digest = { 7 },
	    .not_before_ms = 1000 * t->attempts.begun, .not_after_ms = 30000 + 1000 * t->attempts.begun };
	memcpy(a->uuid, &t->key_hash, 8);
	memset(a->uuid + 8, (int)t->attempts.begun, 8);
}

static const unsigned char *
uuid_of(const struct ticket *t, unsigned n, unsigned char ret[ATTEMPT_UUID_BYTES])
{
	memcpy(ret, &t->key_hash, 8);
	memset(ret + 8, (int)n, 8);
	return ret;
}

static void
test_our_own_call_ends_and_a_commit_closes(void **state)
{
	struct ticket *t = request("r");
	unsigned char uuid[ATTEMPT_UUID_BYTES];

	(void)state;
	begin(t);
	assert_null(attempts_find(&t->attempts, uuid_of(t, 1, uuid)));
	attempts_settle(&t->attempts, FATE_NOT_SENT, &t->arena);
	assert_null(attempts_find(&t->attempts, uuid));
	begin(t);
	attempts_settle(&t->attempts, FATE_UNKNOWN, &t->arena);
	assert_int_equal(attempts_find(&t->attempts, uuid_of(t, 2, uuid))->closure, CLOSURE_ENDED);
	begin(t);
	attempts_committed(&t->attempts);       /* the INTENT of the third carries the second, and the third is open */
	attempts_settle(&t->attempts, FATE_REFUSED, &t->arena);
	assert_int_equal(attempts_find(&t->attempts, uuid_of(t, 2, uuid))->closure, CLOSURE_COMMITTED);
	assert_int_equal(attempts_find(&t->attempts, uuid_of(t, 3, uuid))->closure, CLOSURE_ENDED);
	ticket_free(t);
}

/* What the last life left open is evidence once a record of ours closes it. */
static void
test_an_inherited_one_is_closed_by_a_commit_alone(void **state)
{
	struct journal *j = journal_new(3, &config, 0), *next = journal_new(3, &config, 0);
	struct ticket *t = request("r"), *heir = request("r");
	unsigned char uuid[ATTEMPT_UUID_BYTES];
	struct journal_attempt found;
	struct span intent;
	uint64_t seq;
	struct err e;
	int64_t start;

	(void)state;
	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	begin(t);
	attempts_settle(&t->attempts, FATE_UNKNOWN, &t->arena);
	begin(t);
	intent = journal_intent(j, t, &t->arena, &seq);
	journal_remember(next, t->journal_key, intent, 5);
	assert_int_equal(journal_open(next, &nothing, &start, &e), 0);
	journal_look_attempt(next, uuid_of(t, 2, uuid), "id", &found);
	assert_int_equal(found.seen, JOURNAL_BEGUN);
	assert_int_equal(found.n_closed, 1);
	assert_memory_equal(found.closed[0].uuid, uuid_of(t, 1, uuid), sizeof uuid);
	journal_admit(next, heir);
	assert_int_equal(attempts_find(&heir->attempts, uuid)->closure, CLOSURE_COMMITTED);
	assert_int_equal(attempts_find(&heir->attempts, uuid_of(t, 2, uuid))->closure, CLOSURE_NONE);
	begin(heir);
	attempts_committed(&heir->attempts);
	assert_int_equal(attempts_find(&heir->attempts, uuid)->closure, CLOSURE_COMMITTED);
	ticket_free(t);
	ticket_free(heir);
	journal_free(j);
	journal_free(next);
}

static void
test_what_a_done_says(void **state)
{
	struct journal *j = journal_new(3, &config, 0);
	struct ticket *t = request("r"), *other = request("s");
	unsigned char uuid[ATTEMPT_UUID_BYTES];
	struct journal_told told;
	struct span done;
	uint64_t seq;
	struct err e;
	int64_t start;

	(void)state;
	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	begin(t);
	attempts_settle(&t->attempts, FATE_UNKNOWN, &t->arena);
	begin(t);
	t->attempts.open = false;
	t->token_id = "the-token";
	done = journal_done(j, t, &t->arena, &seq);

	assert_int_equal(journal_read_attempt(t->journal_key, done, uuid_of(t, 1, uuid), &t->arena, &told, &e), 0);
	assert_int_equal(told.what, JOURNAL_TOLD_CLOSED);
	assert_int_equal(told.attempt.number, 1);
	assert_int_equal(journal_read_attempt(t->journal_key, done, uuid_of(t, 2, uuid), &t->arena, &told, &e), 0);
	assert_int_equal(told.what, JOURNAL_TOLD_DELIVERED);
	assert_string_equal(told.token_id, "the-token");
	assert_int_equal(told.attempt.not_before_ms, 2000);
	assert_int_equal(told.attempt.not_after_ms, 32000);
	assert_int_equal(told.attempt.cluster_digest[0], 7);
	assert_int_equal(journal_read_attempt(t->journal_key, done, uuid_of(t, 3, uuid), &t->arena, &told, &e), 0);
	assert_int_equal(told.what, JOURNAL_TOLD_NOTHING);

	/* Another request's record, or none: compaction moved it. */
	assert_int_equal(journal_read_attempt(t->journal_key, done, uuid_of(other, 1, uuid), &t->arena, &told, &e), -1);
	assert_int_equal(journal_read_attempt(other->journal_key, done, uuid_of(t, 1, uuid), &t->arena, &told, &e), -1);
	assert_int_equal(journal_read_attempt(t->journal_key, span_str("x"), uuid, &t->arena, &told, &e), -1);
	ticket_free(t);
	ticket_free(other);
	journal_free(j);
}

/* An INTENT that names an attempt is no word about its end. */
static void
test_an_intent_delivers_nothing(void **state)
{
	struct journal *j = journal_new(3, &config, 0);
	struct ticket *t = request("r");
	unsigned char uuid[ATTEMPT_UUID_BYTES];
	struct journal_told told;
	uint64_t seq;
	struct err e;
	int64_t start;

	(void)state;
	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	begin(t);
	assert_int_equal(journal_read_attempt(t->journal_key, journal_intent(j, t, &t->arena, &seq),
	    uuid_of(t, 1, uuid), &t->arena, &told, &e), 0);
	assert_int_equal(told.what, JOURNAL_TOLD_NOTHING);
	ticket_free(t);
	journal_free(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_our_own_call_ends_and_a_commit_closes),
		cmocka_unit_test(test_an_inherited_one_is_closed_by_a_commit_alone),
		cmocka_unit_test(test_what_a_done_says),
		cmocka_unit_test(test_an_intent_delivers_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
