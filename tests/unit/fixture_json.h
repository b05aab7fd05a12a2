/* SPDX-License-Identifier: Apache-2.0 */
/* What tests keep as JSON: bytes in hex or base64, and messages in protobuf's JSON mapping, which are held
 * member by member against what protobuf-c has decoded. Paths are relative to the repository, where tests run. */
#ifndef TOKEND_TESTS_FIXTURE_JSON_H
#define TOKEND_TESTS_FIXTURE_JSON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <protobuf-c/protobuf-c.h>
#include <sodium.h>

#include "google/protobuf/timestamp.pb-c.h"
#include "service/base/arena.h"
#include "service/base/text.h"

/* ---- files and members --------------------------------------------------------------------------------- */

/* The caller's, for cJSON_Delete. */
static inline cJSON *
json_load(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;
	ssize_t bytes;
	cJSON *json;

	if (f == NULL)
		fail_msg("%s cannot be read: tests run in the repository's own folder", path);
	bytes = getdelim(&text, &room, '\0', f);
	(void)fclose(f);
	json = bytes > 0 ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
	free(text);
	if (json == NULL)
		fail_msg("%s is no JSON", path);
	return json;
}

static inline const cJSON *
json_member(const cJSON *object, const char *name)
{
	const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);

	if (found == NULL)
		fail_msg("no member \"%s\"", name);
	return found;
}

static inline const char *
json_text(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(json_member(object, name));

	if (text == NULL)
		fail_msg("\"%s\" is no string", name);
	return text != NULL ? text : "";        /* the compiler does not know that failing does not return */
}

/* NULL when there is none. */
static inline const char *
json_text_or_null(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static inline int64_t
json_number(const cJSON *object, const char *name)
{
	const cJSON *n = json_member(object, name);

	if (!cJSON_IsNumber(n))
		fail_msg("\"%s\" is no number", name);
	return (int64_t)n->valuedouble;
}

/* The one of that name in an array of named things. */
static inline const cJSON *
json_named(const cJSON *array, const char *key, const char *name)
{
	const cJSON *each;

	cJSON_ArrayForEach(each, array)
		if (strcmp(json_text(each, key), name) == 0)
			return each;
	fail_msg("there is none named %s", name);
	return NULL;
}

static inline struct span
json_hex(struct arena *a, const cJSON *object, const char *name)
{
	const char *text = json_text(object, name);
	size_t bytes = 0, digits = strlen(text);
	unsigned char *room = arena_alloc(a, digits / 2 + 1);

	if (sodium_hex2bin(room, digits / 2 + 1, text, digits, NULL, &bytes, NULL) != 0 || 2 * bytes != digits)
		fail_msg("\"%s\" is no hex", name);
	return span_of(room, bytes);
}

static inline struct span
json_base64(struct arena *a, const char *text)
{
	size_t most = strlen(text) / 4 * 3;
	unsigned char *room = arena_alloc(a, most + 1);
	long bytes = text_parse_base64(span_str(text), room, most);

	if (bytes < 0)
		fail_msg("\"%s\" is no base64", text);
	return span_of(room, (size_t)bytes);
}

static inline void
json_expect_bytes(struct span found, struct span wanted, const char *what)
{
	if (!span_equal(found, wanted))
		fail_msg("%s: %zu bytes that differ from the %zu wanted", what, found.bytes, wanted.bytes);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static inline void json_expect(const ProtobufCMessage *m, const cJSON *fields);

static inline int64_t
json_integer(const cJSON *value)
{
	if (value == NULL)
		return 0;
	return cJSON_IsString(value) ? strtoll(value->valuestring, NULL, 10) : (int64_t)value->valuedouble;
}

static inline void
json_expect_time(const Google__Protobuf__Timestamp *t, const cJSON *wanted, const char *name)
{
	int64_t seconds = 0;
	int32_t nanos = 0;

	assert_true(cJSON_IsString(wanted) && text_parse_time(span_str(wanted->valuestring), &seconds, &nanos));
	if (t->seconds != seconds || t->nanos != nanos)
		fail_msg("%s: %lld.%09d instead of %s", name, (long long)t->seconds, (int)t->nanos,
		    wanted->valuestring);
}

static inline void
json_expect_message(const ProtobufCMessage *m, const cJSON *wanted, const char *name)
{
	if ((m != NULL) != (wanted != NULL))
		fail_msg("%s: %s", name, m != NULL ? "stands where none is wanted" : "is missing");
	if (m == NULL)
		return;
	if (m->descriptor == &google__protobuf__timestamp__descriptor)
		json_expect_time((const Google__Protobuf__Timestamp *)m, wanted, name);
	else
		json_expect(m, wanted);
}

static inline int64_t
json_enum(const ProtobufCEnumDescriptor *type, const cJSON *wanted)
{
	const ProtobufCEnumValue *value;

	if (wanted == NULL)
		return 0;
	assert_true(cJSON_IsString(wanted));
	value = protobuf_c_enum_descriptor_get_value_by_name(type, wanted->valuestring);
	if (value == NULL)
		fail_msg("%s has no %s", type->name, wanted->valuestring);
	return value->value;
}

/* at: where the member lies. wanted NULL: the default. */
static inline void
json_expect_value(const ProtobufCFieldDescriptor *f, const void *at, const cJSON *wanted)
{
	const char *text = wanted != NULL ? wanted->valuestring : "";
	struct arena a = { 0 };
	int64_t found = 0, expected = 0;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (strcmp(*(char *const *)at, text) != 0)
			fail_msg("%s: \"%s\" instead of \"%s\"", f->name, *(char *const *)at, text);
		return;
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *bytes = at;

		json_expect_bytes(span_of(bytes->data, bytes->len), json_base64(&a, text), f->name);
		arena_free(&a);
		return;
	}
	case PROTOBUF_C_TYPE_MESSAGE:
		json_expect_message(*(ProtobufCMessage *const *)at, wanted, f->name);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		found = *(const protobuf_c_boolean *)at;
		expected = cJSON_IsTrue(wanted);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		found = *(const int *)at;
		expected = json_enum(f->descriptor, wanted);
		break;
	case PROTOBUF_C_TYPE_INT32:
		found = *(const int32_t *)at;
		expected = json_integer(wanted);
		break;
	case PROTOBUF_C_TYPE_UINT32:
		found = *(const uint32_t *)at;
		expected = json_integer(wanted);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		found = *(const int64_t *)at;
		expected = json_integer(wanted);
		break;
	default:
		fail_msg("%s is of a type that no message of ours had", f->name);
	}
	if (found != expected)
		fail_msg("%s: %lld instead of %lld", f->name, (long long)found, (long long)expected);
}

static inline void
json_expect_repeated(const ProtobufCFieldDescriptor *f, const char *base, const cJSON *wanted)
{
	size_t n = *(const size_t *)(base + f->quantifier_offset);
	ProtobufCMessage *const *all = *(ProtobufCMessage *const *const *)(base + f->offset);

	assert_int_equal(f->type, PROTOBUF_C_TYPE_MESSAGE);
	if (n != (size_t)cJSON_GetArraySize(wanted))
		fail_msg("%s: %zu instead of %d", f->name, n, cJSON_GetArraySize(wanted));
	for (size_t i = 0; i < n; i++)
		json_expect_message(all[i], cJSON_GetArrayItem(wanted, (int)i), f->name);
}

/* Every member is as fields says, and fields says nothing that the message does not have. */
static inline void
json_expect(const ProtobufCMessage *m, const cJSON *fields)
{
	const ProtobufCMessageDescriptor *type = m->descriptor;
	const char *base = (const char *)m;
	const cJSON *each;

	assert_true(cJSON_IsObject(fields));
	cJSON_ArrayForEach(each, fields)
		if (protobuf_c_message_descriptor_get_field_by_name(type, each->string) == NULL)
			fail_msg("%s has no field %s", type->name, each->string);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];
		const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(fields, f->name);
		const void *at = base + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			json_expect_repeated(f, base, wanted);
		} else if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
			json_expect_value(f, at, wanted);
		} else {
			bool chosen = *(const uint32_t *)(base + f->quantifier_offset) == f->id;

			if (chosen != (wanted != NULL))
				fail_msg("%s: %s", f->name, chosen ? "stands where none is wanted" : "is missing");
			if (chosen)
				json_expect_value(f, at, wanted);
		}
	}
	assert_int_equal(m->n_unknown_fields, 0);
}

/* Decode, and hold against fields. */
static inline void
json_expect_decoded(const ProtobufCMessageDescriptor *type, struct span body, const cJSON *fields)
{
	ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, body.bytes, body.data);

	if (m == NULL)
		fail_msg("is no %s", type->name);
	json_expect(m, fields);
	protobuf_c_message_free_unpacked(m, NULL);
}

#endif
