/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a cluster that has let nothing through for a while keeps half of a partition's tickets, and the newest beyond
 * are answered; a cluster that answers, or was only just left alone, keeps all of them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/dispatch.h"
#include "service/pipeline_private.h"
#include "service/timers.h"
#include "workers/pool.h"

#define PENDING 10
#define HALF (PENDING / 2)
#define BREAKS_AT 1000000
#define LATER (BREAKS_AT + duration_ms(DURATION_BACKLOG) + 1)

enum { DEAD, ALIVE, CLUSTERS };

static struct cluster clusters[CLUSTERS] = {
	[DEAD] = { .name = "dead", .max_concurrency = 8 }, [ALIVE] = { .name = "alive", .max_concurrency = 8 },
};
static const struct config config = { .clusters = clusters, .n_clusters = CLUSTERS, .max_pending = PENDING };
static struct pipeline p;
static struct assignment assignments[2];

/* ---- the rooms behind ------------------------------------------------------------------------------------- */

static unsigned answered;
static struct ticket *last_answered;

void
answer_status(struct pipeline *of, struct ticket *t)
{
	assert_ptr_equal(of, &p);
	assert_int_equal(t->status.cause, t->request.method == METHOD_REVOKE_TOKEN ? STATUS_STILL_IN_FLIGHT :
	    STATUS_UPSTREAM_BACKLOG);
	assert_int_equal(t->timer, -1);
	assert_false(t->counted);
	ticket_move(t, TICKET_ANSWERING);
	answered++;
	last_answered = t;
}

void
pipeline_unwait(struct pipeline *of, struct ticket *t)
{
	timers_clear(of->timers, t);
	if (t->state == TICKET_QUEUED)
		dispatch_withdraw(of->dispatch, t);
}

void
pool_submit(struct pool *pool, struct job *chain)
{
	(void)pool;
	(void)chain;
	fail();
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

static struct ticket *
waits(struct assignment *a, int cluster, enum ticket_state state)
{
	struct ticket *t = ticket_new(a);

	t->request.cluster = cluster;
	t->counted_bytes = 1;
	p.tickets_bytes += t->counted_bytes;
	backlog_count(t);
	t->state = state;
	if (state == TICKET_QUEUED)
		dispatch_queue(p.dispatch, t);
	if (state == TICKET_QUEUED || state == TICKET_BACKOFF)
		timers_set(p.timers, t, LATER + 1000);
	return t;
}

/* Calls of the dead cluster fail until its breaker is open. */
static void
break_it(void)
{
	struct assignment elsewhere = { .of_cluster = (struct share[CLUSTERS]){ { 0, 0 } } };
	uint64_t retry;

	while (!dispatch_stalled(p.dispatch, DEAD, LATER)) {
		struct ticket *t = ticket_new(&elsewhere);

		t->request.cluster = DEAD;
		dispatch_queue(p.dispatch, t);
		assert_ptr_equal(dispatch_next(p.dispatch, BREAKS_AT, &retry), t);
		t->job = (struct job){ .verb = JOB_CREATE, .cluster = DEAD, .verdict = VERDICT_NOT_SENT };
		dispatch_returned(p.dispatch, t, BREAKS_AT);
		ticket_free(t);
	}
}

static int
setup(void **state)
{
	(void)state;
	p = (struct pipeline){ .o.config = &config, .dispatch = dispatch_new(&config, NULL), .timers = timers_new() };
	for (int i = 0; i < 2; i++)
		assignments[i] = (struct assignment){ .next = i == 0 ? &assignments[1] : NULL, .state = ASSIGNMENT_OPEN,
		    .of_cluster = calloc(CLUSTERS, sizeof(struct share)) };
	p.assignments = &assignments[0];
	answered = 0;
	break_it();
	return 0;
}

/* Every ticket is taken back from its cluster's count once. */
static int
teardown(void **state)
{
	int left = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct assignment *a = &assignments[i];

		while (a->tickets != NULL) {
			timers_clear(p.timers, a->tickets);
			backlog_forget(a->tickets);
			ticket_free(a->tickets);
		}
		for (int c = 0; c < CLUSTERS; c++)
			left += a->of_cluster[c].tickets != 0 || a->of_cluster[c].bytes != 0;
		free(a->of_cluster);
	}
	timers_free(p.timers);
	dispatch_free(p.dispatch);
	return left;
}

static void
waiting(struct assignment *a, int cluster, int n)
{
	while (n-- > 0)
		waits(a, cluster, TICKET_QUEUED);
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void
test_beyond_half_the_newest_go(void **state)
{
	struct ticket *oldest = waits(&assignments[0], DEAD, TICKET_BACKOFF), *kept;

	(void)state;
	waiting(&assignments[0], DEAD, HALF - 2);
	kept = waits(&assignments[0], DEAD, TICKET_QUEUED);
	waiting(&assignments[0], DEAD, 1);
	waits(&assignments[0], DEAD, TICKET_BACKOFF);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 2);
	assert_int_equal(assignments[0].of_cluster[DEAD].tickets, HALF);
	assert_int_equal(oldest->state, TICKET_BACKOFF);
	assert_int_equal(kept->state, TICKET_QUEUED);
	assert_non_null(strstr(last_answered->status.message, "cluster dead lets nothing through"));
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 2);
}

static void
test_half_is_kept(void **state)
{
	(void)state;
	waiting(&assignments[0], DEAD, HALF);
	waiting(&assignments[1], DEAD, HALF);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 0);
}

static void
test_who_answers_keeps_all(void **state)
{
	(void)state;
	waiting(&assignments[0], ALIVE, PENDING);
	waiting(&assignments[1], DEAD, 1);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 0);
}

static void
test_an_outage_that_just_began(void **state)
{
	(void)state;
	waiting(&assignments[0], DEAD, PENDING);
	backlog_shed(&p, BREAKS_AT);
	backlog_shed(&p, LATER - 1);
	assert_int_equal(answered, 0);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, PENDING - HALF);
}

/* Tickets that somebody else has in his hands count, and are left alone. */
static void
test_only_what_waits_is_answered(void **state)
{
	static const enum ticket_state busy[] = { TICKET_INTENT, TICKET_CALLING, TICKET_LOOKING, TICKET_ANSWERING };
	enum { BUSY = sizeof busy / sizeof busy[0] };
	struct ticket *waits_first = waits(&assignments[0], DEAD, TICKET_QUEUED), *theirs[BUSY];

	(void)state;
	waiting(&assignments[0], DEAD, HALF - BUSY);
	for (int i = 0; i < BUSY; i++)
		theirs[i] = waits(&assignments[0], DEAD, busy[i]);
	waiting(&assignments[0], ALIVE, 2);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 1);
	assert_int_equal(waits_first->state, TICKET_QUEUED);
	for (int i = 0; i < BUSY; i++)
		assert_int_equal(theirs[i]->state, busy[i]);
	assert_int_equal(assignments[0].of_cluster[ALIVE].tickets, 2);
}

/* What is asked back is handed over; its successor decides. */
static void
test_a_partition_that_is_asked_back_is_left_alone(void **state)
{
	(void)state;
	waiting(&assignments[0], DEAD, PENDING);
	assignments[0].state = ASSIGNMENT_DRAINING;
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 0);
}

/* RevokeTokens hold tickets as others do: too many of them are told so, of their records alone. */
static void
test_revocations_are_shed_too(void **state)
{
	(void)state;
	for (int i = 0; i < PENDING; i++)
		waits(&assignments[0], DEAD, TICKET_QUEUED)->request.method = METHOD_REVOKE_TOKEN;
	backlog_shed(&p, LATER);
	assert_int_equal(answered, PENDING - HALF);
	assert_int_equal(assignments[0].of_cluster[DEAD].tickets, HALF);
}

/* A cluster that is shut makes no more tokens, and deletes those it made: a DELETE passes by the POSTs that wait. */
static void
test_a_shut_cluster_deletes(void **state)
{
	struct ticket *first = waits(&assignments[0], ALIVE, TICKET_QUEUED), *revoke, *last;
	uint64_t retry;

	(void)state;
	revoke = waits(&assignments[0], ALIVE, TICKET_QUEUED);
	revoke->request.method = METHOD_REVOKE_TOKEN;
	last = waits(&assignments[0], ALIVE, TICKET_QUEUED);
	dispatch_shut(p.dispatch, ALIVE);
	assert_ptr_equal(dispatch_next(p.dispatch, LATER, &retry), revoke);
	assert_null(dispatch_next(p.dispatch, LATER, &retry));
	assert_ptr_equal(first->line_next, last);
}

/* And its breaker is tried for a DELETE, which nobody else would get it closed for. */
static void
test_a_shut_cluster_is_tried_for_a_delete(void **state)
{
	(void)state;
	dispatch_shut(p.dispatch, DEAD);
	waits(&assignments[0], DEAD, TICKET_QUEUED);
	assert_false(dispatch_probe(p.dispatch, DEAD, false, LATER + 1000000));
	waits(&assignments[0], DEAD, TICKET_QUEUED)->request.method = METHOD_REVOKE_TOKEN;
	assert_true(dispatch_probe(p.dispatch, DEAD, false, LATER + 1000000));
}

/* And for its sweeps: what it made is still looked for. */
static void
test_a_shut_cluster_is_tried_for_a_list(void **state)
{
	(void)state;
	dispatch_shut(p.dispatch, DEAD);
	waits(&assignments[0], DEAD, TICKET_QUEUED);
	assert_false(dispatch_probe(p.dispatch, DEAD, false, LATER));
	assert_true(dispatch_probe(p.dispatch, DEAD, true, LATER));
}

/* What was answered is not in the line any more. */
static void
test_who_is_answered_gets_no_permit(void **state)
{
	unsigned in_line = 0;

	(void)state;
	dispatch_shut(p.dispatch, ALIVE);
	waiting(&assignments[0], ALIVE, PENDING);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, PENDING - HALF);
	for (struct ticket *t = assignments[0].tickets; t != NULL; t = t->next)
		if (t->state == TICKET_QUEUED) {
			in_line++;
			assert_true(t->line_next == NULL || t->line_next->state == TICKET_QUEUED);
		}
	assert_int_equal(in_line, HALF);
}

/* Within the turn that opens the breaker the clock may have gone on by a millisecond. */
static void
test_the_turn_in_which_the_breaker_opens(void **state)
{
	(void)state;
	waiting(&assignments[0], DEAD, PENDING);
	backlog_shed(&p, BREAKS_AT - 1);
	assert_int_equal(answered, 0);
}

/* A breaker that opened while nobody waited, and stayed open, is no news of today. */
static void
test_a_burst_after_an_outage_is_not_shed_unheard(void **state)
{
	const struct job failed = { .verb = JOB_LIST, .cluster = DEAD, .verdict = VERDICT_AMBIGUOUS };

	(void)state;
	for (int i = 0; i < PENDING; i++) {
		struct ticket *t = ticket_new(&assignments[0]);

		t->request.cluster = DEAD;
		backlog_count(t);
		t->state = TICKET_QUEUED;
		dispatch_queue(p.dispatch, t);
		timers_set(p.timers, t, LATER + 2000000);
	}
	assert_true(dispatch_probe(p.dispatch, DEAD, false, LATER + 1000000));
	backlog_shed(&p, LATER + 1000000);
	assert_int_equal(answered, 0);
	dispatch_probed(p.dispatch, &failed, LATER + 1000000);
	backlog_shed(&p, LATER + 1000000 + duration_ms(DURATION_BACKLOG));
	assert_int_equal(answered, 0);
	backlog_shed(&p, LATER + 1000000 + duration_ms(DURATION_BACKLOG) + 1);
	assert_int_equal(answered, PENDING - HALF);
}

/* A sweep's list worked, and nobody POSTed since: the breaker is half open for hours, and holds nobody up. */
static void
test_a_burst_after_a_sweep_is_not_shed_unheard(void **state)
{
	const struct job listed = { .verb = JOB_LIST, .cluster = DEAD, .verdict = VERDICT_LISTED };
	const uint64_t burst = LATER + 3600000;
	struct ticket *t;
	uint64_t retry;

	(void)state;
	assert_true(dispatch_probe(p.dispatch, DEAD, true, LATER));
	dispatch_probed(p.dispatch, &listed, LATER);
	waiting(&assignments[0], DEAD, PENDING);
	assert_false(dispatch_probe(p.dispatch, DEAD, false, burst));
	backlog_shed(&p, burst);
	assert_int_equal(answered, 0);
	t = dispatch_next(p.dispatch, burst, &retry);
	timers_clear(p.timers, t);
	t->state = TICKET_CALLING;
	backlog_shed(&p, burst + duration_ms(DURATION_BACKLOG));
	assert_int_equal(answered, 0);
	backlog_shed(&p, burst + duration_ms(DURATION_BACKLOG) + 1);
	assert_int_equal(answered, PENDING - HALF);
}

static void
weighs(struct ticket *t, size_t bytes)
{
	backlog_forget(t);
	t->counted_bytes = bytes;
	backlog_count(t);
}

/* Large requests of a dead cluster are too much before they are too many; those of others are not its fault. */
static void
test_half_of_all_bytes(void **state)
{
	struct ticket *t[3];

	(void)state;
	weighs(waits(&assignments[0], ALIVE, TICKET_QUEUED), TICKETS_BYTES_MOST / 2);
	for (int i = 0; i < 3; i++)
		t[i] = waits(&assignments[i % 2], DEAD, TICKET_QUEUED);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 0);
	for (int i = 0; i < 3; i++)
		weighs(t[i], TICKETS_BYTES_MOST / 5);
	for (int turn = 0; turn < 10; turn++)      /* its commit takes a while, and nobody else is answered for it */
		backlog_shed(&p, LATER);
	assert_int_equal(answered, 1);
}

/* Repeats of one request can fill a partition, too; with it they are answered all. */
static void
test_repeats_count_with_what_they_wait_for(void **state)
{
	struct ticket *holder = waits(&assignments[0], DEAD, TICKET_QUEUED);

	(void)state;
	for (int i = 0; i < PENDING; i++) {
		struct ticket *w = ticket_new(&assignments[0]);

		w->request.cluster = -1;        /* a repeat's values are not looked at */
		w->state = TICKET_WAITING;
		w->waits_for = holder;
		w->line_next = holder->waiters;
		holder->waiters = w;
		backlog_count_waiter(w);
	}
	assert_int_equal(assignments[0].of_cluster[DEAD].tickets, 1 + PENDING);
	backlog_shed(&p, LATER);
	assert_int_equal(answered, 1);
	assert_ptr_equal(last_answered, holder);
	assert_int_equal(assignments[0].of_cluster[DEAD].tickets, 0);
	while (holder->waiters != NULL) {
		struct ticket *w = holder->waiters;

		holder->waiters = w->line_next;
		ticket_free(w);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_beyond_half_the_newest_go),
		TEST(test_half_is_kept),
		TEST(test_who_answers_keeps_all),
		TEST(test_an_outage_that_just_began),
		TEST(test_only_what_waits_is_answered),
		TEST(test_a_partition_that_is_asked_back_is_left_alone),
		TEST(test_the_turn_in_which_the_breaker_opens),
		TEST(test_a_burst_after_an_outage_is_not_shed_unheard),
		TEST(test_a_burst_after_a_sweep_is_not_shed_unheard),
		TEST(test_half_of_all_bytes),
		TEST(test_repeats_count_with_what_they_wait_for),
		TEST(test_revocations_are_shed_too),
		TEST(test_a_shut_cluster_deletes),
		TEST(test_a_shut_cluster_is_tried_for_a_delete),
		TEST(test_a_shut_cluster_is_tried_for_a_list),
		TEST(test_who_is_answered_gets_no_permit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
