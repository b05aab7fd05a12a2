/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified bytes become a request, in two steps, because two different things are said when they fail.
 *
 * decode_shape, here, asks whether this record is a request of its signer at all: the strict walk
 * (strict.c), its times, to whom it is addressed. What fails there is said of the RECORD. Then the journal
 * is asked, and only a request that it does not know gets to decode_values (decode_values.c), whose
 * refusals are the request's OUTCOME for good: the same bytes would fail again.
 *
 * protobuf-c allocates from the ticket's arena: nothing is freed one by one, and the request's strings are
 * the message's own. What needs a clock, the policy or a key's mathematics is not asked here (authorize.c).
 */
#include "service/decode.h"

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/text.h"
#include "service/decode_parts.h"
#include "service/strict.h"

#define REASON_BYTES_MOST 200

/* What the rooms go by. It is never beyond the most that is configured, for the journal forgets by that: a
 * default is cut to it, and so, until decode_values refuses it, is a deadline that asks for more. */
static void
fill_deadline(const struct config *c, const Google__Protobuf__Timestamp *t, struct request *r)
{
	int64_t most = r->issued_at + (int64_t)(c->deadline_most_ms / 1000);

	r->has_deadline = t != NULL;
	r->deadline = t != NULL ? t->seconds : r->issued_at + (int64_t)(duration_ms(DURATION_DEADLINE_DEFAULT) / 1000);
	if (r->deadline > most)
		r->deadline = most;
}

static void *
allocate(void *arena, size_t bytes)
{
	return arena_alloc(arena, bytes);
}

static void
keep(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static ProtobufCMessage *
unpack(const ProtobufCMessageDescriptor *type, struct span body, struct arena *a, struct status *ret_refusal)
{
	ProtobufCAllocator allocator = { allocate, keep, a };
	ProtobufCMessage *m;

	if (strict_walk(type, body, ret_refusal) != 0)
		return NULL;
	m = protobuf_c_message_unpack(type, &allocator, body.bytes, body.data);
	if (m == NULL)
		(void)status_set(ret_refusal, STATUS_UNDECODABLE, "the value is no %s", type->short_name);
	return m;
}

/* What all three requests have: who asks whom, when. */
struct envelope {
	const char *request_id, *principal, *service_id;
	const Google__Protobuf__Timestamp *issued_at, *deadline;
};

static int
check_envelope(const struct config *c, const struct envelope *e, struct span key, const char *owner,
    struct status *ret_refusal)
{
	char shown[TEXT_SHOWN_ROOM], shown_key[TEXT_SHOWN_ROOM];

	if (e->issued_at == NULL)
		return decode_refuse(ret_refusal, STATUS_UNDECODABLE, "issued_at", "is missing");
	if (decode_check_seconds("issued_at", e->issued_at, STATUS_UNDECODABLE, ret_refusal) != 0)
		return -1;
	if (!span_is(key, e->request_id))
		return decode_refuse(ret_refusal, STATUS_INVALID_RECORD, "request_id",
		    "is \"%s\", but the record's key is \"%s\"", text_shown(span_str(e->request_id), shown),
		    text_shown(key, shown_key));
	if (strcmp(e->principal, owner) != 0)
		return decode_refuse(ret_refusal, STATUS_WRONG_PRINCIPAL, "principal",
		    "is \"%s\", but the key that signed is %s's", text_shown(span_str(e->principal), shown), owner);
	if (strcmp(e->service_id, c->service_id) != 0)
		return decode_refuse(ret_refusal, STATUS_UNDECODABLE, "service_id", "is \"%s\", but this service is %s",
		    text_shown(span_str(e->service_id), shown), c->service_id);
	return 0;
}

/* GetOutcome and RevokeToken end in decode_shape, so their deadline is refused there. CreateToken's has its
 * turn in decode_values; here it must only be a time. */
static int
check_shape_of_deadline(const struct config *c, enum method m, const struct envelope *e, struct status *ret_refusal)
{
	if (m != METHOD_CREATE_TOKEN)
		return decode_check_deadline(c, e->issued_at->seconds, e->deadline, STATUS_UNDECODABLE, ret_refusal);
	if (e->deadline == NULL)
		return 0;

	Google__Protobuf__Timestamp whole = *e->deadline;

	whole.nanos = 0;
	return decode_check_seconds("deadline", &whole, STATUS_UNDECODABLE, ret_refusal);
}

static int
check_reason(const char *reason, struct status *ret_refusal)
{
	struct span r = span_str(reason);
	char shown[TEXT_SHOWN_ROOM];

	if (r.bytes > REASON_BYTES_MOST) {
		(void)decode_refuse(ret_refusal, STATUS_UNDECODABLE, "reason", "has %zu bytes; at most %d are taken",
		    r.bytes, REASON_BYTES_MOST);
		status_detail(ret_refusal, "limit", "%d", REASON_BYTES_MOST);
		return -1;
	}
	for (size_t i = 0; i < r.bytes; i++)
		if (r.data[i] < 0x20 || r.data[i] == 0x7f)
			return decode_refuse(ret_refusal, STATUS_UNDECODABLE, "reason",
			    "holds a control character: \"%s\"", text_shown(r, shown));
	return 0;
}

static const ProtobufCMessageDescriptor *
type_of(enum method m)
{
	switch (m) {
	case METHOD_GET_OUTCOME:
		return &tokend__v1__get_outcome_request__descriptor;
	case METHOD_REVOKE_TOKEN:
		return &tokend__v1__revoke_token_request__descriptor;
	default:
		return &tokend__v1__create_token_request__descriptor;
	}
}

#define ENVELOPE(m) { (m)->request_id, (m)->principal, (m)->service_id, (m)->issued_at, (m)->deadline }

static struct envelope
envelope_of(enum method method, const void *decoded)
{
	const Tokend__V1__CreateTokenRequest *create = decoded;
	const Tokend__V1__GetOutcomeRequest *outcome = decoded;
	const Tokend__V1__RevokeTokenRequest *revoke = decoded;

	switch (method) {
	case METHOD_GET_OUTCOME:
		return (struct envelope)ENVELOPE(outcome);
	case METHOD_REVOKE_TOKEN:
		return (struct envelope)ENVELOPE(revoke);
	default:
		return (struct envelope)ENVELOPE(create);
	}
}

int
decode_shape(const struct config *c, enum method m, struct span body, struct span key, const char *owner,
    struct arena *a, struct request *ret_request, struct status *ret_refusal)
{
	void *decoded = unpack(type_of(m), body, a, ret_refusal);

	if (decoded == NULL)
		return -1;

	struct envelope e = envelope_of(m, decoded);
	const char *reason = m == METHOD_REVOKE_TOKEN ? ((Tokend__V1__RevokeTokenRequest *)decoded)->reason : NULL;

	if (check_envelope(c, &e, key, owner, ret_refusal) != 0 || check_shape_of_deadline(c, m, &e, ret_refusal) != 0)
		return -1;
	if (reason != NULL && check_reason(reason, ret_refusal) != 0)
		return -1;

	*ret_request = (struct request){
		.method = m, .request_id = e.request_id, .principal = e.principal, .service_id = e.service_id,
		.issued_at = e.issued_at->seconds, .cluster = -1, .reason = reason, .decoded = decoded,
	};
	fill_deadline(c, e.deadline, ret_request);
	return 0;
}
