/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a topic's settings are held against what the promise needs, as a broker spells them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "service/base/durations.h"
#include "service/base/topic_policy.h"

static const struct topic_policy *
row(enum topic_role role, const char *setting)
{
	size_t n;
	const struct topic_policy *rows = topic_policies(&n);

	for (size_t i = 0; i < n; i++)
		if (rows[i].role == role && strcmp(rows[i].setting, setting) == 0)
			return &rows[i];
	fail_msg("no row for %s", setting);
	return NULL;
}

static void
a_set_in_any_order(void **state)
{
	const struct topic_policy *p = row(TOPIC_JOURNAL, "cleanup.policy"), *d = row(TOPIC_REPLIES, "cleanup.policy");

	(void)state;
	assert_true(topic_policy_fits(p, "compact,delete"));
	assert_true(topic_policy_fits(p, "delete, compact"));
	assert_false(topic_policy_fits(p, "compact"));
	assert_false(topic_policy_fits(p, "delete"));
	assert_false(topic_policy_fits(p, ""));
	assert_true(topic_policy_fits(d, "delete"));
	assert_false(topic_policy_fits(d, "compact,delete"));
	assert_false(topic_policy_fits(d, "deleted"));
}

static void
a_number_that_is_enough(void **state)
{
	const struct topic_policy *p = row(TOPIC_JOURNAL, "retention.ms");

	(void)state;
	assert_true(topic_policy_fits(p, "604800000"));
	assert_true(topic_policy_fits(p, "-1"));
	assert_false(topic_policy_fits(p, "604799999"));
	assert_false(topic_policy_fits(p, "-2"));
	assert_false(topic_policy_fits(p, ""));
	assert_false(topic_policy_fits(p, "604800000x"));
}

static void
only_what_is_kept_may_be_kept_for_ever(void **state)
{
	const struct topic_policy *p = row(TOPIC_DEADLETTERS, "max.message.bytes");

	(void)state;
	assert_int_equal(p->weight, TOPIC_MUST);
	assert_true(topic_policy_fits(p, "1048588"));
	assert_false(topic_policy_fits(p, "999999"));
	assert_false(topic_policy_fits(p, "-1"));
}

static void
the_window_is_the_protocols(void **state)
{
	char window[32];

	(void)state;
	(void)snprintf(window, sizeof(window), "%llu", (unsigned long long)duration_ms(DURATION_WINDOW));
	assert_string_equal(window, TOPIC_WINDOW);
	assert_int_equal(row(TOPIC_JOURNAL, "message.timestamp.type")->weight, TOPIC_MUST);
	assert_int_equal(row(TOPIC_JOURNAL, "unclean.leader.election.enable")->weight, TOPIC_SHOULD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_in_any_order),
		cmocka_unit_test(a_number_that_is_enough),
		cmocka_unit_test(only_what_is_kept_may_be_kept_for_ever),
		cmocka_unit_test(the_window_is_the_protocols),
	};

	return cmocka_run_group_tests_name("topic_policy", tests, NULL, NULL);
}
