/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever is logged, a line is one line, one write, and whole JSON; nothing foreign can forge or
 * break one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "service/base/log.h"
#include "service/base/text.h"

#define SPAN(literal) span_of(literal, sizeof(literal) - 1)

static int ends[2];             /* a pipe in packet mode: one read gives one write */
static int real_stderr;

/* What was written, by one read; NUL-terminated. */
static size_t
heard(char *room, size_t room_bytes)
{
	ssize_t n = read(ends[0], room, room_bytes - 1);

	room[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static cJSON *
heard_json(void)
{
	char room[PIPE_BUF + 1];
	size_t n = heard(room, sizeof(room));
	cJSON *json;

	assert_true(n > 2);
	assert_ptr_equal(strchr(room, '\n'), room + n - 1);
	assert_true(text_is_utf8(span_of(room, n)));
	room[n - 1] = '\0';
	json = cJSON_ParseWithLengthOpts(room, n, NULL, 1);
	if (json == NULL)
		fail_msg("no JSON: %s", room);
	return json;
}

static const char *
text_of(const cJSON *json, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static void
a_line_is_an_object(void **state)
{
	cJSON *json;
	int64_t seconds;
	int32_t nanos;

	(void)state;
	log_info("intake", "assigned", LOG_N("partition", 3), LOG_S("request_id", "r-1"), LOG_T("replayed", 1),
	    LOG_S("absent", NULL), LOG_N("least", INT64_MIN), LOG_S("empty", ""));
	json = heard_json();
	assert_true(text_parse_time(span_str(text_of(json, "ts")), &seconds, &nanos));
	assert_int_equal(strlen(text_of(json, "ts")), strlen("2026-11-24T08:20:00.000042Z"));
	assert_string_equal(text_of(json, "level"), "info");
	assert_string_equal(text_of(json, "msg"), "assigned");
	assert_string_equal(text_of(json, "logger"), "intake");
	assert_string_equal(text_of(json, "request_id"), "r-1");
	assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(json, "partition")), 3);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "replayed")));
	assert_null(cJSON_GetObjectItem(json, "absent"));
	assert_true(cJSON_IsNumber(cJSON_GetObjectItem(json, "least")));
	assert_string_equal(text_of(json, "empty"), "");
	cJSON_Delete(json);
}

static void
foreign_bytes_are_escaped(void **state)
{
	static const char raw[] = "a\"b\\c\nd\te\x01\x7fg ü🎉";
	char room[PIPE_BUF + 1];
	cJSON *json;

	(void)state;
	log_info("x", "y", LOG_S("v", raw));
	json = heard_json();
	assert_string_equal(text_of(json, "v"), raw);
	cJSON_Delete(json);

	log_info("x", "y", LOG_B("v", SPAN("\xff|\xe2\x80\xae|\xc2\x85|\xe2\x82|a\0b")));
	(void)heard(room, sizeof(room));
	assert_non_null(strstr(room, "\"v\":\"\\u00ff|\\u202e|\\u0085|\\u00e2\\u0082|a\\u0000b\"}\n"));
}

static void
lines_are_cut_and_stay_whole(void **state)
{
	static char endless[10000];
	struct log_field many[300];
	char room[PIPE_BUF + 1];
	cJSON *json;

	(void)state;
	for (int fill = 0; fill < 3; fill++) {         /* one byte each, two each, six each */
		memset(endless, "a\"\x01"[fill], sizeof(endless) - 1);
		for (size_t front = 0; front < 8; front++) {       /* so that the cut falls within an escape, too */
			log_info("x", "y", LOG_B("f", span_of("aaaaaaaa", front)), LOG_S("v", endless), LOG_N("n", 1));
			json = heard_json();
			assert_non_null(text_of(json, "v"));
			assert_string_equal(text_of(json, "v") + strlen(text_of(json, "v")) - 3, "…");
			cJSON_Delete(json);
		}
	}
	for (size_t i = 0; i < 300; i++)
		many[i] = (struct log_field)LOG_S("name_of_a_field", "its value");
	log_event(LOG_INFO_, "x", "y", many, 300);
	cJSON_Delete(heard_json());
	log_info("x", endless, LOG_S("v", "w"));
	cJSON_Delete(heard_json());
	log_setup(LOG_TEXT, LOG_INFO_);
	log_info("x", endless, LOG_S("v", endless));
	assert_in_range(heard(room, sizeof(room)), 1000, PIPE_BUF);
}

static void
what_is_below_the_level_is_not_said(void **state)
{
	char room[PIPE_BUF + 1];

	(void)state;
	log_setup(LOG_JSON, LOG_WARN_);
	log_info("x", "quiet", LOG_N("n", 1));
	log_debug("x", "quiet", LOG_N("n", 1));
	log_error("x", "loud", LOG_N("n", 1));
	(void)heard(room, sizeof(room));
	assert_non_null(strstr(room, "\"level\":\"error\",\"msg\":\"loud\""));
}

static void
text_is_for_people(void **state)
{
	char room[PIPE_BUF + 1];

	(void)state;
	log_setup(LOG_TEXT, LOG_DEBUG_);
	log_warn("intake", "assigned", LOG_N("partition", 3), LOG_S("id", "r-1"), LOG_S("why", "two words"),
	    LOG_S("e", ""), LOG_S("f", "a\nb"), LOG_S("g", NULL), LOG_T("ok", 0));
	(void)heard(room, sizeof(room));
	assert_string_equal(room + strlen("08:20:01.123"),
	    " WARN intake assigned partition=3 id=r-1 why=\"two words\" e=\"\" f=\"a\\u000ab\" ok=false\n");
}

static int
listen_on_stderr(void **state)
{
	(void)state;
	log_setup(LOG_JSON, LOG_INFO_);
	if (pipe2(ends, O_DIRECT | O_NONBLOCK | O_CLOEXEC) != 0)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	return dup2(ends[1], STDERR_FILENO) < 0;
}

static int
restore_stderr(void **state)
{
	(void)state;
	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	(void)close(ends[0]);
	return close(ends[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, listen_on_stderr, restore_stderr)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_is_an_object),
		TEST(foreign_bytes_are_escaped),
		TEST(lines_are_cut_and_stay_whole),
		TEST(what_is_below_the_level_is_not_said),
		TEST(text_is_for_people),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
