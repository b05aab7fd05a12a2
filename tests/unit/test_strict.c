/* Goal: bytes that two protobuf libraries could read differently are refused, with the path of the field. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_request.h"

#include "service/strict.h"

#define BYTES(literal) span_of(literal, sizeof(literal) - 1)

static const ProtobufCMessageDescriptor *const create = &tokend__v1__create_token_request__descriptor;

static void
expect_fine(struct span bytes)
{
	struct status s;

	if (strict_walk(create, bytes, &s) != 0)
		fail_msg("refused: %s", s.message);
}

static void
expect_refused(struct span bytes, const char *words, const char *field, const char *number)
{
	struct status s = { .cause = STATUS_COUNT };

	assert_int_equal(strict_walk(create, bytes, &s), -1);
	assert_int_equal(s.cause, STATUS_UNDECODABLE);
	if (strstr(s.message, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", s.message, words);
	for (int i = 0; i < 2; i++) {
		const char *expected = i == 0 ? field : number;
		const char *found = fixture_detail(&s, i == 0 ? "field" : "field_number");

		if (expected == NULL)
			assert_null(found);
		else if (found == NULL || strcmp(found, expected) != 0)
			fail_msg("%s: %s, not %s", s.message, found != NULL ? found : "nothing", expected);
	}
}

static void
a_whole_request(void **state)
{
	struct fixture_create f;
	struct arena a = { 0 };

	(void)state;
	fixture_create_init(&f);
	expect_fine(fixture_pack(&a, &f.m.base));
	expect_fine(span_of(NULL, 0));
	arena_free(&a);
}

/* As protobuf.js writes them: an empty string, an empty message, zeros. */
static void
explicit_defaults(void **state)
{
	(void)state;
	expect_fine(BYTES("\x0a\x00"));     /* request_id: "" */
	expect_fine(BYTES("\x22\x00"));     /* target: {} */
	expect_fine(BYTES("\x32\x02\x08\x00"));     /* permissions[0].action: 0 */
	expect_fine(BYTES("\x32\x02\x18\x00"));     /* permissions[0].all_databases: false */
	expect_fine(BYTES("\x42\x04\x08\x00\x10\x00"));     /* issued_at: 0 s 0 ns */
	expect_fine(BYTES("\x32\x00\x32\x00"));     /* repeated is repeated */
}

static void
any_order_of_fields(void **state)
{
	(void)state;
	expect_fine(BYTES("\x2a\x01""d" "\x0a\x01""i"));
	expect_fine(BYTES("\x32\x00" "\x0a\x01""i" "\x32\x00"));
}

static void
unknown_fields(void **state)
{
	(void)state;
	expect_refused(BYTES("\x5a\x00"), "no field 11: this tokend is older than your client", NULL, "11");
	expect_refused(BYTES("\x32\x00\x32\x02\x20\x01"), "permissions[1] has no field 4: this tokend is older",
	    "permissions[1]", "4");
	expect_refused(BYTES("\xf8\xff\xff\xff\x0f\x00"), "no field 536870911", NULL, "536870911");
	expect_refused(BYTES("\xa3\x06\xa4\x06"), "no field 100", NULL, "100");     /* a group, too */
}

static void
repeated_singular_fields(void **state)
{
	(void)state;
	expect_refused(BYTES("\x0a\x01x\x0a\x01x"), "request_id (field 1) stands more than once", "request_id", "1");
	expect_refused(BYTES("\x0a\x00\x0a\x00"), "more than once", "request_id", "1");
	expect_refused(BYTES("\x42\x00\x42\x00"), "more than once", "issued_at", "8");
	expect_refused(BYTES("\x32\x06\x12\x01x\x12\x01y"), "more than once", "permissions[0].database", "2");
}

static void
two_members_of_a_oneof(void **state)
{
	(void)state;
	expect_refused(BYTES("\x32\x05\x12\x01x\x18\x01"), "excludes it", "permissions[0].all_databases", "3");
	expect_refused(BYTES("\x32\x05\x18\x00\x12\x01x"), "excludes it", "permissions[0].database", "2");
	expect_refused(BYTES("\x52\x05\x0a\x01k\x12\x00"), "excludes it", "recipient.inline_key", "2");
}

static void
strings(void **state)
{
	(void)state;
	expect_refused(BYTES("\x12\x03""a\0b"), "principal (field 2) holds a NUL", "principal", "2");
	expect_refused(BYTES("\x2a\x01\xff"), "is not UTF-8", "description", "5");
	expect_refused(BYTES("\x2a\x02\xc0\x80"), "is not UTF-8", "description", "5");     /* overlong */
	expect_refused(BYTES("\x2a\x03\xed\xa0\x80"), "is not UTF-8", "description", "5");     /* a surrogate */
	expect_refused(BYTES("\x2a\x01\xc3"), "is not UTF-8", "description", "5");     /* cut */
	expect_refused(BYTES("\x32\x00\x32\x05\x12\x03""a\0b"), "holds a NUL", "permissions[1].database", "2");
	expect_fine(BYTES("\x52\x06\x12\x04\x12\x02\0\xff"));     /* bytes are any */
}

static void
wire_types(void **state)
{
	(void)state;
	expect_refused(BYTES("\x08\x01"), "another wire type", "request_id", "1");
	expect_refused(BYTES("\x32\x03\x0a\x01x"), "another wire type", "permissions[0].action", "1");
	expect_refused(BYTES("\x0d\0\0\0\0"), "another wire type", "request_id", "1");
	expect_refused(BYTES("\x09\0\0\0\0\0\0\0\0"), "another wire type", "request_id", "1");
	expect_refused(BYTES("\x0b\x0c"), "is a group", "request_id", "1");
	expect_refused(BYTES("\x0c"), "is a group", "request_id", "1");
	expect_refused(BYTES("\x0e\x01"), "another wire type", "request_id", "1");     /* 6: none */
	expect_refused(BYTES("\x02\x00"), "a field number that none can have", NULL, NULL);     /* 0 */
	expect_refused(BYTES("\x80\x80\x80\x80\x10\x00"), "a field number that none can have", NULL, NULL);
}

/* A whole request, cut at each of its bytes, is refused or is a shorter message that ends between fields. */
static void
truncated(void **state)
{
	struct fixture_create f;
	struct arena a = { 0 };
	struct span whole;
	size_t between_fields = 0;
	struct status s;

	(void)state;
	expect_refused(BYTES("\x0a\x05""abc"), "is cut off", "request_id", "1");
	expect_refused(BYTES("\x0a\x01"), "is cut off", "request_id", "1");
	expect_refused(BYTES("\x0a"), "is cut off", "request_id", "1");
	expect_refused(BYTES("\x80"), "is cut off", NULL, NULL);
	expect_refused(BYTES("\x32\x01\x80"), "permissions[0] (field 6) is cut off", "permissions[0]", "6");
	fixture_create_init(&f);
	whole = fixture_pack(&a, &f.m.base);
	for (size_t n = 1; n < whole.bytes; n++)
		between_fields += strict_walk(create, span_of(whole.data, n), &s) == 0;
	assert_int_equal(between_fields, 10 - 1);     /* ten fields, two of them permissions */
	arena_free(&a);
}

static void
numbers(void **state)
{
	(void)state;
	expect_fine(BYTES("\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));     /* -1 s */
	expect_fine(BYTES("\x42\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));     /* -1 ns */
	expect_fine(BYTES("\x32\x02\x08\x07"));     /* values are not form */
	expect_refused(BYTES("\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "more than 64 bits",
	    "issued_at.seconds", "1");
	expect_refused(BYTES("\x42\x0c\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "64 bits",
	    "issued_at.seconds", "1");
	expect_refused(BYTES("\x42\x03\x08\x81\x00"), "more bytes than it needs", "issued_at.seconds", "1");
	expect_refused(BYTES("\x0a\x81\x00x"), "more bytes than it needs", "request_id", "1");
	expect_refused(BYTES("\x8a\x00\x01x"), "more bytes than it needs", NULL, NULL);
	expect_refused(BYTES("\x42\x06\x10\x80\x80\x80\x80\x10"), "more than 32 bits", "issued_at.nanos", "2");
	expect_refused(BYTES("\x32\x06\x08\x81\x80\x80\x80\x10"), "more than 32 bits", "permissions[0].action", "1");
	expect_refused(BYTES("\x32\x02\x18\x02"), "neither true nor false", "permissions[0].all_databases", "3");
	expect_refused(BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), "is cut off", "request_id", "1");
}

/* No message of the contract holds itself; one that did would stop at a depth. */
static void
depth(void **state)
{
	static ProtobufCMessageDescriptor nested;
	static const ProtobufCFieldDescriptor child = {
		.name = "child", .id = 1, .label = PROTOBUF_C_LABEL_NONE, .type = PROTOBUF_C_TYPE_MESSAGE,
		.descriptor = &nested,
	};
	static const ProtobufCIntRange ranges[] = { { 1, 0 }, { 0, 1 } };
	unsigned char bytes[2 * STRICT_DEPTH_MOST];
	struct status s;

	(void)state;
	nested = (ProtobufCMessageDescriptor){
		.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, .short_name = "Nested",
		.n_fields = 1, .fields = &child, .n_field_ranges = 1, .field_ranges = ranges,
	};
	for (unsigned i = 0; i < STRICT_DEPTH_MOST; i++) {
		bytes[2 * i] = 0x0a;
		bytes[2 * i + 1] = (unsigned char)(sizeof(bytes) - 2 * i - 2);
	}
	assert_int_equal(strict_walk(&nested, span_of(bytes, sizeof(bytes)), &s), -1);
	assert_non_null(strstr(s.message, "too deep"));
	assert_int_equal(strict_walk(&nested, span_of(bytes + 2, sizeof(bytes) - 2), &s), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_request),
		cmocka_unit_test(explicit_defaults),
		cmocka_unit_test(any_order_of_fields),
		cmocka_unit_test(unknown_fields),
		cmocka_unit_test(repeated_singular_fields),
		cmocka_unit_test(two_members_of_a_oneof),
		cmocka_unit_test(strings),
		cmocka_unit_test(wire_types),
		cmocka_unit_test(truncated),
		cmocka_unit_test(numbers),
		cmocka_unit_test(depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
