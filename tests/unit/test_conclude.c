/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each verdict leads where the protocol says, attempts that may have left are closed with the right
 * fate, and the cap on unknown ones holds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/text.h"
#include "service/conclude.h"
#include "service/ticket.h"
#include "tokend/v1/token.pb-c.h"

static struct assignment assignment;

static struct ticket *
fresh(void)
{
	struct ticket *t = ticket_new(&assignment);

	t->record.key = span_str("r-1");
	t->request.request_id = "r-1";
	t->request.deadline = 4000000000;
	return t;
}

static enum conclude_step
outcome(struct ticket *t, enum verdict v)
{
	uint64_t wait;

	t->attempts.open = true;
	t->attempts.current = (struct attempt){ .number = ++t->attempts.begun, .cluster = "main" };
	t->job.verdict = v;
	return conclude_outcome(t, 0, &wait);
}

static void
test_fates(void **state)
{
	static const struct {
		enum verdict v;
		enum conclude_step step;
		unsigned closed;
		enum fate fate;
		enum status_cause cause;
	} rows[] = {
		{ VERDICT_NOT_SENT, CONCLUDE_RETRY, 0, FATE_NOT_SENT, 0 },
		{ VERDICT_AMBIGUOUS, CONCLUDE_RETRY, 1, FATE_UNKNOWN, 0 },
		{ VERDICT_REDIRECTED, CONCLUDE_RETRY, 1, FATE_UNKNOWN, 0 },
		{ VERDICT_THROTTLED, CONCLUDE_RETRY, 1, FATE_REFUSED, 0 },
		{ VERDICT_CREDENTIAL, CONCLUDE_RETRY, 1, FATE_REFUSED, 0 },
		{ VERDICT_REJECTED, CONCLUDE_END, 1, FATE_REFUSED, STATUS_UPSTREAM_REJECTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ticket *t = fresh();

		assert_int_equal(outcome(t, rows[i].v), rows[i].step);
		assert_false(t->attempts.open);
		assert_int_equal(t->attempts.previous, rows[i].fate);
		assert_int_equal(t->attempts.n_closed, rows[i].closed);
		if (rows[i].closed)
			assert_int_equal(t->attempts.closed[0].fate, rows[i].fate);
		if (rows[i].step == CONCLUDE_END)
			assert_int_equal(t->status.cause, rows[i].cause);
		ticket_free(t);
	}
}

static void
test_created_stays_open(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	assert_int_equal(outcome(t, VERDICT_CREATED), CONCLUDE_DELIVER);
	assert_true(t->attempts.open);
	assert_int_equal(t->attempts.n_closed, 0);
	ticket_free(t);
}

static void
test_cap_counts_unknown_only(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(outcome(t, i % 2 ? VERDICT_THROTTLED : VERDICT_NOT_SENT), CONCLUDE_RETRY);
	for (int i = 0; i < ATTEMPTS_UNKNOWN_MOST - 1; i++)
		assert_int_equal(outcome(t, VERDICT_AMBIGUOUS), CONCLUDE_RETRY);
	assert_int_equal(outcome(t, VERDICT_AMBIGUOUS), CONCLUDE_END);
	assert_int_equal(t->status.cause, STATUS_UPSTREAM_AMBIGUOUS);
	assert_int_equal(attempts_unknown(&t->attempts), ATTEMPTS_UNKNOWN_MOST);
	ticket_free(t);
}

static void
test_closed_is_bounded(void **state)
{
	struct ticket *t = fresh();
	unsigned n = 0;

	(void)state;
	while (outcome(t, VERDICT_THROTTLED) == CONCLUDE_RETRY)
		n++;
	assert_int_equal(n, ATTEMPTS_CLOSED_MOST - 1);
	assert_int_equal(t->attempts.n_closed, ATTEMPTS_CLOSED_MOST);
	assert_int_equal(t->status.cause, STATUS_UPSTREAM_THROTTLED);
	assert_null(strstr(t->status.message, "deadline"));
	ticket_free(t);
}

#define MARKER "[tokend/1:svc:telemetry:3:uuid]"

/* The attempt's answer was v, and then a list came back; with_marker: it holds this. NULL: it holds nothing
 * of ours. */
static enum conclude_step
looked(struct ticket *t, enum verdict v, enum verdict of_list, const char *with_marker)
{
	/* ordered, as a list's are */
	struct job_listed found[] = { { .marker = "[tokend/1:svc:telemetry:3:a" }, { .marker = with_marker },
	    { .marker = "[tokend/1:svc:telemetry:3:z" } };
	struct job list = { .verb = JOB_LIST, .verdict = of_list, .looked_for = "[tokend/1:svc:",
	    .message = "503 Service Unavailable" };
	uint64_t wait;

	t->job.description = "a [text] " MARKER;
	if (with_marker != NULL) {
		list.listed = found;
		list.n_listed = 3;
	}
	assert_int_equal(outcome(t, v), CONCLUDE_LOOK);
	assert_true(t->attempts.open);
	(void)snprintf(t->job.message, sizeof t->job.message, "404 Not Found");
	return conclude_looked(t, &list, 0, &wait);
}

static void
test_not_found_is_believed_when_the_list_works(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	assert_int_equal(looked(t, VERDICT_NOT_FOUND, VERDICT_NOT_FOUND, NULL), CONCLUDE_RETRY);
	assert_string_equal(t->job.message, "404 Not Found; and the list of tokens: 503 Service Unavailable");
	assert_int_equal(looked(t, VERDICT_NOT_FOUND, VERDICT_AMBIGUOUS, NULL), CONCLUDE_RETRY);
	assert_int_equal(looked(t, VERDICT_NOT_FOUND, VERDICT_LISTED, NULL), CONCLUDE_END);
	assert_int_equal(t->status.cause, STATUS_TARGET_NOT_FOUND);
	assert_int_equal(t->attempts.n_closed, 3);
	assert_int_equal(attempts_unknown(&t->attempts), 0);
	ticket_free(t);
}

/* Two long messages are cut where a character ends: the reply is UTF-8. */
static void
test_both_messages_are_cut_as_text(void **state)
{
	struct ticket *t = fresh();
	struct job list = { .verb = JOB_LIST, .verdict = VERDICT_AMBIGUOUS };
	uint64_t wait;

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		assert_int_equal(outcome(t, VERDICT_NOT_FOUND), CONCLUDE_LOOK);
		(void)snprintf(t->job.message, sizeof t->job.message, "%.*s", (int)shift, "xx");
		while (strlen(t->job.message) < 150)
			strcat(t->job.message, "\xe2\x82\xac");
		(void)snprintf(list.message, sizeof list.message, "%s", t->job.message);
		(void)conclude_looked(t, &list, 0, &wait);
		assert_in_range(strlen(t->job.message), 250, 255);
		assert_true(text_is_utf8(span_str(t->job.message)));
	}
	ticket_free(t);
}

static void
test_conflict_three_times(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, NULL), CONCLUDE_RETRY);
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, NULL), CONCLUDE_RETRY);
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, NULL), CONCLUDE_END);
	assert_int_equal(t->status.cause, STATUS_UPSTREAM_CONFLICT);
	assert_int_equal(attempts_unknown(&t->attempts), 0);
	ticket_free(t);
}

/* Something sent the POST twice; or nobody can tell: then it counts as if. */
static void
test_a_conflict_with_ourselves_is_ambiguous(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, MARKER), CONCLUDE_RETRY);
	assert_int_equal(attempts_unknown(&t->attempts), 1);
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_AMBIGUOUS, NULL), CONCLUDE_RETRY);
	assert_int_equal(attempts_unknown(&t->attempts), 2);
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, MARKER " edited"), CONCLUDE_RETRY);
	assert_int_equal(attempts_unknown(&t->attempts), 2);
	assert_int_equal(t->conflicts, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, MARKER), CONCLUDE_RETRY);
	assert_int_equal(looked(t, VERDICT_CONFLICT, VERDICT_LISTED, MARKER), CONCLUDE_END);
	assert_int_equal(t->status.cause, STATUS_UPSTREAM_AMBIGUOUS);
	ticket_free(t);
}

static void
test_no_time_for_a_list(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	assert_int_equal(outcome(t, VERDICT_CONFLICT), CONCLUDE_LOOK);
	conclude_unlooked(t);
	assert_int_equal(t->attempts.closed[0].fate, FATE_UNKNOWN);
	assert_int_equal(outcome(t, VERDICT_NOT_FOUND), CONCLUDE_LOOK);
	conclude_unlooked(t);
	assert_int_equal(t->attempts.closed[1].fate, FATE_REFUSED);
	assert_false(t->attempts.open);
	ticket_free(t);
}

static void
test_a_backlog_says_what_the_cluster_said(void **state)
{
	struct ticket *t = fresh();

	(void)state;
	conclude_backlog(t, "prod");
	assert_int_equal(t->status.cause, STATUS_UPSTREAM_BACKLOG);
	assert_null(strstr(t->status.message, "last attempt"));
	(void)outcome(t, VERDICT_AMBIGUOUS);
	(void)snprintf(t->job.message, sizeof t->job.message, "connection refused");
	conclude_backlog(t, "prod");
	assert_non_null(strstr(t->status.message, "cluster prod"));
	assert_non_null(strstr(t->status.message, "connection refused"));
	ticket_free(t);
}

static void
test_deadline(void **state)
{
	static const struct { enum verdict last; enum status_cause cause; } rows[] = {
		{ VERDICT_CREDENTIAL, STATUS_UPSTREAM_AUTH }, { VERDICT_THROTTLED, STATUS_UPSTREAM_THROTTLED },
		{ VERDICT_AMBIGUOUS, STATUS_UPSTREAM_UNREACHABLE }, { VERDICT_NOT_SENT, STATUS_UPSTREAM_UNREACHABLE },
		{ VERDICT_CONFLICT, STATUS_UPSTREAM_UNREACHABLE },
	};
	struct ticket *t = fresh();

	(void)state;
	conclude_deadline(t);
	assert_int_equal(t->status.cause, STATUS_NOT_STARTED);
	t->attempts.begun = 1;          /* in an earlier life, of which only the journal tells */
	conclude_deadline(t);
	assert_int_equal(t->status.cause, STATUS_UPSTREAM_UNREACHABLE);
	ticket_free(t);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		t = fresh();
		outcome(t, rows[i].last);
		conclude_deadline(t);
		assert_int_equal(t->status.cause, rows[i].cause);
		ticket_free(t);
	}
}

static void
test_reply(void **state)
{
	struct ticket *t = fresh();
	Tokend__V1__CreateTokenReply *r;

	(void)state;
	t->principal = "telemetry";
	t->request.suite = SUITE_SEALEDBOX;
	strcpy(t->request.recipient_id, "t-box");
	status_set(&t->status, STATUS_POLICY_DENIED, "no \"%s\"", "x");
	status_detail(&t->status, "field", "permissions[0]");
	conclude_reply(t, span_of(NULL, 0));
	r = tokend__v1__create_token_reply__unpack(NULL, t->stored.bytes, t->stored.data);
	assert_non_null(r);
	assert_string_equal(r->request_id, "r-1");
	assert_string_equal(r->principal, "telemetry");
	assert_int_equal(r->status->code, CODE_PERMISSION_DENIED);
	assert_string_equal(r->status->reason, "POLICY_DENIED");
	assert_int_equal(r->status->about, TOKEND__V1__ABOUT__OUTCOME);
	assert_int_equal(r->status->retry, TOKEND__V1__RETRY__NEVER);
	assert_int_equal(r->status->n_details, 1);
	assert_int_equal(r->sealed_token.len, 0);
	assert_int_equal(r->suite, 0);
	/* What each publication stamps anew must not be in what is stored. */
	assert_int_equal(r->request_digest.len, 0);
	assert_null(r->issued_at);
	assert_false(r->replayed);
	assert_int_equal(t->code, CODE_PERMISSION_DENIED);
	tokend__v1__create_token_reply__free_unpacked(r, NULL);
	ticket_free(t);
}

static struct ticket *
revoking(void)
{
	struct ticket *t = fresh();

	t->request.method = t->metadata.method = METHOD_REVOKE_TOKEN;
	t->token_id = "the-token";
	t->attempts.begun = 2;
	return t;
}

/* A DELETE can do no harm: nothing but success ends it before its deadline, and no attempt is closed by it. */
static void
test_a_delete_ends_with_success_only(void **state)
{
	(void)state;
	for (int v = 0; v < VERDICT_COUNT; v++) {
		struct ticket *t = revoking();
		uint64_t wait = 0;

		t->job.verdict = (enum verdict)v;
		t->job.retry_after_ms = 3000;
		if (v == VERDICT_DELETED) {
			assert_int_equal(conclude_deleted(t, 1700000000, UINT32_MAX, &wait), CONCLUDE_END);
			assert_int_equal(t->status.cause, STATUS_REVOKED);
			assert_int_equal(t->revoked_at, 1700000000);
		} else {
			assert_int_equal(conclude_deleted(t, 1700000000, UINT32_MAX, &wait), CONCLUDE_RETRY);
			assert_true(wait >= 3000);
			assert_int_equal(t->revoked_at, 0);
			assert_int_equal(t->last_verdict, v);
		}
		assert_int_equal(t->attempts.n_closed, 0);
		ticket_free(t);
	}
}

static void
test_what_a_revocation_is_told(void **state)
{
	struct ticket *t = revoking();
	Tokend__V1__RevokeTokenReply *r;
	uint64_t wait;

	(void)state;
	conclude_unrevoked(t);
	assert_int_equal(t->status.cause, STATUS_STILL_IN_FLIGHT);
	assert_non_null(strstr(t->status.message, "the-token"));
	assert_null(strstr(t->status.message, "the last answer"));
	t->job.verdict = VERDICT_REJECTED;
	strcpy(t->job.message, "400: no");
	conclude_deleted(t, 1, 0, &wait);
	conclude_unrevoked(t);
	assert_non_null(strstr(t->status.message, "the last answer: 400: no"));
	conclude_reply(t, span_of(NULL, 0));
	r = tokend__v1__revoke_token_reply__unpack(NULL, t->stored.bytes, t->stored.data);
	assert_string_equal(r->token_id, "");
	assert_int_equal(r->status->about, TOKEND__V1__ABOUT__RECORD);
	tokend__v1__revoke_token_reply__free_unpacked(r, NULL);

	conclude_backlog(t, "dead");
	assert_int_equal(status_row(t->status.cause)->about, ABOUT_RECORD);
	assert_int_equal(status_row(t->status.cause)->retry, RETRY_LATER);

	t->job.verdict = VERDICT_DELETED;
	conclude_deleted(t, 1700000000, 0, &wait);
	conclude_reply(t, span_of(NULL, 0));
	r = tokend__v1__revoke_token_reply__unpack(NULL, t->stored.bytes, t->stored.data);
	assert_string_equal(r->token_id, "the-token");
	assert_int_equal(r->attempts, 2);
	assert_int_equal(r->status->about, TOKEND__V1__ABOUT__OUTCOME);
	assert_null(r->revoked_at);     /* stamped with each publication */
	tokend__v1__revoke_token_reply__free_unpacked(r, NULL);
	ticket_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fates),
		cmocka_unit_test(test_created_stays_open),
		cmocka_unit_test(test_cap_counts_unknown_only),
		cmocka_unit_test(test_closed_is_bounded),
		cmocka_unit_test(test_conflict_three_times),
		cmocka_unit_test(test_both_messages_are_cut_as_text),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_not_found_is_believed_when_the_list_works),
		cmocka_unit_test(test_a_conflict_with_ourselves_is_ambiguous),
		cmocka_unit_test(test_no_time_for_a_list),
		cmocka_unit_test(test_a_backlog_says_what_the_cluster_said),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_a_delete_ends_with_success_only),
		cmocka_unit_test(test_what_a_revocation_is_told),
	};

	return cmocka_run_group_tests_name("conclude", tests, NULL, NULL);
}
