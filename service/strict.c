/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict walk over the wire, before protobuf-c sees it.
 *
 * protobuf-c 1.4 is lenient where a signed request must not be: it cuts a string at its first NUL, takes
 * invalid UTF-8, lets the last of two values win, truncates numbers that are too wide and keeps unknown
 * fields for later. Each of these lets two readers of the same signed bytes see two requests. So the bytes
 * are walked first, led by the generated descriptors, and whatever a conforming encoder would not write, or
 * another reader might read in another way, is refused with the path of the field. An explicit default is
 * no such thing: some encoders write them, and everybody reads the same.
 *
 * It judges form alone. Which enum values, lengths and characters are allowed is decode.c's matter. No
 * message that we walk has repeated numbers, so there are no packed fields to know about.
 */
#include "service/strict.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>

#include "service/base/text.h"
#include "service/status.h"

#define FIELD_NUMBER_MOST ((1u << 29) - 1)
#define VARINT_BYTES_MOST 10
#define PATH_ROOM 80                 /* what a detail of a status holds */

enum wire { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_32BIT = 5 };

/* One message on the way down, and the field that is being looked at. */
struct place {
	const struct place *up;              /* the message that holds this one; NULL at the top */
	const ProtobufCMessageDescriptor *type;
	struct span rest;                    /* of this message's bytes, not read yet */
	const ProtobufCFieldDescriptor *field;
	uint32_t number;                     /* of field, also where it is unknown */
	uint64_t seen;                       /* bit i: type->fields[i] */
	unsigned counts[STRICT_FIELDS_MOST]; /* of repeated fields */
	unsigned depth;
	struct status *refusal;
};

static unsigned
field_index(const struct place *at)
{
	return (unsigned)(at->field - at->type->fields);
}

/* "permissions[3].database"; of a field that is not known, the message that holds it. */
static size_t
write_path(const struct place *at, char room[PATH_ROOM])
{
	size_t used = at->up != NULL ? write_path(at->up, room) : 0;

	if (at->field == NULL || used >= PATH_ROOM - 1)
		return used;
	used += (size_t)snprintf(room + used, PATH_ROOM - used, "%s%s", used > 0 ? "." : "", at->field->name);
	if (at->field->label == PROTOBUF_C_LABEL_REPEATED && used < PATH_ROOM - 1)
		used += (size_t)snprintf(room + used, PATH_ROOM - used, "[%u]", at->counts[field_index(at)]);
	return used < PATH_ROOM - 1 ? used : PATH_ROOM - 1;
}

/* what: how the sentence about the field goes on. */
static int
refuse(const struct place *at, const char *what)
{
	char path[PATH_ROOM] = "";

	if (at->field == NULL && at->up != NULL)
		at = at->up;     /* between two fields: it is the message that is broken */
	if (at->field == NULL)
		return status_set(at->refusal, STATUS_UNDECODABLE, "%s %s", at->type->short_name, what);
	(void)write_path(at, path);
	(void)status_set(at->refusal, STATUS_UNDECODABLE, "%s (field %u) %s", path, at->number, what);
	status_detail(at->refusal, "field", "%s", path);
	status_detail(at->refusal, "field_number", "%u", at->number);
	return -1;
}

static int
refuse_unknown(const struct place *at)
{
	char path[PATH_ROOM] = "";

	(void)write_path(at, path);
	(void)status_set(at->refusal, STATUS_UNDECODABLE, "%s has no field %u: this tokend is older than your client",
	    path[0] != '\0' ? path : at->type->short_name, at->number);
	if (path[0] != '\0')
		status_detail(at->refusal, "field", "%s", path);
	status_detail(at->refusal, "field_number", "%u", at->number);
	return -1;
}

/* Moves at->rest past a varint. Only the shortest form of a number is taken: the padded ones exist to be
 * told apart by nobody. */
static int
take_varint(struct place *at, uint64_t *ret)
{
	const unsigned char *p = at->rest.data;
	uint64_t value = 0;

	for (size_t i = 0; i < at->rest.bytes; i++) {
		if (i == VARINT_BYTES_MOST - 1 && p[i] > 1)
			return refuse(at, "holds a number of more than 64 bits");
		value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if ((p[i] & 0x80) != 0)
			continue;
		if (p[i] == 0 && i > 0)
			return refuse(at, "holds a number in more bytes than it needs");
		at->rest = span_of(p + i + 1, at->rest.bytes - i - 1);
		*ret = value;
		return 0;
	}
	return refuse(at, "is cut off");
}

static int
take_bytes(struct place *at, uint64_t bytes, struct span *ret)
{
	if (bytes > at->rest.bytes)
		return refuse(at, "is cut off");
	*ret = span_of(at->rest.data, (size_t)bytes);
	at->rest = span_of(at->rest.data + bytes, at->rest.bytes - (size_t)bytes);
	return 0;
}

static enum wire
wire_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_BYTES;
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32BIT;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64BIT;
	default:
		return WIRE_VARINT;
	}
}

/* A number that its type cannot hold would be cut by one reader and refused by the next. */
static int
check_width(const struct place *at, uint64_t number)
{
	switch (at->field->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return number <= 1 ? 0 : refuse(at, "is neither true nor false");
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		return number <= UINT32_MAX ? 0 : refuse(at, "holds a number of more than 32 bits");
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		return (int64_t)number == (int32_t)number ? 0 : refuse(at, "holds a number of more than 32 bits");
	default:
		return 0;
	}
}

static int
check_text(const struct place *at, struct span text)
{
	if (text.bytes > 0 && memchr(text.data, '\0', text.bytes) != NULL)
		return refuse(at, "holds a NUL");
	return text_is_utf8(text) ? 0 : refuse(at, "is not UTF-8");
}

static int walk_message(const ProtobufCMessageDescriptor *type, struct span bytes, const struct place *up,
    struct status *refusal);

static int
walk_value(struct place *at, enum wire wire)
{
	uint64_t number;
	struct span bytes;

	if (wire == WIRE_32BIT || wire == WIRE_64BIT)
		return take_bytes(at, wire == WIRE_32BIT ? 4 : 8, &bytes);
	if (take_varint(at, &number) != 0)
		return -1;
	if (wire == WIRE_VARINT)
		return check_width(at, number);
	if (take_bytes(at, number, &bytes) != 0)
		return -1;
	if (at->field->type == PROTOBUF_C_TYPE_STRING)
		return check_text(at, bytes);
	if (at->field->type == PROTOBUF_C_TYPE_MESSAGE)
		return walk_message(at->field->descriptor, bytes, at, at->refusal);
	return 0;
}

static bool
is_oneof(const ProtobufCFieldDescriptor *f)
{
	return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* A singular field may stand once; of a oneof, one member: they share where protobuf-c notes which of them
 * it was. */
static int
check_first(struct place *at)
{
	const ProtobufCFieldDescriptor *fields = at->type->fields, *f = at->field;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return 0;
	for (unsigned i = 0; i < at->type->n_fields; i++) {
		if ((at->seen >> i & 1) == 0)
			continue;
		if (&fields[i] == f)
			return refuse(at, "stands more than once");
		if (is_oneof(f) && is_oneof(&fields[i]) && fields[i].quantifier_offset == f->quantifier_offset)
			return refuse(at, "stands beside another field that excludes it");
	}
	at->seen |= UINT64_C(1) << field_index(at);
	return 0;
}

static int
walk_field(struct place *at)
{
	uint64_t tag;

	at->field = NULL;
	at->number = 0;
	if (take_varint(at, &tag) != 0)
		return -1;
	if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MOST)
		return refuse(at, "holds a field number that none can have");

	enum wire wire = (enum wire)(tag & 7);

	at->number = (uint32_t)(tag >> 3);
	at->field = protobuf_c_message_descriptor_get_field(at->type, at->number);
	if (at->field == NULL)
		return refuse_unknown(at);
	if (wire == WIRE_GROUP || wire == WIRE_GROUP_END)
		return refuse(at, "is a group, which proto3 does not have");
	if (wire != wire_of(at->field->type))
		return refuse(at, "has another wire type than its declaration");
	if (check_first(at) != 0 || walk_value(at, wire) != 0)
		return -1;
	if (at->field->label == PROTOBUF_C_LABEL_REPEATED)
		at->counts[field_index(at)]++;
	return 0;
}

static int
walk_message(const ProtobufCMessageDescriptor *type, struct span bytes, const struct place *up, struct status *refusal)
{
	struct place at = { .up = up, .type = type, .rest = bytes, .refusal = refusal,
	    .depth = up != NULL ? up->depth + 1 : 1 };

	assert(type->n_fields <= STRICT_FIELDS_MOST);
	if (at.depth > STRICT_DEPTH_MOST)
		return refuse(up, "lies too deep");
	while (at.rest.bytes > 0)
		if (walk_field(&at) != 0)
			return -1;
	return 0;
}

int
strict_walk(const ProtobufCMessageDescriptor *type, struct span bytes, struct status *ret_refusal)
{
	return walk_message(type, bytes, NULL, ret_refusal);
}
