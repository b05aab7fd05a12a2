/* Goal: a list is believed whole or not at all, however it is cut into pieces, and costs no memory but for what was
 * looked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "service/base/config.h"
#include "workers/job.h"
#include "workers/list_scan.h"
#include "workers/management_api.h"

#define ACCOUNT "11111111-1111-4111-8111-111111111111"
#define CLUSTER "33333333-3333-4333-8333-333333333333"
#define OTHER "44444444-4444-4444-8444-444444444444"
#define ID "55555555-5555-4555-8555-55555555555"
#define HOME "\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" CLUSTER "\""
#define OURS "[tokend/1:svc:"
#define MARKER OURS "telemetry:3:66666666-6666-4666-8666-666666666666]"

/* A token with the last digit of its id and its description; more members may follow. */
#define TOKEN(digit, description, more) \
	"{" HOME ",\"id\":\"" ID digit "\",\"description\":\"" description "\",\"permissions\":[]," \
	"\"createdAt\":\"2023-12-21T17:32:28.000Z\"" more "}"
#define REVOKED ",\"revokedAt\":\"2024-01-01T00:00:00Z\""
#define NUL_ESCAPE "\\u0000"

static struct cluster
dedicated(void)
{
	static char account[] = ACCOUNT, cluster[] = CLUSTER, name[] = "prod";

	return (struct cluster){
		.name = name, .product = CLUSTER_DEDICATED, .account_id = account, .cluster_id = cluster
	};
}

struct result {
	int rc;
	char why[256];
	struct job_listed *listed; size_t n_listed, n_tokens;
};

/* The text in two pieces, the first of so many bytes. */
static int64_t created_from;

static struct result
scan_pieces(const struct cluster *c, const char *looked_for, const char *text, size_t bytes, size_t first)
{
	struct list_scan *s = list_scan_new(c, looked_for, created_from);
	struct result r = { 0 };

	assert_non_null(s);
	r.rc = list_scan_feed(s, text, first);
	if (r.rc == 0)
		r.rc = list_scan_feed(s, text + first, bytes - first);
	if (r.rc == 0)
		r.rc = list_scan_end(s);
	if (r.rc == 0)
		assert_int_equal(list_scan_take(s, &r.listed, &r.n_listed), 0);
	r.n_tokens = list_scan_tokens(s);
	(void)snprintf(r.why, sizeof(r.why), "%s", list_scan_why(s));
	list_scan_free(s);
	return r;
}

static struct result
scan(const char *text)
{
	const struct cluster c = dedicated();

	return scan_pieces(&c, OURS, text, strlen(text), 0);
}

/* A list that is not to be believed, and why. */
static void
refused(const char *text, const char *why)
{
	struct result r = scan(text);

	if (r.rc == 0)
		fail_msg("believed: %s", text);
	if (strstr(r.why, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", r.why, why);
}

static void
believed(const char *text, size_t n_tokens)
{
	struct result r = scan(text);

	if (r.rc != 0)
		fail_msg("%s: %s", r.why, text);
	assert_int_equal(r.n_tokens, n_tokens);
	free(r.listed);
}

/* ---- what a list says ---- */

static void
an_empty_list_is_a_list(void **state)
{
	(void)state;
	believed("[]", 0);
	believed(" \r\n\t[ \n ] \n", 0);
}

static void
what_is_looked_for_is_kept(void **state)
{
	struct result r = scan("[" TOKEN("0", "by hand", "") "," TOKEN("1", "a " MARKER, "") ","
	    TOKEN("2", "b " OURS "x", REVOKED) "," TOKEN("3", "[tokend/1:other:telemetry:3:x]", "") "]\n");

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n_tokens, 4);
	assert_int_equal(r.n_listed, 2);
	assert_string_equal(r.listed[0].token_id, ID "1");
	assert_string_equal(r.listed[0].marker, MARKER);
	assert_int_equal(r.listed[0].created_at, 1703179948);
	assert_false(r.listed[0].revoked);
	assert_string_equal(r.listed[1].token_id, ID "2");
	assert_string_equal(r.listed[1].marker, OURS "x");
	assert_true(r.listed[1].revoked);
	free(r.listed);
}

static void
a_list_that_is_only_tried_keeps_nothing(void **state)
{
	static const char text[] = "[" TOKEN("1", "a " MARKER, "") "]";
	const struct cluster c = dedicated();
	struct result r = scan_pieces(&c, NULL, text, strlen(text), 0);

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n_tokens, 1);
	assert_int_equal(r.n_listed, 0);
	assert_null(r.listed);
}

/* A description may hold a marker that is another token's; the one at its end is its own. */
static void
the_last_marker_counts(void **state)
{
	const struct cluster c = dedicated();
	static const char text[] = "[" TOKEN("1", OURS "old] and " MARKER " by hand", "") "]", many[] =
	    "[" TOKEN("1", "aaa", "") "]";
	struct result r = scan(text);

	(void)state;
	assert_int_equal(r.n_listed, 1);
	assert_string_equal(r.listed[0].marker, MARKER " by hand");
	free(r.listed);
	r = scan_pieces(&c, "aa", many, strlen(many), 0);
	assert_string_equal(r.listed[0].marker, "aa");
	free(r.listed);
}

static void
an_endless_marker_is_cut(void **state)
{
	char text[4096], tail[1024];
	struct result r;

	(void)state;
	memset(tail, 'x', sizeof(tail));
	(void)snprintf(text, sizeof(text), "[" TOKEN("1", OURS "%.*s", "") "," TOKEN("2", OURS "y", "") "]",
	    (int)sizeof(tail), tail);
	r = scan(text);
	assert_int_equal(r.n_listed, 2);
	assert_int_equal(strlen(r.listed[0].marker), JOB_MARKER_MOST);
	assert_memory_equal(r.listed[0].marker, OURS "xxx", strlen(OURS "xxx"));
	assert_string_equal(r.listed[1].marker, OURS "y");
	free(r.listed);
}

/* Whoever looks for one marker, or for two tokens with the same, finds them side by side. */
static void
what_is_kept_is_ordered_by_marker(void **state)
{
	struct result r = scan("[" TOKEN("1", OURS "b", "") "," TOKEN("2", OURS "c", "") ","
	    TOKEN("3", OURS "a", "") "," TOKEN("4", OURS "b", "") "]");

	(void)state;
	assert_int_equal(r.n_listed, 4);
	assert_string_equal(r.listed[0].token_id, ID "3");
	assert_string_equal(r.listed[1].marker, OURS "b");
	assert_string_equal(r.listed[2].marker, OURS "b");
	assert_string_not_equal(r.listed[1].token_id, r.listed[2].token_id);
	assert_string_equal(r.listed[3].token_id, ID "2");
	free(r.listed);
}

/* All in all there may be more marked tokens than are kept; of the last days there are not. */
static void
what_was_created_before_is_not_kept(void **state)
{
	static const char created[] = "{" HOME ",\"id\":\"" ID "2\",\"description\":\"" MARKER "\"}";
	char text[1024];

	(void)state;
	for (int later = 0; later < 2; later++) {
		struct result r;

		(void)snprintf(text, sizeof(text), "[%s,%s]", TOKEN("1", MARKER, ""), created);
		created_from = 1703179948 + later;
		r = scan(text);
		created_from = 0;
		assert_int_equal(r.n_tokens, 2);
		assert_int_equal(r.n_listed, later ? 1 : 2);
		assert_string_equal(r.listed[r.n_listed - 1].token_id, ID "2");    /* it does not say when */
		free(r.listed);
	}
}

static void
only_a_time_in_revoked_at_revokes(void **state)
{
	static const struct { const char *text; bool revoked; } cases[] = {
		{ "[" TOKEN("1", MARKER, "") "]", false },
		{ "[" TOKEN("1", MARKER, ",\"revokedAt\":null") "]", false },
		{ "[" TOKEN("1", MARKER, ",\"revokedAt\":\"\"") "]", false },
		{ "[" TOKEN("1", MARKER, ",\"revokedAt\":false") "]", false },
		{ "[" TOKEN("1", MARKER, ",\"revokedAt\":\"2024-01-01T00:00:00.123+02:00\"") "]", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct result r = scan(cases[i].text);

		assert_int_equal(r.n_listed, 1);
		if (r.listed[0].revoked != cases[i].revoked)
			fail_msg("%s", cases[i].text);
		free(r.listed);
	}
}

static void
without_created_at_the_time_is_unknown(void **state)
{
	struct result r = scan("[{" HOME ",\"id\":\"" ID "1\",\"description\":\"" MARKER "\"},{" HOME ",\"id\":\"" ID
	    "2\",\"description\":\"" MARKER "\",\"createdAt\":\"soon\"}]");

	(void)state;
	assert_int_equal(r.n_listed, 2);
	assert_int_equal(r.listed[0].created_at, 0);
	assert_int_equal(r.listed[1].created_at, 0);
	free(r.listed);
}

/* What a bracket counter could stumble over. The description is escaped; what is found in it is not. */
#define TRICKY \
	TOKEN("1", "]},{[ \\\" }] \\\\ \\\\\\\" {[ \\\" }] \\u005b" MARKER, \
	    ",\"x\":{\"]\":[[],[{\"}\":\"\\\\\"}],[[{}]]],\"y\":\"\\\\\\\\\"}")

static void
brackets_in_strings_and_in_depth_are_no_ends(void **state)
{
	struct result r = scan("[" TRICKY "," TRICKY "]");

	(void)state;
	assert_string_equal(r.why, "");
	assert_int_equal(r.n_tokens, 2);
	assert_int_equal(r.n_listed, 2);
	assert_string_equal(r.listed[1].marker, MARKER);
	free(r.listed);
}

/* ---- what is not believed ---- */

static void
what_is_no_list_is_not_believed(void **state)
{
	(void)state;
	refused("", "the answer is empty");
	refused(" \n", "the answer is empty");
	refused("{\"code\":500,\"message\":\"oh\"}", "begins with \"{\": it is no JSON array");
	refused("<html>", "begins with \"<\"");
	refused("null", "begins with \"n\"");
	refused("\xef\xbb\xbf[]", "begins with \"\\xef\"");
	refused("\x1f\x8b\x08", "begins with \"\\x1f\"");
}

static void
the_arrays_own_grammar_is_kept(void **state)
{
	(void)state;
	refused("[,]", "instead of a token or the list's end");
	refused("[" TOKEN("0", "", "") ",]", "instead of another token");
	refused("[" TOKEN("0", "", "") ",,", "instead of another token");
	refused("[" TOKEN("0", "", "") TOKEN("1", "", ""), "behind 1 tokens of the list stands \"{\" instead of a comma"
	    " or the list's end");
	refused("[" TOKEN("0", "", "") ";", "instead of a comma or the list's end");
	refused("[\v]", "stands \"\\x0b\"");
	refused("[] x", "instead of the answer's end");
	refused("[]]", "instead of the answer's end");
	refused("[],", "instead of the answer's end");
	refused("[][]", "instead of the answer's end");
	believed("[ " TOKEN("0", "", "") "\t,\r\n" TOKEN("1", "", "") " ] ", 2);
}

static void
each_element_must_be_a_token(void **state)
{
	(void)state;
	refused("[1]", "stands \"1\"");
	refused("[null]", "stands \"n\"");
	refused("[\"{}\"]", "stands \"\\x22\"");
	refused("[[" TOKEN("0", "", "") "]]", "stands \"[\"");
	refused("[{}]", "token 1 of the list has no id");
	refused("[{\"a\":[}]}]", "token 1 of the list is not JSON");
	refused("[{\"a\":]]", "token 1 of the list is not JSON");
	refused("[" TOKEN("0", "", "") ",{" HOME ",\"id\":7,\"description\":\"\"}]", "token 2 of the list has no id");
	refused("[{" HOME ",\"id\":\"x\",\"description\":\"\"}]", "token 1 of the list has no id");
	refused("[{" HOME ",\"id\":\"" ID "A\",\"description\":\"\"}]", "token 1 of the list has no id");
	refused("[{" HOME ",\"id\":\"" ID "0\"}]", "token 1 of the list has no description");
	refused("[{" HOME ",\"id\":\"" ID "0\",\"description\":null}]", "token 1 of the list has no description");
}

/* The one that cJSON reads may not be the one that the API meant. */
static void
a_member_that_stands_twice_is_not_believed(void **state)
{
	static const char *const twice[] = {
		"\"id\":\"" ID "9\"", "\"description\":\"\"", "\"accountId\":\"" ACCOUNT "\"", "\"clusterId\":1",
		"\"createdAt\":null", "\"revokedAt\":null,\"revokedAt\":null",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(twice) / sizeof(*twice); i++) {
		char text[1024];

		(void)snprintf(text, sizeof(text), "[" TOKEN("0", MARKER, ",%s") "]", twice[i]);
		refused(text, "token 1 of the list has a member twice");
	}
	believed("[" TOKEN("0", "", ",\"new\":1,\"new\":2,\"ID\":3") "]", 1);   /* nobody reads these */
}

static void
a_nul_is_not_believed(void **state)
{
	static const char raw[] = "[" TOKEN("0", "a\0b", "") "]", between[] = "[\0]";
	const struct cluster c = dedicated();
	struct result r = scan_pieces(&c, OURS, raw, sizeof(raw) - 1, 0);

	(void)state;
	assert_int_equal(r.rc, -1);
	r = scan_pieces(&c, OURS, between, sizeof(between) - 1, 0);
	assert_int_equal(r.rc, -1);
	refused("[" TOKEN("0", MARKER NUL_ESCAPE, "") "]", "token 1 of the list is not JSON");
	believed("[" TOKEN("0", "\\" NUL_ESCAPE, "") "]", 1);   /* a backslash, and then letters */
}

static void
a_token_of_another_cluster_spoils_the_list(void **state)
{
	(void)state;
	refused("[" TOKEN("0", "", "") ",{\"accountId\":\"" ACCOUNT "\",\"clusterId\":\"" OTHER "\",\"id\":\"" ID
	    "1\",\"description\":\"\"}]", "token 2 of the list belongs to account " ACCOUNT ", cluster " OTHER);
	refused("[{\"accountId\":\"" OTHER "\",\"clusterId\":\"" CLUSTER "\",\"id\":\"" ID "1\",\"description\":\"\"}]",
	    "belongs to account " OTHER);
	refused("[{\"clusterId\":\"" CLUSTER "\",\"id\":\"" ID "1\",\"description\":\"\"}]", "has no accountId");
	refused("[{\"accountId\":\"s3cret\",\"clusterId\":\"" CLUSTER "\",\"id\":\"" ID "1\",\"description\":\"\"}]",
	    "token 1 of the list has no accountId or no clusterId");
}

static void
a_self_hosted_cluster_has_no_ids_to_compare(void **state)
{
	static const char text[] = "[{\"id\":\"" ID "1\",\"description\":\"" MARKER "\"}," TOKEN("2", "", "") "]";
	struct cluster c = dedicated();
	struct result r;

	(void)state;
	c.product = CLUSTER_CLUSTERED;
	c.account_id = c.cluster_id = NULL;
	r = scan_pieces(&c, OURS, text, strlen(text), 0);
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n_listed, 1);
	free(r.listed);
}

static void
what_follows_a_fault_changes_nothing(void **state)
{
	const struct cluster c = dedicated();
	struct list_scan *s = list_scan_new(&c, OURS, 0);
	char why[256];

	(void)state;
	assert_int_equal(list_scan_feed(s, "x", 1), -1);
	(void)snprintf(why, sizeof(why), "%s", list_scan_why(s));
	assert_int_equal(list_scan_feed(s, "[]", 2), -1);
	assert_int_equal(list_scan_end(s), -1);
	assert_string_equal(list_scan_why(s), why);
	list_scan_free(s);
	list_scan_free(NULL);
}

/* ---- pieces ---- */

#define SMALL "[" TOKEN("0", "by hand", "") " , " TRICKY "," TOKEN("2", "b " MARKER, REVOKED) "]"

static void
where_the_pieces_end_makes_no_difference(void **state)
{
	const struct cluster c = dedicated();

	(void)state;
	for (size_t first = 0; first <= strlen(SMALL); first++) {
		struct result r = scan_pieces(&c, OURS, SMALL, strlen(SMALL), first);

		if (r.rc != 0)
			fail_msg("cut at %zu: %s", first, r.why);
		assert_int_equal(r.n_tokens, 3);
		assert_int_equal(r.n_listed, 2);
		assert_string_equal(r.listed[0].marker, MARKER);
		assert_false(r.listed[0].revoked);
		assert_string_equal(r.listed[1].token_id, ID "2");
		assert_true(r.listed[1].revoked);
		free(r.listed);
	}
}

static void
byte_by_byte_is_the_same(void **state)
{
	const struct cluster c = dedicated();
	struct list_scan *s = list_scan_new(&c, OURS, 0);
	struct job_listed *listed;
	size_t n;

	(void)state;
	for (size_t i = 0; i < strlen(SMALL); i++)
		assert_int_equal(list_scan_feed(s, &SMALL[i], 1), 0);
	assert_int_equal(list_scan_end(s), 0);
	assert_int_equal(list_scan_take(s, &listed, &n), 0);
	list_scan_free(s);
	assert_int_equal(n, 2);                  /* what was taken outlives the scan */
	assert_string_equal(listed[1].marker, MARKER);
	free(listed);
}

static void
a_list_that_is_cut_anywhere_is_not_believed(void **state)
{
	const struct cluster c = dedicated();

	(void)state;
	for (size_t bytes = 0; bytes < strlen(SMALL); bytes++) {
		struct result r = scan_pieces(&c, OURS, SMALL, bytes, bytes / 2);

		if (r.rc == 0)
			fail_msg("believed the first %zu bytes", bytes);
		assert_non_null(strstr(r.why, bytes == 0 ? "is empty" : "is cut short"));
	}
}

/* ---- size ---- */

/* A token of so many bytes. */
static char *
padded_token(size_t bytes)
{
	static const char head[] = "{" HOME ",\"id\":\"" ID "0\",\"description\":\"" MARKER "\",\"pad\":\"";
	static const char tail[] = "\"}";
	char *text = malloc(bytes + 1);

	memset(text, '[', bytes);
	memcpy(text, head, strlen(head));
	memcpy(text + bytes - strlen(tail), tail, strlen(tail) + 1);
	return text;
}

static void
a_token_has_a_size_that_is_too_large(void **state)
{
	(void)state;
	for (size_t bytes = LIST_SCAN_ELEMENT_MOST; bytes <= LIST_SCAN_ELEMENT_MOST + 1; bytes++) {
		char *token = padded_token(bytes), *text;

		assert_true(asprintf(&text, "[%s]", token) > 0);
		if (bytes <= LIST_SCAN_ELEMENT_MOST)
			believed(text, 1);
		else
			refused(text, "token 1 of the list is longer than 262144 bytes");
		free(text);
		free(token);
	}
}

static long
peak_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* The same token over and over, in pieces as a connection gives them, until the list has so many bytes or is not
 * believed. */
static struct list_scan *
scan_many(const struct cluster *c, const char *token, size_t tokens)
{
	const size_t token_bytes = strlen(token), piece_most = 16384;
	char *piece = malloc(piece_most + token_bytes + 1);
	struct list_scan *s = list_scan_new(c, OURS, 0);
	size_t bytes = 1;

	piece[0] = '[';
	while (tokens-- > 0 && list_scan_why(s)[0] == '\0') {
		memcpy(piece + bytes, token, token_bytes);
		bytes += token_bytes;
		piece[bytes++] = tokens > 0 ? ',' : ']';
		if (bytes < piece_most && tokens > 0)
			continue;
		(void)list_scan_feed(s, piece, bytes);
		bytes = 0;
	}
	free(piece);
	return s;
}

/* A sanitizer's allocator keeps what is freed for a while: there the figure says nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LARGE_MIB 8
#define MEMORY_COUNTS false
#else
#define LARGE_MIB 100
#define MEMORY_COUNTS true
#endif

static void
a_huge_list_takes_little_memory(void **state)
{
	static const char token[] =
	    TOKEN("0", "by hand", ",\"more\":[{\"action\":\"read\",\"resource\":\"some_database\"}]");
	const struct cluster c = dedicated();
	const size_t tokens = LARGE_MIB * 1024 * 1024 / sizeof(token);
	long before = peak_kib();
	struct list_scan *s = scan_many(&c, token, tokens);

	(void)state;
	assert_string_equal(list_scan_why(s), "");
	assert_int_equal(list_scan_end(s), 0);
	assert_int_equal(list_scan_tokens(s), tokens);
	list_scan_free(s);
	if (MEMORY_COUNTS && peak_kib() - before > 1024)
		fail_msg("%ld KiB more than before", peak_kib() - before);
}

static void
what_is_kept_has_a_most(void **state)
{
	static const char token[] = TOKEN("0", MARKER, "");
	const struct cluster c = dedicated();
	struct list_scan *s;
	struct job_listed *listed;
	size_t n;

	(void)state;
	s = scan_many(&c, token, LIST_SCAN_KEPT_MOST);
	assert_int_equal(list_scan_end(s), 0);
	assert_int_equal(list_scan_take(s, &listed, &n), 0);
	assert_int_equal(n, LIST_SCAN_KEPT_MOST);
	assert_string_equal(listed[n - 1].marker, MARKER);
	free(listed);
	list_scan_free(s);

	s = scan_many(&c, token, LIST_SCAN_KEPT_MOST + 1);
	assert_int_equal(list_scan_end(s), -1);
	assert_string_equal(list_scan_why(s), "more than 250000 tokens of the list are marked");
	list_scan_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(what_is_looked_for_is_kept),
		cmocka_unit_test(a_list_that_is_only_tried_keeps_nothing),
		cmocka_unit_test(the_last_marker_counts),
		cmocka_unit_test(an_endless_marker_is_cut),
		cmocka_unit_test(what_is_kept_is_ordered_by_marker),
		cmocka_unit_test(what_was_created_before_is_not_kept),
		cmocka_unit_test(only_a_time_in_revoked_at_revokes),
		cmocka_unit_test(without_created_at_the_time_is_unknown),
		cmocka_unit_test(brackets_in_strings_and_in_depth_are_no_ends),
		cmocka_unit_test(what_is_no_list_is_not_believed),
		cmocka_unit_test(the_arrays_own_grammar_is_kept),
		cmocka_unit_test(each_element_must_be_a_token),
		cmocka_unit_test(a_member_that_stands_twice_is_not_believed),
		cmocka_unit_test(a_nul_is_not_believed),
		cmocka_unit_test(a_token_of_another_cluster_spoils_the_list),
		cmocka_unit_test(a_self_hosted_cluster_has_no_ids_to_compare),
		cmocka_unit_test(what_follows_a_fault_changes_nothing),
		cmocka_unit_test(where_the_pieces_end_makes_no_difference),
		cmocka_unit_test(byte_by_byte_is_the_same),
		cmocka_unit_test(a_list_that_is_cut_anywhere_is_not_believed),
		cmocka_unit_test(a_token_has_a_size_that_is_too_large),
		cmocka_unit_test(a_huge_list_takes_little_memory),
		cmocka_unit_test(what_is_kept_has_a_most),
	};

	management_api_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
