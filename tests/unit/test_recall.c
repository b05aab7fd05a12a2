/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whoever asks what became of a request is told what is known, waits where it is still to come, and is never
 * left without an answer, also where a stored reply cannot be read any more; and of those that want one token
 * revoked, one at a time does it, the oldest first. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/authorize.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/journal.h"
#include "service/pipeline_private.h"
#include "service/restore.h"
#include "service/timers.h"

#define DAY_S 86400

static struct cluster clusters[] = { { .name = "main", .max_concurrency = 8, .digest = { 7 } } };
static const struct config config = { .clusters = clusters, .n_clusters = 1, .deadline_most_ms = 3600000 };
static struct pipeline p;
static struct assignment a;

/* ---- the rooms around -------------------------------------------------------------------------------------------- */

static struct ticket *answered, *told, *in_line, *dropped;
static struct restoration *question;

void
answer_status(struct pipeline *of, struct ticket *t)
{
	assert_ptr_equal(of, &p);
	if (t->holder)
		revoke_let_go(of, t);
	ticket_move(t, TICKET_ANSWERING);
	answered = t;
}

void
answer_again(struct pipeline *of, struct ticket *t)
{
	assert_ptr_equal(of, &p);
	ticket_move(t, TICKET_ANSWERING);
	told = t;
}

int
authorize_record(const struct policy_key *key, const struct request *r, int64_t now, struct status *ret_refusal)
{
	(void)key, (void)r, (void)now, (void)ret_refusal;
	return 0;
}

void
restore_ask(struct restore *r, struct restoration *q)
{
	(void)r;
	assert_null(question);
	question = q;
}

int64_t
pipeline_now(void)
{
	return clock_wall_ms() / 1000;
}

uint64_t
pipeline_deadline(const struct ticket *t)
{
	return (uint64_t)t->request.deadline;
}

void
pipeline_unwait(struct pipeline *of, struct ticket *t)
{
	struct ticket **at = &t->waits_for->waiters;

	timers_clear(of->timers, t);
	while (*at != t)
		at = &(*at)->line_next;
	*at = t->line_next;
	t->waits_for = NULL;
}

void
pipeline_to_line(struct pipeline *of, struct ticket *t)
{
	(void)of;
	ticket_move(t, TICKET_QUEUED);
	in_line = t;
}

void
pipeline_drop(struct pipeline *of, struct ticket *t)
{
	(void)of;
	dropped = t;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static int
setup(void **state)
{
	const struct journal_found nothing = { .request_high = 100, .marker_offsets = 1 };
	struct err e;
	int64_t start;

	(void)state;
	p = (struct pipeline){ .o.config = &config, .timers = timers_new() };
	a = (struct assignment){ .state = ASSIGNMENT_OPEN, .of_cluster = calloc(1, sizeof(struct share)),
	    .journal = journal_new(0, &config, 0) };
	answered = told = in_line = dropped = NULL;
	return journal_open(a.journal, &nothing, &start, &e);
}

static int
teardown(void **state)
{
	(void)state;
	while (a.tickets != NULL) {
		struct ticket *t = a.tickets;

		timers_clear(p.timers, t);
		backlog_forget(t);
		t->waiters = NULL;
		ticket_free(t);
	}
	assert_int_equal(a.of_cluster[0].tickets, 0);
	free(a.of_cluster);
	journal_free(a.journal);
	timers_free(p.timers);
	return 0;
}

static struct ticket *
asks(enum method m, int64_t deadline)
{
	struct ticket *t = ticket_new(&a);

	t->request = (struct request){ .method = m, .request_id = "r", .principal = "telemetry", .cluster = -1,
	    .deadline = deadline };
	t->metadata.method = m;
	return t;
}

/* The CreateToken that they ask about, which is worked on. */
static struct ticket *
create(int64_t deadline)
{
	struct ticket *t = asks(METHOD_CREATE_TOKEN, deadline);

	t->journal_key = journal_request_key(&t->arena, METHOD_CREATE_TOKEN, "telemetry", "r");
	t->key_hash = journal_key_hash(t->journal_key);
	journal_admit(a.journal, t);
	t->request.cluster = 0;
	t->attempts.current = (struct attempt){ .cluster = "main" };
	memcpy(t->attempts.current.cluster_digest, clusters[0].digest, 32);
	return t;
}

static struct ticket *
done(int64_t deadline)
{
	struct ticket *t = create(deadline);

	journal_settled(a.journal, t, 40);
	return t;
}

/* The restorer does not find it where the index says. */
static void
cannot_read(void)
{
	struct restoration *q = question;

	question = NULL;
	q->failed = true;
	err_set(&q->err, ERR_RETRY, "another record is there");
	recall_fetched(&p, q);
	free((void *)(uintptr_t)q->key.data);
	free(q);
}

static int64_t
soon(void)
{
	return pipeline_now() + 600;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

/* The record may have moved: asked once more, a while later, and not for ever. */
static void
test_what_cannot_be_read_yet_is_asked_for_again(void **state)
{
	struct ticket *t = asks(METHOD_GET_OUTCOME, soon());

	(void)state;
	done(soon());
	recall_outcome(&p, t, NULL);
	assert_int_equal(t->state, TICKET_FETCHING);
	assert_int_equal(question->offset, 40);
	assert_true(span_is(question->key, "C9:telemetry,1:r"));
	cannot_read();
	assert_null(answered);
	assert_null(t->asked);
	assert_ptr_equal(timers_take(p.timers, clock_boot_ms() + duration_ms(DURATION_RESTORE_RETRY)), t);
	recall_fetch(&p, t);
	assert_non_null(question);
	cannot_read();
	t->request.deadline = 0;
	recall_late(&p, t);
	assert_ptr_equal(answered, t);
	assert_int_equal(t->status.cause, STATUS_STILL_IN_FLIGHT);
}

/* It is the age of what is asked about that counts, not of the question. */
static void
test_what_the_topic_keeps_no_longer(void **state)
{
	static const struct { enum method method; enum status_cause cause; } rows[] = {
		{ METHOD_GET_OUTCOME, STATUS_NO_OUTCOME }, { METHOD_REVOKE_TOKEN, STATUS_NO_OUTCOME },
		{ METHOD_CREATE_TOKEN, STATUS_PAST_WINDOW },
	};
	struct ticket *old = done(pipeline_now() - 8 * DAY_S);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ticket *t = asks(rows[i].method, soon());

		if (rows[i].method == METHOD_CREATE_TOKEN)
			recall_stored(&p, t, old->journal_key, old->key_hash);
		else
			recall_create(&p, t);
		cannot_read();
		assert_ptr_equal(answered, t);
		assert_int_equal(t->status.cause, rows[i].cause);
	}
}

/* An earlier life began it and its record comes behind this one: nobody can be waited for. */
static void
test_what_an_earlier_life_began(void **state)
{
	struct ticket *t = asks(METHOD_GET_OUTCOME, soon()), *c = create(soon());
	struct journal *next = journal_new(0, &config, 0);
	struct span intent;
	uint64_t seq;

	(void)state;
	intent = journal_intent(a.journal, c, &c->arena, &seq);
	journal_remember(next, c->journal_key, intent, 5);
	journal_free(a.journal);
	a.journal = next;
	recall_outcome(&p, t, NULL);
	assert_ptr_equal(answered, t);
	assert_int_equal(t->status.cause, STATUS_STILL_IN_FLIGHT);
	assert_null(strstr(t->status.message, "deadline"));
}

static void
test_a_question_waits_until_its_own_deadline(void **state)
{
	struct ticket *c = create(1000), *repeat = asks(METHOD_CREATE_TOKEN, 1000);
	struct ticket *outcome = asks(METHOD_GET_OUTCOME, 300);

	(void)state;
	recall_outcome(&p, outcome, NULL);
	recall_wait(&p, repeat, c);
	assert_int_equal(outcome->state, TICKET_WAITING);
	assert_int_equal(timers_next(p.timers), 300);
	assert_ptr_equal(timers_take(p.timers, 300), outcome);
	assert_int_equal(timers_next(p.timers), UINT64_MAX);       /* a repeat ends with its holder */
	c->stored = span_str("reply");
	c->code = 3;
	recall_told(&p, outcome, c);
	assert_ptr_equal(told, outcome);
	assert_true(span_is(outcome->stored, "reply"));
	assert_true(outcome->stored.data != c->stored.data);       /* the holder goes */
	assert_int_equal(outcome->code, 3);
	recall_told(&p, repeat, c);
	assert_ptr_equal(told, repeat);
}

/* ---- revocations ------------------------------------------------------------------------------------------------- */

static struct ticket *
revokes(int64_t deadline)
{
	struct ticket *t = asks(METHOD_REVOKE_TOKEN, deadline);

	revoke_asked(&p, t, NULL);
	return t;
}

static void
test_one_at_a_time_and_the_oldest_is_next(void **state)
{
	struct ticket *c = create(soon()), *first, *second, *third;

	(void)state;
	first = revokes(soon());
	second = revokes(soon());
	third = revokes(soon());
	assert_ptr_equal(first->waits_for, c);
	assert_ptr_equal(second->waits_for, first);
	assert_ptr_equal(third->waits_for, first);
	pipeline_unwait(&p, first);
	recall_late(&p, first);
	assert_ptr_equal(answered, first);
	assert_int_equal(first->status.cause, STATUS_STILL_IN_FLIGHT);
	assert_false(first->holder);
	assert_null(first->waiters);
	assert_true(second->holder);
	assert_ptr_equal(second->waits_for, c);
	assert_ptr_equal(third->waits_for, second);
}

static void
test_a_token_that_was_told_is_deleted(void **state)
{
	struct ticket *c = create(soon()), *t = revokes(soon());

	(void)state;
	backlog_count(c);
	c->token_id = "token";
	c->status = (struct status){ .message = "created" };
	recall_told(&p, t, c);
	assert_ptr_equal(in_line, t);
	assert_string_equal(t->token_id, "token");
	assert_true(t->token_id != c->token_id);
	assert_int_equal(t->request.cluster, 0);
	assert_int_equal(a.of_cluster[0].tickets, 2);
}

/* It would be queued for a cluster, and the partition waits for nothing new. */
static void
test_not_in_a_drain(void **state)
{
	struct ticket *c = create(soon()), *t = revokes(soon());

	(void)state;
	a.state = ASSIGNMENT_DRAINING;
	c->token_id = "token";
	recall_told(&p, t, c);
	assert_ptr_equal(dropped, t);
	assert_null(in_line);
	assert_null(answered);
}

static void
test_what_brought_no_token_is_not_deleted(void **state)
{
	struct ticket *c = create(soon()), *t = revokes(soon());

	(void)state;
	c->status = (struct status){ .cause = STATUS_POLICY_DENIED, .message = "no grant" };
	recall_told(&p, t, c);
	assert_ptr_equal(answered, t);
	assert_int_equal(t->status.cause, STATUS_NO_OUTCOME);
	assert_non_null(strstr(t->status.message, "no grant"));
}

static void
test_its_time_is_over_when_the_token_is_found(void **state)
{
	struct ticket *c = create(soon()), *t = revokes(pipeline_now() - 1);

	(void)state;
	c->token_id = "token";
	recall_told(&p, t, c);
	assert_ptr_equal(answered, t);
	assert_int_equal(t->status.cause, STATUS_STILL_IN_FLIGHT);
	assert_null(in_line);
}

/* One name, and another cluster behind it: a DELETE there would find nothing. */
static void
test_a_name_that_means_another_cluster(void **state)
{
	struct ticket *c = create(soon()), *t = revokes(soon());

	(void)state;
	c->token_id = "token";
	c->attempts.current.cluster_digest[31] = 1;
	recall_told(&p, t, c);
	assert_ptr_equal(answered, t);
	assert_int_equal(t->status.cause, STATUS_TARGET_GONE);
	assert_null(in_line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_cannot_be_read_yet_is_asked_for_again),
		TEST(test_what_the_topic_keeps_no_longer),
		TEST(test_what_an_earlier_life_began),
		TEST(test_a_question_waits_until_its_own_deadline),
		TEST(test_one_at_a_time_and_the_oldest_is_next),
		TEST(test_a_token_that_was_told_is_deleted),
		TEST(test_not_in_a_drain),
		TEST(test_what_brought_no_token_is_not_deleted),
		TEST(test_its_time_is_over_when_the_token_is_found),
		TEST(test_a_name_that_means_another_cluster),
	};

	return cmocka_run_group_tests_name("recall", tests, NULL, NULL);
}
