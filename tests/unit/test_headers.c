/* Goal: the outside of a record is read or refused as the contract says, in its order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_request.h"

#include "service/base/murmur2.h"
#include "service/headers.h"

#define SIGNATURE64 "Q/FB5fI1bx8clXVWAZY9E+lpFSRoWEGEz6YgzReSRM7lrC6WJgWRLFGJzQzAtzZjlOAmamHrdRF8F4ytgA+3DA=="
#define REVOKE "/tokend.v1.TokenService/RevokeToken"
#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

struct reading {
	struct header headers[16];
	struct record r;
	struct metadata m;
	struct status refusal;
};

static void
begin(struct reading *t)
{
	memset(t, 0, sizeof(*t));
	t->r.key = span_str(ID);
	t->r.value = span_str("\x0a\x01x");
	t->r.headers = t->headers;
}

static void
add(struct reading *t, const char *name, const char *value)
{
	t->headers[t->r.n_headers++] = (struct header){ span_str(name), span_str(value) };
}

static void
expect_fine(struct reading *t)
{
	if (headers_read(&fixture_config, &t->r, &t->m, &t->refusal) != 0)
		fail_msg("refused: %s", t->refusal.message);
}

static void
expect_refused(struct reading *t, enum status_cause cause, const char *words)
{
	assert_int_equal(headers_read(&fixture_config, &t->r, &t->m, &t->refusal), -1);
	assert_int_equal(t->refusal.cause, cause);
	if (strstr(t->refusal.message, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", t->refusal.message, words);
}

static void
keys_that_are_request_ids(void **state)
{
	char long_key[130];
	struct record r = { .key = span_str("aZ9._:-") };

	(void)state;
	memset(long_key, 'x', sizeof(long_key));
	assert_true(headers_key_valid(&r));
	r.key = span_of(long_key, 128);
	assert_true(headers_key_valid(&r));
	r.key = span_of(long_key, 129);
	assert_false(headers_key_valid(&r));
	r.key = span_str("a b");
	assert_false(headers_key_valid(&r));
	r.key = span_of("a\0b", 3);
	assert_false(headers_key_valid(&r));
	r.key = span_of("", 0);
	assert_false(headers_key_valid(&r));
	r.key = span_of(NULL, 0);
	assert_false(headers_key_valid(&r));
}

static void
a_plain_record(void **state)
{
	struct reading t;

	(void)state;
	begin(&t);
	add(&t, "tokend-method", REVOKE);
	add(&t, "tokend-key-id", "t-2026a");
	add(&t, "tokend-signature", SIGNATURE64);
	add(&t, "content-type", "text/plain");
	add(&t, "ce_id", "1");
	expect_fine(&t);
	assert_int_equal(t.m.method, METHOD_REVOKE_TOKEN);
	assert_true(span_is(t.m.key_id, "t-2026a"));
	assert_true(t.m.has_signature);
	assert_int_equal(t.m.signature[0], 0x43);
	assert_true(span_equal(t.m.body, t.r.value));
	assert_int_equal(t.m.n_echoed, 0);
}

static void
without_headers_it_is_a_create(void **state)
{
	struct reading t;

	(void)state;
	begin(&t);
	expect_fine(&t);
	assert_int_equal(t.m.method, METHOD_CREATE_TOKEN);
	assert_int_equal(t.m.key_id.bytes, 0);
	assert_false(t.m.has_signature);
}

static void
each_of_ours_at_most_once(void **state)
{
	static const char *const ours[][2] = {
		{ "tokend-method", REVOKE }, { "tokend-key-id", "k" }, { "tokend-signature", SIGNATURE64 },
		{ "traceparent", PARENT }, { "tracestate", "a=b" }, { "kafka_replyTopic", "tokend.replies" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		struct reading t;

		begin(&t);
		add(&t, ours[i][0], ours[i][1]);
		add(&t, ours[i][0], ours[i][1]);
		expect_refused(&t, STATUS_INVALID_RECORD, ours[i][0]);
		assert_int_equal(t.m.method, METHOD_CREATE_TOKEN);
	}
}

static void
of_a_doubled_header_the_first_is_digested(void **state)
{
	struct reading t;

	(void)state;
	begin(&t);
	add(&t, "tokend-key-id", "first");
	add(&t, "tokend-key-id", "second");
	add(&t, "tokend-signature", "not base64");
	add(&t, "tokend-signature", SIGNATURE64);
	expect_refused(&t, STATUS_INVALID_RECORD, "tokend-key-id stands more than once");
	assert_true(span_is(t.m.key_id, "first"));
	assert_true(span_is(t.m.signature_header, "not base64"));
	assert_false(t.m.has_signature);
}

static void
malformed_headers(void **state)
{
	static const struct { const char *name, *value; enum status_cause cause; const char *words; } bad[] = {
		{ "tokend-method", "/tokend.v1.TokenService/ListTokens", STATUS_UNKNOWN_METHOD, "ListTokens" },
		{ "tokend-method", "", STATUS_INVALID_RECORD, "tokend-method" },
		{ "tokend-method", "/tokend\xc3\xa9", STATUS_INVALID_RECORD, "not ASCII" },
		{ "Tokend-Method", REVOKE, STATUS_INVALID_RECORD, "must be written tokend-method" },
		{ "TOKEND-KEY-ID", "k", STATUS_INVALID_RECORD, "must be written tokend-key-id" },
		{ "tokend-key-id", "k\xff", STATUS_INVALID_RECORD, "tokend-key-id" },
		{ "tokend-signature", "", STATUS_INVALID_RECORD, "tokend-signature" },
		{ "tokend-signature", "AAAA", STATUS_INVALID_RECORD, "tokend-signature" },
		{ "tokend-signature",
		  "Q/FB5fI1bx8clXVWAZY9E+lpFSRoWEGEz6YgzReSRM7lrC6WJgWRLFGJzQzAtzZjlOAmamHrdRF8F4ytgA+3DA",
		  STATUS_INVALID_RECORD, "padded base64" },
		{ "tokend-signature", SIGNATURE64 " ", STATUS_INVALID_RECORD, "padded base64" },
		{ "kafka_replyTopic", "mine", STATUS_WRONG_REPLY_TOPIC, "tokend.replies" },
		{ "kafka_replyTopic", "", STATUS_WRONG_REPLY_TOPIC, "tokend.replies" },
		{ "kafka_replyPartition", "0", STATUS_WRONG_REPLY_TOPIC, "0x30" },
		{ "kafka_replyPartition", "", STATUS_WRONG_REPLY_TOPIC, "nothing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct reading t;

		begin(&t);
		add(&t, bad[i].name, bad[i].value);
		expect_refused(&t, bad[i].cause, bad[i].words);
		assert_int_equal(t.m.method, METHOD_CREATE_TOKEN);
	}
}

static void
reply_routing_that_is_ours(void **state)
{
	struct reading t;

	(void)state;
	begin(&t);
	add(&t, "kafka_replyTopic", "tokend.replies");
	t.headers[t.r.n_headers++] = (struct header){ span_str("kafka_replyPartition"), span_of("\0\0\0\0", 4) };
	expect_fine(&t);
	t.headers[1].value = span_of("\0\0\0\1", 4);
	expect_refused(&t, STATUS_WRONG_REPLY_TOPIC, "partition 0");
}

static void
the_home_partition(void **state)
{
	struct config six = fixture_config;
	struct reading t;

	(void)state;
	six.partitions = 6;
	begin(&t);
	t.r.partition = (murmur2_partition(t.r.key, 6) + 1) % 6;
	assert_int_equal(headers_read(&six, &t.r, &t.m, &t.refusal), -1);
	assert_int_equal(t.refusal.cause, STATUS_WRONG_PARTITION);
	assert_non_null(strstr(t.refusal.message, "partitioner=murmur2_random"));
	assert_int_equal(atoi(fixture_detail(&t.refusal, "partition")), murmur2_partition(t.r.key, 6));
	assert_string_equal(fixture_detail(&t.refusal, "partitions"), "6");
	t.r.partition = murmur2_partition(t.r.key, 6);
	assert_int_equal(headers_read(&six, &t.r, &t.m, &t.refusal), 0);
}

static void
size_and_absence(void **state)
{
	static unsigned char large[HEADERS_VALUE_MOST + 1] = { 1 };
	struct reading t;

	(void)state;
	begin(&t);
	t.r.value = span_of(large, HEADERS_VALUE_MOST);
	expect_fine(&t);
	t.r.value = span_of(large, HEADERS_VALUE_MOST + 1);
	expect_refused(&t, STATUS_UNDECODABLE, "131073 bytes");
	assert_string_equal(fixture_detail(&t.refusal, "limit"), "131072");
	t.r.value = span_of(NULL, 0);
	expect_refused(&t, STATUS_UNDECODABLE, "no value");
	assert_int_equal(t.m.body.bytes, 0);
}

/* With Schema Registry's frame and without it. */
static void
frames(void **state)
{
	static const struct { const char *bytes; size_t n; size_t body_at; } good[] = {
		{ "\x0a\x01x", 3, 0 },
		{ "\0\0\0\0\7\0\x0a\x01x", 9, 6 },             /* [0], short */
		{ "\0\0\0\0\7\2\0\x0a\x01x", 10, 7 },          /* [0], long */
	};
	static const struct { const char *bytes; size_t n; const char *words; } bad[] = {
		{ "\0", 1, "broken" },
		{ "\0\0\0\0\7", 5, "broken" },
		{ "\0\0\0\0\7\2", 6, "broken" },
		{ "\0\0\0\0\7\1\0\x0a\x01x", 10, "broken" },   /* -1 numbers */
		{ "\0\0\0\0\7\2\1\x0a\x01x", 10, "broken" },   /* number -1 */
		{ "\0\0\0\0\7\xff\xff\xff\xff\xff\xff", 11, "broken" },
		{ "\0\0\0\0\7\2\4\x0a\x01x", 10, "message index 2" },
		{ "\0\0\0\0\7\4\0\0\x0a\x01x", 11, "message index -1" },
	};
	struct reading t;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		begin(&t);
		t.r.value = span_of(good[i].bytes, good[i].n);
		expect_fine(&t);
		assert_true(span_is(t.m.body, "\x0a\x01x"));
		assert_ptr_equal(t.m.body.data, t.r.value.data + good[i].body_at);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(&t);
		t.r.value = span_of(bad[i].bytes, bad[i].n);
		expect_refused(&t, STATUS_UNDECODABLE, bad[i].words);
	}
}

static void
the_frame_must_name_the_methods_message(void **state)
{
	struct reading t;

	(void)state;
	begin(&t);
	add(&t, "tokend-method", REVOKE);
	t.r.value = span_of("\0\0\0\0\7\2\4\x0a\x01x", 10);
	expect_fine(&t);
	t.r.value = span_of("\0\0\0\0\7\0\x0a\x01x", 9);
	expect_refused(&t, STATUS_UNDECODABLE, "message index 0");
	assert_int_equal(t.m.method, METHOD_REVOKE_TOKEN);
	t.r.value = span_of("\0\0", 2);
	expect_refused(&t, STATUS_UNDECODABLE, "broken");
	assert_int_equal(t.m.method, METHOD_CREATE_TOKEN);     /* what a broken frame is answered as */
	assert_true(span_equal(t.m.body, t.r.value));
}

/* When several things are wrong, the first in the contract's order is told. */
static void
the_order_of_refusals(void **state)
{
	static unsigned char large[HEADERS_VALUE_MOST + 1];      /* begins like a frame, and is a broken one */
	struct reading t;

	(void)state;
	memset(large + 1, 0xff, sizeof(large) - 1);
	begin(&t);
	t.r.value = span_of(large, sizeof(large));
	t.r.partition = 3;
	add(&t, "kafka_replyTopic", "mine");
	add(&t, "tokend-method", "/no/such");
	add(&t, "tokend-signature", "?");
	expect_refused(&t, STATUS_UNDECODABLE, "131073");
	t.r.value = span_of(large, 100);
	expect_refused(&t, STATUS_INVALID_RECORD, "tokend-signature");
	t.r.n_headers = 2;
	expect_refused(&t, STATUS_UNDECODABLE, "frame");
	t.r.value = span_str("\x0a\x01x");
	expect_refused(&t, STATUS_UNKNOWN_METHOD, "/no/such");
	t.r.n_headers = 1;
	expect_refused(&t, STATUS_WRONG_PARTITION, "partition 0");
	t.r.partition = 0;
	expect_refused(&t, STATUS_WRONG_REPLY_TOPIC, "mine");
}

static void
echoed_byte_for_byte(void **state)
{
	static const char odd[] = "\0\xff\"\n";
	struct reading t;

	(void)state;
	begin(&t);
	t.headers[t.r.n_headers++] = (struct header){ span_str("kafka_correlationId"), span_of(odd, sizeof(odd)) };
	add(&t, "correlation-id", "");
	t.headers[t.r.n_headers++] = (struct header){ span_str("REPLY_CORRELATION_ID"), { NULL, 0 } };
	add(&t, "correlation-id", "again");
	expect_fine(&t);
	assert_int_equal(t.m.n_echoed, 4);
	assert_true(span_is(t.m.echoed[0].name, "kafka_correlationId"));
	assert_int_equal(t.m.echoed[0].value.bytes, sizeof(odd));
	assert_memory_equal(t.m.echoed[0].value.data, odd, sizeof(odd));
	assert_true(span_is(t.m.echoed[1].name, "correlation-id"));
	assert_non_null(t.m.echoed[1].value.data);
	assert_null(t.m.echoed[2].value.data);
	assert_true(span_is(t.m.echoed[3].value, "again"));
}

static void
too_much_to_echo(void **state)
{
	char long_value[258];
	struct reading t;

	(void)state;
	memset(long_value, 'x', sizeof(long_value));
	long_value[256] = '\0';
	begin(&t);
	for (int i = 0; i < 8; i++)
		add(&t, "correlation-id", long_value);
	expect_fine(&t);
	add(&t, "REPLY_CORRELATION_ID", "9");
	expect_refused(&t, STATUS_INVALID_RECORD, "REPLY_CORRELATION_ID");
	assert_int_equal(t.m.n_echoed, 8);          /* the refusal carries what it can */

	begin(&t);
	t.headers[t.r.n_headers++] = (struct header){ span_str("correlation-id"), span_of(long_value, 257) };
	expect_refused(&t, STATUS_INVALID_RECORD, "correlation-id has 257 bytes");
}

static void
an_operators_own_are_echoed_too(void **state)
{
	char *own[] = { "x-request-id" };
	struct config c = fixture_config;
	struct reading t;

	(void)state;
	begin(&t);
	add(&t, "x-request-id", "1");
	add(&t, "X-Request-Id", "2");
	expect_fine(&t);
	assert_int_equal(t.m.n_echoed, 0);
	c.echo_headers = own;
	c.n_echo_headers = 1;
	assert_int_equal(headers_read(&c, &t.r, &t.m, &t.refusal), 0);
	assert_int_equal(t.m.n_echoed, 1);
	assert_true(span_is(t.m.echoed[0].name, "x-request-id"));
	assert_true(span_is(t.m.echoed[0].value, "1"));
}

static void
a_trace_is_taken(void **state)
{
	struct reading t;

	(void)state;
	begin(&t);
	add(&t, "traceparent", PARENT);
	add(&t, "tracestate", "vendor=1");
	expect_fine(&t);
	assert_true(span_is(t.m.traceparent, PARENT));
	assert_true(span_is(t.m.tracestate, "vendor=1"));
}

static void
a_broken_trace_is_dropped_alone(void **state)
{
	static const char *const bad[] = {
		"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
		"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct reading t;

		begin(&t);
		add(&t, "traceparent", bad[i]);
		add(&t, "tracestate", "a=b");
		expect_fine(&t);
		assert_int_equal(t.m.traceparent.bytes, 0);
		assert_int_equal(t.m.tracestate.bytes, 0);
	}

	struct reading t;

	begin(&t);
	add(&t, "traceparent", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more");
	expect_fine(&t);
	assert_int_not_equal(t.m.traceparent.bytes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_that_are_request_ids),
		cmocka_unit_test(a_plain_record),
		cmocka_unit_test(without_headers_it_is_a_create),
		cmocka_unit_test(each_of_ours_at_most_once),
		cmocka_unit_test(of_a_doubled_header_the_first_is_digested),
		cmocka_unit_test(malformed_headers),
		cmocka_unit_test(reply_routing_that_is_ours),
		cmocka_unit_test(the_home_partition),
		cmocka_unit_test(size_and_absence),
		cmocka_unit_test(frames),
		cmocka_unit_test(the_frame_must_name_the_methods_message),
		cmocka_unit_test(the_order_of_refusals),
		cmocka_unit_test(echoed_byte_for_byte),
		cmocka_unit_test(too_much_to_echo),
		cmocka_unit_test(an_operators_own_are_echoed_too),
		cmocka_unit_test(a_trace_is_taken),
		cmocka_unit_test(a_broken_trace_is_dropped_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
