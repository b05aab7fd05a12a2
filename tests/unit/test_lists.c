/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a ticket is answered once, by a list that was begun after it asked; whoever leaves is not answered any more;
 * the breaker's list and the tickets' are one when they may be, and a cluster has one list under way at most. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/lists.h"
#include "service/ticket.h"
#include "workers/pool.h"

#define CLUSTERS 2

static char service_id[] = "svc";
static const struct config config = { .n_clusters = CLUSTERS, .service_id = service_id };
static struct assignment assignment;
static struct lists *lists;

/* ---- a pool that calls nobody ----------------------------------------------------------------------------- */

static struct job *under_way[CLUSTERS];
static unsigned begun, returned;

void
pool_submit(struct pool *p, struct job *chain)
{
	(void)p;
	assert_null(chain->mail.next);
	assert_int_equal(chain->verb, JOB_LIST);
	assert_null(chain->owner);
	assert_null(under_way[chain->cluster]);
	under_way[chain->cluster] = chain;
	begun++;
}

void
pool_return(struct pool *p, struct job *job)
{
	(void)p;
	(void)job;
	returned++;
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

static int
setup(void **state)
{
	(void)state;
	memset(under_way, 0, sizeof under_way);
	begun = 0;
	lists = lists_new(&config, NULL);
	return 0;
}

/* All are given back to the pool, whose memory what they hold is. */
static int
teardown(void **state)
{
	(void)state;
	returned = 0;
	lists_free(lists);
	while (assignment.tickets != NULL)
		ticket_free(assignment.tickets);
	return returned != CLUSTERS;
}

/* A ticket whose last answer was v. */
static struct ticket *
asks(int cluster, enum verdict v, char *description)
{
	struct ticket *t = ticket_new(&assignment);

	t->request.cluster = cluster;
	t->last_verdict = v;
	t->job.description = description;
	lists_wait(lists, t);
	return t;
}

static char plain[] = "for the dashboard [tokend/1:svc:telemetry:3:plain]";
static char first[] = "[looks] odd [tokend/1:svc:telemetry:3:first]";
static char second[] = "second [tokend/1:svc:telemetry:3:second]";

static struct job *
flushed(int cluster)
{
	lists_flush(lists, clock_boot_ms());
	return under_way[cluster];
}

/* The list is back. */
static enum lists_for
came_back(struct job *list)
{
	under_way[list->cluster] = NULL;
	return lists_returned(lists, list);
}

static unsigned
count_served(struct job *list)
{
	unsigned n = 0;

	while (lists_served(lists, list) != NULL)
		n++;
	return n;
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void
test_nobody_asks(void **state)
{
	(void)state;
	assert_null(flushed(0));
	assert_int_equal(begun, 0);
}

static void
test_all_that_ask_about_a_404_are_served_by_one(void **state)
{
	struct job *list;
	uint64_t before = clock_boot_ms();

	(void)state;
	for (int i = 0; i < 3; i++)
		asks(1, VERDICT_NOT_FOUND, plain);
	list = flushed(1);
	assert_int_equal(begun, 1);
	assert_int_equal(list->cluster, 1);
	assert_null(list->looked_for);
	assert_in_range(list->not_after_boot_ms, before + duration_ms(DURATION_LIST),
	    clock_boot_ms() + duration_ms(DURATION_LIST));
	assert_int_equal(came_back(list), LISTS_TICKETS);
	assert_int_equal(count_served(list), 3);
	assert_null(flushed(1));
}

static void
test_what_was_read_before_proves_nothing(void **state)
{
	struct ticket *early = asks(0, VERDICT_NOT_FOUND, plain), *late;
	struct job *list = flushed(0);

	(void)state;
	late = asks(0, VERDICT_NOT_FOUND, plain);
	lists_flush(lists, clock_boot_ms());
	assert_int_equal(begun, 1);
	(void)came_back(list);
	assert_ptr_equal(lists_served(lists, list), early);
	assert_null(lists_served(lists, list));
	list = flushed(0);
	assert_int_equal(begun, 2);
	(void)came_back(list);
	assert_ptr_equal(lists_served(lists, list), late);
	assert_null(lists_served(lists, list));
}

/* Whoever's marker is looked for: those of all of this service's tokens, of the last days, are kept for everybody. */
static void
test_one_list_holds_all_markers(void **state)
{
	struct ticket *asking[3] = { asks(0, VERDICT_CONFLICT, first), asks(0, VERDICT_NOT_FOUND, plain),
	    asks(0, VERDICT_CONFLICT, second) };
	struct job *list = flushed(0);
	int64_t week_s = (int64_t)(duration_ms(DURATION_WINDOW) / 1000), now = clock_wall_ms() / 1000;

	(void)state;
	assert_string_equal(list->looked_for, "[tokend/1:svc:");
	assert_in_range(list->created_from, now - week_s - 130, now - week_s - 110);
	assert_int_equal(came_back(list), LISTS_TICKETS);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(lists_served(lists, list), asking[i]);
	assert_null(flushed(0));
}

/* The worker reads the text until the list is back, whatever became of the ticket. */
static void
test_what_is_looked_for_outlives_its_ticket(void **state)
{
	char *description = strdup(first);
	struct ticket *t = asks(0, VERDICT_CONFLICT, description);
	struct job *list = flushed(0);

	(void)state;
	lists_withdraw(lists, t);
	ticket_free(t);
	free(description);
	assert_string_equal(list->looked_for, "[tokend/1:svc:");
	(void)came_back(list);
	assert_null(lists_served(lists, list));
}

static void
test_who_leaves_is_not_served(void **state)
{
	struct ticket *t[3], *waits;
	struct job *list;

	(void)state;
	for (int i = 0; i < 3; i++)
		t[i] = asks(0, VERDICT_NOT_FOUND, plain);
	list = flushed(0);
	waits = asks(0, VERDICT_NOT_FOUND, plain);
	lists_withdraw(lists, t[1]);
	lists_withdraw(lists, waits);
	(void)came_back(list);
	for (int n = 0; n < 2; n++) {
		struct ticket *served = lists_served(lists, list);

		assert_true(served == t[0] || served == t[2]);
		assert_null(served->line_next);
	}
	assert_null(lists_served(lists, list));
	assert_null(flushed(0));        /* nobody waits for another */
}

static void
test_the_breakers_list_serves_tickets_too(void **state)
{
	struct ticket *t = asks(0, VERDICT_NOT_FOUND, plain);
	struct job *list;

	(void)state;
	lists_probe(lists, 0);
	list = flushed(0);
	assert_int_equal(came_back(list), LISTS_BREAKER);
	assert_ptr_equal(lists_served(lists, list), t);
	assert_null(lists_served(lists, list));
	assert_null(flushed(0));
}

static void
test_the_breaker_waits_for_a_list_of_its_own(void **state)
{
	struct job *list;

	(void)state;
	asks(0, VERDICT_NOT_FOUND, plain);
	list = flushed(0);
	lists_probe(lists, 0);
	lists_flush(lists, clock_boot_ms());
	assert_int_equal(begun, 1);
	assert_int_equal(came_back(list), LISTS_TICKETS);
	assert_int_equal(count_served(list), 1);
	list = flushed(0);
	assert_int_equal(begun, 2);
	assert_int_equal(came_back(list), LISTS_BREAKER);
	assert_int_equal(count_served(list), 0);
	assert_null(flushed(0));
}

static void
test_clusters_do_not_wait_for_one_another(void **state)
{
	struct ticket *t = asks(1, VERDICT_CONFLICT, first);

	(void)state;
	lists_probe(lists, 0);
	lists_flush(lists, clock_boot_ms());
	assert_int_equal(begun, CLUSTERS);
	assert_null(under_way[0]->looked_for);
	assert_int_equal(came_back(under_way[0]), LISTS_BREAKER);
	lists_withdraw(lists, t);
	assert_int_equal(came_back(under_way[1]), LISTS_TICKETS);
}

/* While the API asks for patience, or the breaker is open, only the breaker's own list begins. */
static void
test_tickets_wait_while_lists_are_held(void **state)
{
	struct ticket *t = asks(0, VERDICT_NOT_FOUND, plain);
	struct job *list;

	(void)state;
	assert_true(lists_wanted(lists, 0, 0));
	lists_hold(lists, 0, 5000);
	assert_int_equal(lists_flush(lists, 4999), 5000);
	assert_int_equal(begun, 0);
	lists_probe(lists, 0);
	(void)lists_flush(lists, 4999);
	assert_int_equal(begun, 1);
	assert_false(lists_wanted(lists, 0, UINT64_MAX));
	list = under_way[0];
	assert_int_equal(came_back(list), LISTS_BREAKER);
	assert_ptr_equal(lists_served(lists, list), t);
}

static void
test_a_list_that_took_long_is_not_begun_again_at_once(void **state)
{
	struct job *list;
	uint64_t now, next;

	(void)state;
	asks(0, VERDICT_NOT_FOUND, plain);
	list = flushed(0);
	list->took_us = 3000 * 1000;
	now = clock_boot_ms();
	(void)came_back(list);
	assert_int_equal(count_served(list), 1);
	asks(0, VERDICT_NOT_FOUND, plain);
	next = lists_flush(lists, now + 29000);
	assert_int_equal(begun, 1);
	assert_in_range(next, now + 30000, now + 31000);
	(void)lists_flush(lists, next);
	assert_int_equal(begun, 2);
	under_way[0]->took_us = (uint64_t)3600 * 1000 * 1000;
	(void)came_back(under_way[0]);
	asks(0, VERDICT_NOT_FOUND, plain);
	assert_in_range(lists_flush(lists, now), now + duration_ms(DURATION_LIST),
	    clock_boot_ms() + duration_ms(DURATION_LIST));
}

/* The sweep's list is one more that asks, keeps what it may need, and rests five seconds or ten times as long as the
 * last one took, however long that was. */
static void
test_the_sweeps_list(void **state)
{
	struct job *list;
	uint64_t before, next;

	(void)state;
	lists_sweep(lists, 0);
	assert_true(lists_wanted(lists, 0, 0));
	list = flushed(0);
	assert_string_equal(list->looked_for, "[tokend/1:svc:");
	before = clock_boot_ms();
	assert_int_equal(came_back(list), LISTS_SWEEP);
	lists_sweep(lists, 0);
	assert_false(lists_wanted(lists, 0, before + 4999));
	next = lists_flush(lists, before + 4999);
	assert_int_equal(begun, 1);
	assert_in_range(next, before + 5000, clock_boot_ms() + 5000);
	(void)lists_flush(lists, next);
	assert_int_equal(begun, 2);
	under_way[0]->took_us = (uint64_t)50 * 1000 * 1000;
	before = clock_boot_ms();
	(void)came_back(under_way[0]);
	lists_sweep(lists, 0);
	assert_in_range(lists_flush(lists, before), before + 500000, clock_boot_ms() + 500000);
}

/* The sweep asks each turn until it has a list, and gets one: what is under way will tell it whether to ask again. */
static void
test_a_sweep_that_goes_on_asking_gets_one_list(void **state)
{
	(void)state;
	lists_sweep(lists, 0);
	(void)flushed(0);
	lists_sweep(lists, 0);
	assert_int_equal(lists_flush(lists, UINT64_MAX - 1), UINT64_MAX);
	assert_int_equal(came_back(under_way[0]), LISTS_SWEEP);
	assert_false(lists_wanted(lists, 0, UINT64_MAX));
	assert_int_equal(lists_flush(lists, UINT64_MAX - 1), UINT64_MAX);
	assert_int_equal(begun, 1);
}

/* But a list that keeps no markers is none of its. */
static void
test_the_sweep_waits_for_a_list_that_keeps_markers(void **state)
{
	struct job *list;

	(void)state;
	asks(0, VERDICT_NOT_FOUND, plain);
	list = flushed(0);
	assert_null(list->looked_for);
	lists_sweep(lists, 0);
	assert_int_equal(came_back(list), LISTS_TICKETS);
	assert_int_equal(count_served(list), 1);
	(void)lists_flush(lists, UINT64_MAX - 1);
	assert_int_equal(begun, 2);
	assert_string_equal(under_way[0]->looked_for, "[tokend/1:svc:");
	assert_int_equal(came_back(under_way[0]), LISTS_SWEEP);
}

/* A ticket does not wait until the sweep may look again, and the sweep has its list, too. */
static void
test_the_sweep_shares_a_tickets_list(void **state)
{
	struct ticket *t;
	struct job *list;

	(void)state;
	lists_sweep(lists, 0);
	assert_int_equal(came_back(flushed(0)), LISTS_SWEEP);
	lists_sweep(lists, 0);
	assert_null(flushed(0));
	t = asks(0, VERDICT_NOT_FOUND, plain);
	list = flushed(0);
	assert_string_equal(list->looked_for, "[tokend/1:svc:");
	assert_int_equal(came_back(list), LISTS_TICKETS);
	assert_ptr_equal(lists_served(lists, list), t);
	assert_int_equal(lists_flush(lists, UINT64_MAX - 1), UINT64_MAX);
	assert_int_equal(begun, 2);
}

/* An idle cluster whose breaker is open is tried for the sweep's sake, and swept with what the trial found. */
static void
test_the_sweep_shares_the_breakers_list(void **state)
{
	struct job *list;

	(void)state;
	lists_hold(lists, 0, UINT64_MAX);
	lists_sweep(lists, 0);
	assert_null(flushed(0));
	assert_true(lists_wanted(lists, 0, 0));
	lists_probe(lists, 0);
	list = flushed(0);
	assert_string_equal(list->looked_for, "[tokend/1:svc:");
	assert_int_equal(came_back(list), LISTS_BREAKER);
	lists_hold(lists, 0, 0);
	assert_int_equal(lists_flush(lists, UINT64_MAX - 1), UINT64_MAX);
	assert_int_equal(begun, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_asks),
		TEST(test_all_that_ask_about_a_404_are_served_by_one),
		TEST(test_what_was_read_before_proves_nothing),
		TEST(test_one_list_holds_all_markers),
		TEST(test_what_is_looked_for_outlives_its_ticket),
		TEST(test_who_leaves_is_not_served),
		TEST(test_the_breakers_list_serves_tickets_too),
		TEST(test_the_breaker_waits_for_a_list_of_its_own),
		TEST(test_tickets_wait_while_lists_are_held),
		TEST(test_a_list_that_took_long_is_not_begun_again_at_once),
		TEST(test_the_sweeps_list),
		TEST(test_a_sweep_that_goes_on_asking_gets_one_list),
		TEST(test_the_sweep_waits_for_a_list_that_keeps_markers),
		TEST(test_the_sweep_shares_a_tickets_list),
		TEST(test_the_sweep_shares_the_breakers_list),
		TEST(test_clusters_do_not_wait_for_one_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
