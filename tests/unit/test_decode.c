/* Goal: every field of a request is held to the contract, and a refusal names it and says of what it is told. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_request.h"

#include "service/decode.h"

struct decoding {
	struct arena a;
	struct request r;
	struct status refusal;
	struct fixture_create f;
};

static void
begin(struct decoding *d)
{
	memset(d, 0, sizeof(*d));
	fixture_create_init(&d->f);
}

static int
shape(struct decoding *d)
{
	return decode_shape(&fixture_config, METHOD_CREATE_TOKEN, fixture_pack(&d->a, &d->f.m.base), span_str(ID),
	    "telemetry", &d->a, &d->r, &d->refusal);
}

static void
expect_fine(struct decoding *d)
{
	if (shape(d) != 0 || decode_values(&fixture_config, &d->a, &d->r, &d->refusal) != 0)
		fail_msg("refused: %s", d->refusal.message);
}

static void
expect_told(struct decoding *d, enum status_cause cause, const char *field, const char *words)
{
	assert_int_equal(d->refusal.cause, cause);
	if (strstr(d->refusal.message, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", d->refusal.message, words);
	assert_non_null(fixture_detail(&d->refusal, "field"));
	assert_string_equal(fixture_detail(&d->refusal, "field"), field);
	arena_free(&d->a);
}

/* This record is refused. */
static void
expect_bad_shape(struct decoding *d, enum status_cause cause, const char *field, const char *words)
{
	assert_int_equal(shape(d), -1);
	expect_told(d, cause, field, words);
}

/* The request is refused for good. */
static void
expect_bad_value(struct decoding *d, const char *field, const char *words)
{
	if (shape(d) != 0)
		fail_msg("its shape is refused: %s", d->refusal.message);
	assert_int_equal(decode_values(&fixture_config, &d->a, &d->r, &d->refusal), -1);
	expect_told(d, STATUS_INVALID_FIELD, field, words);
}

static void
a_good_request(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.deadline = &d.f.deadline;
	expect_fine(&d);
	assert_string_equal(d.r.request_id, ID);
	assert_int_equal(d.r.issued_at, NOW);
	assert_true(d.r.has_deadline);
	assert_int_equal(d.r.deadline, NOW + 600);
	assert_int_equal(d.r.cluster, 0);
	assert_string_equal(d.r.description, "orders writer");
	assert_int_equal(d.r.description_bytes, 13);
	assert_int_equal(d.r.n_permissions, 2);
	assert_int_equal(d.r.permissions[1].action, PERMISSION_WRITE);
	assert_string_equal(d.r.permissions[1].database, "telemetry_a");
	assert_true(d.r.has_expires_at);
	assert_string_equal(d.r.recipient_key_id, "t-box1");
	assert_false(d.r.inline_key);
	arena_free(&d.a);
}

static void
what_may_be_absent(void **state)
{
	struct config one = fixture_config;
	struct decoding d;

	(void)state;
	one.n_clusters = 1;
	begin(&d);
	d.f.m.target = NULL;
	d.f.m.expires_at = NULL;
	assert_int_equal(shape(&d), 0);
	assert_int_equal(decode_values(&one, &d.a, &d.r, &d.refusal), 0);
	assert_int_equal(d.r.cluster, 0);
	assert_false(d.r.has_expires_at);
	assert_false(d.r.has_deadline);
	assert_int_equal(d.r.deadline, NOW + 900);

	one.deadline_most_ms = 300000;
	assert_int_equal(decode_shape(&one, METHOD_CREATE_TOKEN, fixture_pack(&d.a, &d.f.m.base), span_str(ID),
	    "telemetry", &d.a, &d.r, &d.refusal), 0);
	assert_int_equal(d.r.deadline, NOW + 300);       /* the default, too, is held to the most */
	arena_free(&d.a);
}

static void
to_whom_it_is_addressed(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.request_id = (char *)"another";
	expect_bad_shape(&d, STATUS_INVALID_RECORD, "request_id", "\"another\", but the record's key is \"" ID "\"");
	begin(&d);
	d.f.m.principal = (char *)"billing";
	expect_bad_shape(&d, STATUS_WRONG_PRINCIPAL, "principal",
	    "\"billing\", but the key that signed is telemetry's");
	begin(&d);
	d.f.m.service_id = (char *)"other\x01";
	expect_bad_shape(&d, STATUS_UNDECODABLE, "service_id", "\\x01");
}

static void
times_of_the_record(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.issued_at = NULL;
	expect_bad_shape(&d, STATUS_UNDECODABLE, "issued_at", "missing");
	begin(&d);
	d.f.issued_at.nanos = 5;
	expect_bad_shape(&d, STATUS_UNDECODABLE, "issued_at", "nanos is 5");
	begin(&d);
	d.f.issued_at.seconds = INT64_MAX;
	expect_bad_shape(&d, STATUS_UNDECODABLE, "issued_at", "no time");
	begin(&d);
	d.f.m.deadline = &d.f.deadline;
	d.f.deadline.seconds = INT64_MIN;
	expect_bad_shape(&d, STATUS_UNDECODABLE, "deadline", "no time");
}

static void
times_of_the_request(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.deadline = &d.f.deadline;
	d.f.deadline.nanos = 1;
	expect_bad_value(&d, "deadline", "nanos is 1");
	begin(&d);
	d.f.m.deadline = &d.f.deadline;
	d.f.deadline.seconds = NOW - 1;
	expect_bad_value(&d, "deadline", "1 seconds before issued_at");
	begin(&d);
	d.f.m.deadline = &d.f.deadline;
	d.f.deadline.seconds = NOW + 3601;
	assert_int_equal(shape(&d), 0);
	assert_int_equal(d.r.deadline, NOW + 3600);      /* nobody remembers it for longer */
	expect_bad_value(&d, "deadline", "3601 seconds after issued_at; at most 3600");
	begin(&d);
	d.f.m.deadline = &d.f.deadline;
	d.f.deadline.seconds = NOW + 3600;
	expect_fine(&d);
	arena_free(&d.a);
	begin(&d);
	d.f.expires_at.nanos = -1;
	expect_bad_value(&d, "expires_at", "nanos is -1");
	begin(&d);
	d.f.expires_at.seconds = INT64_MAX;
	expect_bad_value(&d, "expires_at", "no time");
}

static void
targets(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.target = NULL;
	expect_bad_value(&d, "target", "2 clusters");
	begin(&d);
	d.f.target.cluster = (char *)"";
	expect_bad_value(&d, "target", "2 clusters");
	begin(&d);
	d.f.target.cluster = (char *)"stage\n";
	expect_bad_value(&d, "target.cluster", "\"stage\\x0a\"");
	begin(&d);
	d.f.target.account_id = (char *)ACCOUNT;
	d.f.target.cluster_id = (char *)CLUSTER;
	expect_bad_value(&d, "target", "both by name and by ids");
	begin(&d);
	d.f.target.cluster = (char *)"";
	d.f.target.account_id = (char *)ACCOUNT;
	expect_bad_value(&d, "target", "cluster_id is missing");
	begin(&d);
	d.f.target.cluster = (char *)"";
	d.f.target.cluster_id = (char *)CLUSTER;
	expect_bad_value(&d, "target", "account_id is missing");
	begin(&d);
	d.f.target.cluster = (char *)"";
	d.f.target.account_id = (char *)ACCOUNT;
	d.f.target.cluster_id = (char *)"../../x";
	expect_bad_value(&d, "target.cluster_id", "../../x");
	begin(&d);
	d.f.target.cluster = (char *)"";
	d.f.target.account_id = (char *)ACCOUNT;
	d.f.target.cluster_id = (char *)ACCOUNT;
	expect_bad_value(&d, "target", "knows no cluster " ACCOUNT);
	begin(&d);
	d.f.target.cluster = (char *)"";
	d.f.target.account_id = (char *)ACCOUNT;
	d.f.target.cluster_id = (char *)CLUSTER;
	expect_fine(&d);
	assert_int_equal(d.r.cluster, 0);
	arena_free(&d.a);
	begin(&d);
	d.f.target.cluster = (char *)"edge";
	expect_fine(&d);
	assert_int_equal(d.r.cluster, 1);
	arena_free(&d.a);
}

static void
descriptions(void **state)
{
	static const char *const bad[] = { "", " x", "x ", "a\tb", "a\x7f", "x [tokend/1:a]", "\xc2\x85" };
	char text[202];
	struct decoding d;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(&d);
		d.f.m.description = (char *)(uintptr_t)bad[i];
		expect_bad_value(&d, "description", "1 to 200 bytes");
	}
	memset(text, 'x', sizeof(text));
	text[201] = '\0';
	begin(&d);
	d.f.m.description = text;
	expect_bad_value(&d, "description", "these are 201");
	text[200] = '\0';
	begin(&d);
	d.f.m.description = text;
	expect_fine(&d);
	arena_free(&d.a);
}

static void
each_permission(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.n_permissions = 0;
	expect_bad_value(&d, "permissions", "without any");
	begin(&d);
	d.f.permissions[1].action = (Tokend__V1__Action)3;
	expect_bad_value(&d, "permissions[1].action", "3 is neither READ nor WRITE");
	begin(&d);
	d.f.permissions[0].action = TOKEND__V1__ACTION__ACTION_UNSPECIFIED;
	expect_bad_value(&d, "permissions[0].action", "0 is neither");
	begin(&d);
	d.f.permissions[1].resource_case = TOKEND__V1__PERMISSION__RESOURCE__NOT_SET;
	expect_bad_value(&d, "permissions[1]", "neither a database nor all_databases");
	begin(&d);
	d.f.permissions[1].resource_case = TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
	d.f.permissions[1].all_databases = 0;
	expect_bad_value(&d, "permissions[1].all_databases", "is false");
	begin(&d);
	d.f.permissions[1].database = (char *)"*";
	expect_bad_value(&d, "permissions[1].database", "all_databases");
	begin(&d);
	d.f.permissions[1].database = (char *)"a b";
	expect_bad_value(&d, "permissions[1].database", "\"a b\"");
	begin(&d);
	d.f.permissions[1].database = (char *)"";
	expect_bad_value(&d, "permissions[1].database", "1 to 64");
	begin(&d);
	d.f.permissions[1].database = (char *)"db/rp_-9";
	expect_fine(&d);
	arena_free(&d.a);
	begin(&d);
	d.f.permissions[1].resource_case = TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
	d.f.permissions[1].all_databases = 1;
	expect_fine(&d);
	assert_null(d.r.permissions[1].database);
	arena_free(&d.a);
}

static void
repeated_permissions(void **state)
{
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.n_permissions = 4;
	d.f.permissions[3].database = (char *)"telemetry_a";
	expect_bad_value(&d, "permissions[3]", "repeats permissions[1]");
	begin(&d);
	d.f.m.n_permissions = 4;
	for (int i = 0; i <= 2; i += 2) {
		d.f.permissions[i].resource_case = TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
		d.f.permissions[i].all_databases = 1;
	}
	expect_bad_value(&d, "permissions[2]", "repeats permissions[0]");
	begin(&d);
	d.f.m.n_permissions = 4;
	expect_fine(&d);
	arena_free(&d.a);
}

static void
a_thousand_permissions(void **state)
{
	static Tokend__V1__Permission each[1001], *pointers[1001];
	static char names[1001][16];
	struct decoding d;

	(void)state;
	for (int i = 0; i < 1001; i++) {
		tokend__v1__permission__init(&each[i]);
		(void)snprintf(names[i], sizeof(names[i]), "db%d", 1000 - i);
		each[i].action = TOKEND__V1__ACTION__READ;
		each[i].resource_case = TOKEND__V1__PERMISSION__RESOURCE_DATABASE;
		each[i].database = names[i];
		pointers[i] = &each[i];
	}
	begin(&d);
	d.f.m.permissions = pointers;
	d.f.m.n_permissions = 1000;
	expect_fine(&d);
	assert_string_equal(d.r.permissions[0].database, "db1000");      /* the request's order */
	assert_string_equal(d.r.permissions[999].database, "db1");
	arena_free(&d.a);
	begin(&d);
	d.f.m.permissions = pointers;
	d.f.m.n_permissions = 1001;
	expect_bad_value(&d, "permissions", "are 1001; at most 1000");
}

static void
recipients(void **state)
{
	unsigned char key[33] = { 9 };
	struct decoding d;

	(void)state;
	begin(&d);
	d.f.m.recipient = NULL;
	expect_bad_value(&d, "recipient", "missing");
	begin(&d);
	d.f.recipient.key_case = TOKEND__V1__RECIPIENT__KEY__NOT_SET;
	expect_bad_value(&d, "recipient", "missing");
	begin(&d);
	d.f.recipient.key_id = (char *)"sha256:00";
	expect_bad_value(&d, "recipient.key_id", "sha256:00");
	begin(&d);
	d.f.recipient.key_id = (char *)"";
	expect_bad_value(&d, "recipient.key_id", "1 to 64");
	for (int suite = 0; suite < 4; suite++) {
		begin(&d);
		d.f.recipient.key_case = TOKEND__V1__RECIPIENT__KEY_INLINE_KEY;
		d.f.recipient.inline_key = &d.f.inline_key;
		d.f.inline_key.suite = (Tokend__V1__Suite)suite;
		d.f.inline_key.public_key = (ProtobufCBinaryData){ 32, key };
		if (suite != SUITE_SEALEDBOX) {
			expect_bad_value(&d, "recipient.inline_key.suite", "not a suite");
		} else {
			expect_fine(&d);
			assert_true(d.r.inline_key);
			assert_int_equal(d.r.inline_public_key.bytes, 32);
			arena_free(&d.a);
		}
	}
	for (size_t bytes = 31; bytes <= 33; bytes += 2) {
		begin(&d);
		d.f.recipient.key_case = TOKEND__V1__RECIPIENT__KEY_INLINE_KEY;
		d.f.recipient.inline_key = &d.f.inline_key;
		d.f.inline_key.suite = TOKEND__V1__SUITE__SEALEDBOX_X25519;
		d.f.inline_key.public_key = (ProtobufCBinaryData){ bytes, key };
		expect_bad_value(&d, "recipient.inline_key.public_key", "an X25519 key has 32");
	}
}

static int
small_shape(struct decoding *d, enum method m, const ProtobufCMessage *message)
{
	return decode_shape(&fixture_config, m, fixture_pack(&d->a, message), span_str(ID), "telemetry", &d->a, &d->r,
	    &d->refusal);
}

static void
the_two_small_methods(void **state)
{
	Tokend__V1__GetOutcomeRequest get = TOKEND__V1__GET_OUTCOME_REQUEST__INIT;
	Tokend__V1__RevokeTokenRequest revoke = TOKEND__V1__REVOKE_TOKEN_REQUEST__INIT;
	Google__Protobuf__Timestamp issued_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT,
	    deadline = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	char reason[202];
	struct decoding d;

	(void)state;
	memset(reason, 'r', sizeof(reason));
	issued_at.seconds = NOW;
	deadline.seconds = NOW + 60;
	get.request_id = revoke.request_id = (char *)ID;
	get.principal = revoke.principal = (char *)"telemetry";
	get.service_id = revoke.service_id = (char *)"tokens";
	get.issued_at = revoke.issued_at = &issued_at;
	get.deadline = revoke.deadline = &deadline;

	begin(&d);
	assert_int_equal(small_shape(&d, METHOD_GET_OUTCOME, &get.base), 0);
	assert_int_equal(d.r.deadline, NOW + 60);
	assert_null(d.r.reason);
	revoke.reason = (char *)"left the company";
	assert_int_equal(small_shape(&d, METHOD_REVOKE_TOKEN, &revoke.base), 0);
	assert_string_equal(d.r.reason, "left the company");
	assert_int_equal(d.r.method, METHOD_REVOKE_TOKEN);

	revoke.reason = reason;
	reason[201] = '\0';
	assert_int_equal(small_shape(&d, METHOD_REVOKE_TOKEN, &revoke.base), -1);
	expect_told(&d, STATUS_UNDECODABLE, "reason", "201 bytes");
	reason[200] = '\0';
	assert_int_equal(small_shape(&d, METHOD_REVOKE_TOKEN, &revoke.base), 0);
	reason[3] = '\n';
	assert_int_equal(small_shape(&d, METHOD_REVOKE_TOKEN, &revoke.base), -1);
	expect_told(&d, STATUS_UNDECODABLE, "reason", "control character");

	deadline.seconds = NOW + 3601;
	assert_int_equal(small_shape(&d, METHOD_GET_OUTCOME, &get.base), -1);
	expect_told(&d, STATUS_UNDECODABLE, "deadline", "at most 3600");
	deadline.seconds = NOW + 60;
	deadline.nanos = 7;
	assert_int_equal(small_shape(&d, METHOD_GET_OUTCOME, &get.base), -1);
	expect_told(&d, STATUS_UNDECODABLE, "deadline", "nanos is 7");
	/* A GetOutcome's reason is a field that it does not have. */
	deadline.nanos = 0;
	reason[3] = 'r';
	assert_int_equal(small_shape(&d, METHOD_GET_OUTCOME, &revoke.base), -1);
	assert_string_equal(fixture_detail(&d.refusal, "field_number"), "6");
	arena_free(&d.a);
}

/* Whatever single byte is changed, decoding ends, and never with a crash. */
static void
flipped_bytes(void **state)
{
	struct decoding d;
	struct span body;
	unsigned char *copy;

	(void)state;
	begin(&d);
	body = fixture_pack(&d.a, &d.f.m.base);
	copy = malloc(body.bytes);
	assert_non_null(copy);
	for (size_t i = 0; i < body.bytes; i++) {
		for (int bit = 0; bit < 8; bit++) {
			struct arena a = { 0 };

			memcpy(copy, body.data, body.bytes);
			copy[i] ^= (unsigned char)(1 << bit);
			if (decode_shape(&fixture_config, METHOD_CREATE_TOKEN, span_of(copy, body.bytes),
			    span_str(ID), "telemetry", &a, &d.r, &d.refusal) == 0)
				(void)decode_values(&fixture_config, &a, &d.r, &d.refusal);
			arena_free(&a);
		}
	}
	free(copy);
	arena_free(&d.a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_request),
		cmocka_unit_test(what_may_be_absent),
		cmocka_unit_test(to_whom_it_is_addressed),
		cmocka_unit_test(times_of_the_record),
		cmocka_unit_test(times_of_the_request),
		cmocka_unit_test(targets),
		cmocka_unit_test(descriptions),
		cmocka_unit_test(each_permission),
		cmocka_unit_test(repeated_permissions),
		cmocka_unit_test(a_thousand_permissions),
		cmocka_unit_test(recipients),
		cmocka_unit_test(the_two_small_methods),
		cmocka_unit_test(flipped_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
