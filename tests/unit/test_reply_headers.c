/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what stands around a reply's value is what the contract says, and the same thing told again bears the
 * same id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "service/base/arena.h"
#include "service/frame.h"
#include "service/reply_headers.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static unsigned char signature[64], fingerprint[32];
static struct metadata metadata;
static const struct record record = { .partition = 3, .offset = 1234, .key = { (const unsigned char *)"order-17", 8 } };

static struct reply_headers
plain(void)
{
	metadata = (struct metadata){ .method = METHOD_CREATE_TOKEN };
	return (struct reply_headers){ .metadata = &metadata, .record = &record, .key_id = "svc-2026a",
	    .signature = signature, .message = "", .service_id = "prod-tokens", .request_topic = "tokend.requests" };
}

static struct span
find(const struct header *headers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (span_is(headers[i].name, name))
			return headers[i].value;
	return span_of(NULL, 0);
}

static void
a_refusals_headers(void **state)
{
	struct header out[REPLY_HEADERS_MOST];
	struct reply_headers r = plain();
	struct arena a = { 0 };
	size_t n;

	(void)state;
	memset(signature, 0xab, sizeof(signature));
	metadata.method = METHOD_GET_OUTCOME;
	r.code = 5;
	r.message = "50% of \"caf\xc3\xa9\"\n";
	n = reply_headers_write(&a, &r, out);
	assert_int_equal(n, 6);
	assert_true(span_is(find(out, n, "tokend-method"), "/tokend.v1.TokenService/GetOutcome"));
	assert_true(span_is(find(out, n, "tokend-key-id"), "svc-2026a"));
	assert_int_equal(find(out, n, "tokend-signature").bytes, 88);
	assert_true(span_is(find(out, n, "content-type"), "application/protobuf"));
	assert_true(span_is(find(out, n, "grpc-status"), "5"));
	assert_true(span_is(find(out, n, "grpc-message"), "50%25 of \"caf%C3%A9\"%0A"));
	arena_free(&a);
}

static void
the_trace_goes_on(void **state)
{
	struct header out[REPLY_HEADERS_MOST];
	struct reply_headers r = plain();
	struct arena a = { 0 };
	struct span p;
	size_t n;

	(void)state;
	metadata.traceparent = span_str(PARENT);
	metadata.tracestate = span_str("vendor=1");
	n = reply_headers_write(&a, &r, out);
	p = find(out, n, "traceparent");
	assert_int_equal(p.bytes, 55);
	assert_memory_equal(p.data, PARENT, 36);
	assert_memory_not_equal(p.data + 36, PARENT + 36, 16);
	assert_memory_equal(p.data + 52, PARENT + 52, 3);
	assert_true(span_is(find(out, n, "tracestate"), "vendor=1"));
	arena_free(&a);
}

static void
what_is_echoed_stands_last_byte_for_byte(void **state)
{
	static const char odd[] = "\0\xff\"\n";
	struct header out[REPLY_HEADERS_MOST];
	struct reply_headers r = plain();
	struct arena a = { 0 };
	size_t n;

	(void)state;
	r.cloudevents = true;
	r.message = "no";
	metadata.traceparent = span_str(PARENT);
	metadata.tracestate = span_str("vendor=1");
	metadata.n_echoed = 8;
	for (int i = 0; i < 8; i++)
		metadata.echoed[i].name = span_str("correlation-id");
	metadata.echoed[6].value = span_of(odd, sizeof(odd));
	n = reply_headers_write(&a, &r, out);
	assert_in_range(n, 21, REPLY_HEADERS_MOST);         /* all that there can be */
	assert_true(span_equal(out[n - 2].value, span_of(odd, sizeof(odd))));
	assert_null(out[n - 1].value.data);
	arena_free(&a);
}

static void
an_outcome_is_one_event_however_often_it_is_told(void **state)
{
	struct header out[REPLY_HEADERS_MOST];
	struct reply_headers r = plain();
	struct arena a = { 0 };
	size_t n;

	(void)state;
	memset(fingerprint, 0x5f, sizeof(fingerprint));
	assert_null(find(out, reply_headers_write(&a, &r, out), "ce_id").data);
	r.cloudevents = true;
	r.fingerprint = fingerprint;
	n = reply_headers_write(&a, &r, out);
	assert_true(span_is(find(out, n, "ce_specversion"), "1.0"));
	assert_true(span_is(find(out, n, "ce_id"), "5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f"));
	assert_true(span_is(find(out, n, "ce_source"), "/tokend/prod-tokens"));
	assert_true(span_is(find(out, n, "ce_type"), "tokend.v1.CreateTokenReply"));
	assert_true(span_is(find(out, n, "ce_subject"), "order-17"));
	assert_true(span_is(find(out, n, "content-type"), "application/protobuf"));
	r.fingerprint = NULL;
	metadata.method = METHOD_REVOKE_TOKEN;
	n = reply_headers_write(&a, &r, out);
	assert_true(span_is(find(out, n, "ce_id"), "tokend.requests/3@1234"));
	assert_true(span_is(find(out, n, "ce_type"), "tokend.v1.RevokeTokenReply"));
	arena_free(&a);
}

static void
a_frame_is_schema_registrys(void **state)
{
	static const unsigned char fourth[] = { 0, 0, 0, 1, 2, 2, 6, 'x' }, first[] = { 0, 0xff, 0, 0, 1, 0, 'x' };
	struct arena a = { 0 };
	struct frame f;

	(void)state;
	assert_true(span_equal(frame_close(258, 3, span_str("x"), &a), span_of(fourth, sizeof(fourth))));
	assert_true(span_equal(frame_close(0xff000001, 0, span_str("x"), &a), span_of(first, sizeof(first))));
	for (unsigned index = 0; index < 300; index++) {
		assert_int_equal(frame_open(frame_close(7, index, span_str("body"), &a), &f), 0);
		assert_true(f.present);
		assert_int_equal(f.message_index, index);
		assert_true(span_is(f.body, "body"));
	}
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusals_headers),
		cmocka_unit_test(the_trace_goes_on),
		cmocka_unit_test(what_is_echoed_stands_last_byte_for_byte),
		cmocka_unit_test(an_outcome_is_one_event_however_often_it_is_told),
		cmocka_unit_test(a_frame_is_schema_registrys),
	};

	return cmocka_run_group_tests_name("reply_headers", tests, NULL, NULL);
}
