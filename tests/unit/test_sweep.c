/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every token of a list is looked at once, whoever shares its marker is known to, and what may be deleted is, a
 * few at a time; nothing is forgotten when a list or a DELETE fails. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/sweep.h"
#include "workers/pool.h"

static char prod[] = "prod", edge[] = "edge";
static struct cluster clusters[] = { { .name = prod }, { .name = edge } };
static const struct config config = { .n_clusters = 2, .clusters = clusters, .sweep_interval_ms = 900000 };
static struct sweep *sweep;

/* ---- a pool that calls nobody ------------------------------------------------------------------------------------ */

static struct job *submitted[16];
static unsigned n_submitted;

void
pool_submit(struct pool *p, struct job *chain)
{
	(void)p;
	assert_null(chain->mail.next);
	assert_null(chain->owner);
	assert_int_equal(chain->verb, JOB_DELETE);
	submitted[n_submitted++] = chain;
}

void
pool_return(struct pool *p, struct job *job)
{
	(void)p;
	free(job->listed);
	job->listed = NULL;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static int
setup(void **state)
{
	(void)state;
	n_submitted = 0;
	sweep = sweep_new(&config, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sweep_free(sweep);
	return 0;
}

/* A list comes back with tokens of these markers, whose ids are their places in it. */
static struct job
list_of(size_t n, const char *const markers[])
{
	struct job list = { .verb = JOB_LIST, .cluster = 1, .looked_for = "[tokend/1:svc:", .verdict = VERDICT_LISTED,
	    .n_listed = n, .n_tokens = n + 10, .skew_ms = -7 };

	list.listed = n > 0 ? calloc(n, sizeof *list.listed) : NULL;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(list.listed[i].token_id, sizeof list.listed[i].token_id, "%zu", i);
		list.listed[i].marker = markers[i];
	}
	return list;
}

static void
comes_back(struct job list)
{
	sweep_listed(sweep, &list);
	pool_return(NULL, &list);
}

static uint64_t
metric(const char *line)
{
	size_t bytes;
	char *text = metrics_text(&bytes), *at = strstr(text, line);
	uint64_t value = at != NULL ? strtoull(at + strlen(line), NULL, 10) : UINT64_MAX;

	free(text);
	return value;
}

static void
came_to(struct job *job, enum verdict v)
{
	job->verdict = v;
	sweep_deleted(sweep, job);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void
test_each_token_once_and_whether_it_is_alone(void **state)
{
	static const char *const markers[] = { "a", "b", "b", "c", "d", "d", "d" };
	static const bool alone[] = { true, false, false, true, false, false, false };
	struct sweep_token t;

	(void)state;
	assert_false(sweep_token(sweep, 1, &t));
	comes_back(list_of(7, markers));
	assert_false(sweep_token(sweep, 0, &t));
	for (size_t i = 0; i < 7; i++) {
		assert_true(sweep_token(sweep, 1, &t));
		assert_string_equal(t.listed->marker, markers[i]);
		assert_int_equal(atoi(t.listed->token_id), i);
		assert_int_equal(t.alone, alone[i]);
		assert_int_equal(t.skew_ms, -7);
		sweep_judged(sweep, 1, i % 2 ? EVIDENCE_UNKNOWN : EVIDENCE_DELIVERED);
	}
	assert_false(sweep_token(sweep, 1, &t));
	assert_int_equal(n_submitted, 0);
	assert_int_equal(metric("tokend_tokens_kept{cluster=\"edge\",reason=\"unknown\"} "), 3);
	assert_int_equal(metric("tokend_tokens_kept{cluster=\"edge\",reason=\"delivered\"} "), 4);
	comes_back(list_of(0, NULL));           /* an empty list is one, too */
	assert_int_equal(metric("tokend_tokens_kept{cluster=\"edge\",reason=\"unknown\"} "), 0);
}

static void
test_a_question_holds_the_others_up(void **state)
{
	static const char *const markers[] = { "a", "b" };
	struct sweep_token t;

	(void)state;
	comes_back(list_of(2, markers));
	sweep_ask(sweep, 1);
	assert_false(sweep_token(sweep, 1, &t));
	assert_string_equal(sweep_asked(sweep, 1).listed->marker, "a");
	sweep_judged(sweep, 1, EVIDENCE_UNREAD);
	assert_true(sweep_token(sweep, 1, &t));
	assert_string_equal(t.listed->marker, "b");
}

/* What was found is not piled up: tokens wait while DELETEs do. */
static void
test_deletes_are_few_at_a_time(void **state)
{
	static const char *const markers[] = { "a", "b", "c", "d", "e", "f" };
	struct sweep_token t;
	unsigned n = 0;
	uint64_t deleted;

	(void)state;
	comes_back(list_of(6, markers));
	deleted = metric("tokend_orphans_deleted_total{cluster=\"edge\",clause=\"closed\"} ");
	for (; sweep_token(sweep, 1, &t); n++) {
		sweep_judged(sweep, 1, EVIDENCE_CLOSED);
		assert_true(sweep_deletes(sweep, 1));
		assert_false(sweep_token(sweep, 1, &t));
		sweep_flush(sweep, 1);
	}
	assert_int_equal(n, 5);                 /* four under way, one that waits */
	assert_int_equal(n_submitted, 4);
	assert_true(sweep_deletes(sweep, 1));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(atoi(submitted[i]->token_id), i);
	came_to(submitted[2], VERDICT_DELETED);
	came_to(submitted[1], VERDICT_AMBIGUOUS);
	assert_int_equal(metric("tokend_orphans_deleted_total{cluster=\"edge\",clause=\"closed\"} "), deleted + 1);
	sweep_flush(sweep, 1);
	assert_int_equal(n_submitted, 5);
	assert_int_equal(atoi(submitted[4]->token_id), 4);
	assert_true(sweep_token(sweep, 1, &t));
	assert_string_equal(t.listed->marker, "f");
	came_to(submitted[0], VERDICT_DELETED);
	came_to(submitted[4], VERDICT_DELETED);
	came_to(submitted[3], VERDICT_DELETED);
}

/* Its ticket, and the list that held another, may be gone long before the DELETE is. */
static void
test_a_late_strings_token_is_deleted(void **state)
{
	char id[] = "an-id", marker[] = "[tokend/1:svc:x]";

	(void)state;
	sweep_delete(sweep, 0, id, marker, EVIDENCE_STRING);
	memset(id, '\0', sizeof id);
	memset(marker, '\0', sizeof marker);
	sweep_flush(sweep, 1);
	assert_int_equal(n_submitted, 0);
	sweep_flush(sweep, 0);
	assert_int_equal(n_submitted, 1);
	assert_string_equal(submitted[0]->token_id, "an-id");
	assert_int_equal(submitted[0]->cluster, 0);
	assert_in_range(submitted[0]->not_after_boot_ms, clock_boot_ms(), clock_boot_ms() + duration_ms(DURATION_CALL));
	came_to(submitted[0], VERDICT_DELETED);
	assert_false(sweep_deletes(sweep, 0));
	sweep_delete(sweep, 0, "b", "", EVIDENCE_STRING);      /* one that waits, and one that is */
	sweep_flush(sweep, 0);                                  /* under way, at the end of the process */
	sweep_delete(sweep, 0, "c", "", EVIDENCE_STRING);
}

static void
test_lists_are_wanted_until_one_is_back(void **state)
{
	static const char *const markers[] = { "a" }, *const others[] = { "b" };
	struct sweep_token t;
	uint64_t now = clock_boot_ms(), slot = duration_ms(DURATION_SWEEP_SLOT);
	struct job failed = list_of(0, NULL), tried = list_of(0, NULL);

	(void)state;
	assert_true(sweep_wants(sweep, 1, now) == UINT64_MAX);
	sweep_after(sweep, 1, clock_wall_ms(), true);
	assert_true(sweep_wants(sweep, 0, now) == UINT64_MAX);
	now = clock_boot_ms() + slot;
	assert_int_equal(sweep_wants(sweep, 1, now), now);
	/* A list that was only tried tells nothing. */
	tried.looked_for = NULL;
	comes_back(tried);
	assert_int_equal(sweep_wants(sweep, 1, now), now);
	/* One that failed is wanted again, but not at once. */
	sweep_soon(sweep, 0);
	failed.cluster = 0;
	failed.verdict = VERDICT_AMBIGUOUS;
	comes_back(failed);
	now = clock_boot_ms();
	assert_in_range(sweep_wants(sweep, 0, now), now + 5 * slot, now + 7 * slot);
	/* While one is being gone through, none is wanted, and another one's tokens are not taken. */
	comes_back(list_of(1, markers));
	assert_true(sweep_wants(sweep, 1, now + 10 * slot) == UINT64_MAX);
	comes_back(list_of(1, others));
	assert_true(sweep_token(sweep, 1, &t));
	assert_string_equal(t.listed->marker, "a");
	sweep_judged(sweep, 1, EVIDENCE_DELIVERED);
	assert_true(sweep_wants(sweep, 1, now + 61 * slot) <= now + 61 * slot);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_token_once_and_whether_it_is_alone),
		TEST(test_a_question_holds_the_others_up),
		TEST(test_deletes_are_few_at_a_time),
		TEST(test_a_late_strings_token_is_deleted),
		TEST(test_lists_are_wanted_until_one_is_back),
	};

	log_setup(LOG_JSON, LOG_ERROR_);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
