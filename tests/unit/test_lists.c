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

static const struct config config = { .n_clusters = CLUSTERS };
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
static bool
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
	assert_false(came_back(list));
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

static void
test_one_marker_a_list(void **state)
{
	struct ticket *conflicts[2] = { asks(0, VERDICT_CONFLICT, first), asks(0, VERDICT_CONFLICT, second) };
	struct ticket *other = asks(0, VERDICT_NOT_FOUND, plain), *t;
	bool seen[2] = { false, false };
	unsigned others = 0;

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct job *list = flushed(0);
		int which = strcmp(list->looked_for, "[tokend/1:svc:telemetry:3:second]") == 0;

		assert_string_equal(list->looked_for, which ? strrchr(second, '[') : strrchr(first, '['));
		(void)came_back(list);
		while ((t = lists_served(lists, list)) != NULL) {
			others += t == other;
			assert_ptr_equal(t, t == other ? other : conflicts[which]);
			seen[which] |= t == conflicts[which];
		}
	}
	assert_true(seen[0] && seen[1]);
	assert_int_equal(others, 1);
	assert_null(flushed(0));
}

/* The worker reads the text until the list is back, whatever became of the ticket. */
static void
test_the_marker_outlives_its_ticket(void **state)
{
	char *description = strdup(first);
	struct ticket *t = asks(0, VERDICT_CONFLICT, description);
	struct job *list = flushed(0);

	(void)state;
	lists_withdraw(lists, t);
	ticket_free(t);
	free(description);
	assert_string_equal(list->looked_for, "[tokend/1:svc:telemetry:3:first]");
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
	assert_true(came_back(list));
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
	assert_false(came_back(list));
	assert_int_equal(count_served(list), 1);
	list = flushed(0);
	assert_int_equal(begun, 2);
	assert_true(came_back(list));
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
	assert_true(came_back(under_way[0]));
	lists_withdraw(lists, t);
	assert_false(came_back(under_way[1]));
}

/* While the API asks for patience, or the breaker is open, only the breaker's own list begins. */
static void
test_tickets_wait_while_lists_are_held(void **state)
{
	struct ticket *t = asks(0, VERDICT_NOT_FOUND, plain);
	struct job *list;

	(void)state;
	assert_true(lists_wanted(lists, 0));
	lists_hold(lists, 0, 5000);
	assert_int_equal(lists_flush(lists, 4999), 5000);
	assert_int_equal(begun, 0);
	lists_probe(lists, 0);
	(void)lists_flush(lists, 4999);
	assert_int_equal(begun, 1);
	assert_false(lists_wanted(lists, 0));
	list = under_way[0];
	assert_true(came_back(list));
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

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_asks),
		TEST(test_all_that_ask_about_a_404_are_served_by_one),
		TEST(test_what_was_read_before_proves_nothing),
		TEST(test_one_marker_a_list),
		TEST(test_the_marker_outlives_its_ticket),
		TEST(test_who_leaves_is_not_served),
		TEST(test_the_breakers_list_serves_tickets_too),
		TEST(test_the_breaker_waits_for_a_list_of_its_own),
		TEST(test_tickets_wait_while_lists_are_held),
		TEST(test_a_list_that_took_long_is_not_begun_again_at_once),
		TEST(test_clusters_do_not_wait_for_one_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
