/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an offset's metadata names its committer, and a claim changes that name and nothing else; what is not
 * ours names nobody. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "service/takeover.h"

#define ID "0123456789abcdef0123456789abcdef"

static void
the_committer_is_named(void **state)
{
	(void)state;
	assert_string_equal(takeover_owner("tokend/1 " ID " 17 1700000000123 svc/default/tokend-0", "svc"),
	    "svc/default/tokend-0");
}

static void
what_is_not_ours_names_nobody(void **state)
{
	(void)state;
	assert_null(takeover_owner(NULL, "svc"));
	assert_null(takeover_owner("", "svc"));
	assert_null(takeover_owner("svc/default/tokend-0", "svc"));
	assert_null(takeover_owner("tokend/2 " ID " 17 1700000000123 svc/default/tokend-0", "svc"));
	assert_null(takeover_owner("tokend/1 " ID " 17 1700000000123 payments", "svc"));
	assert_null(takeover_owner("tokend/1 " ID " 17 1700000000123 svc2/default/tokend-0", "svc"));
	assert_null(takeover_owner("tokend/1 " ID " 17 1700000000123 ", "svc"));
}

static void
a_claim_changes_the_name_alone(void **state)
{
	char text[OFFSET_METADATA_ROOM];

	(void)state;
	assert_true(takeover_claim("tokend/1 " ID " 17 1700000000123 svc/default/a", "svc", "svc/default/b", text));
	assert_string_equal(text, "tokend/1 " ID " 17 1700000000123 svc/default/b");
}

static void
no_claim_where_the_name_stands_or_nothing_does(void **state)
{
	char text[OFFSET_METADATA_ROOM];

	(void)state;
	assert_false(takeover_claim("tokend/1 " ID " 17 1700000000123 svc/default/a", "svc", "svc/default/a", text));
	assert_false(takeover_claim("what is this", "svc", "svc/default/a", text));
	assert_false(takeover_claim(NULL, "svc", "svc/default/a", text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_committer_is_named),
		cmocka_unit_test(what_is_not_ours_names_nobody),
		cmocka_unit_test(a_claim_changes_the_name_alone),
		cmocka_unit_test(no_claim_where_the_name_stands_or_nothing_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
