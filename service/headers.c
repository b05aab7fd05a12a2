/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record's outside, before anybody has verified anything: its size, its headers, the frame around its
 * value, the partition it lies in and where its reply is asked to go. (reply_headers.c is the way back.)
 *
 * Reading never stops at the first refusal. The reply to a refused record carries its digest and its
 * correlation, so all that can be read is read; what is kept is the *first* refusal, in the contract's
 * order, which is the order of the calls in headers_read.
 *
 * Nothing here is signed, so nothing here decides more than how to check the signature and where to send
 * the answer: routing that is asked for is compared with ours, neither obeyed nor ignored, and a header
 * that a client waits by (a correlation) is refused aloud when it cannot be echoed.
 *
 * Add a header of ours: a row in OURS, and a line where it is taken. Add one that is
 * echoed everywhere: a name in echoed_names (an operator's own stand in the configuration).
 */
#include "service/headers.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <strings.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/murmur2.h"
#include "service/base/text.h"
#include "service/frame.h"
#include "service/status.h"
#include "service/trace.h"

#define ECHOED_VALUE_MOST 256
#define ECHOED_MOST (sizeof((struct metadata *)NULL)->echoed / sizeof(((struct metadata *)NULL)->echoed[0]))

#define OURS(ROW) \
	ROW(METHOD, "tokend-method") \
	ROW(KEY_ID, "tokend-key-id") \
	ROW(SIGNATURE, "tokend-signature") \
	ROW(TRACEPARENT, "traceparent") \
	ROW(TRACESTATE, "tracestate") \
	ROW(REPLY_TOPIC, "kafka_replyTopic") \
	ROW(REPLY_PARTITION, "kafka_replyPartition")

enum ours {
#define ROW(which, name) OUR_##which,
	OURS(ROW)
#undef ROW
	OUR_COUNT
};

static const char *const our_names[OUR_COUNT] = {
#define ROW(which, name) name,
	OURS(ROW)
#undef ROW
};

static const char *const echoed_names[] = { "kafka_correlationId", "correlation-id", "REPLY_CORRELATION_ID" };

/* One record being read. */
struct outside {
	const struct config *c;
	const struct record *r;
	struct metadata *m;
	struct { bool present, doubled; struct span value; } ours[OUR_COUNT];    /* first occurrences */
	struct frame frame;
	bool frame_broken;
	bool refused;
	struct status *refusal;      /* the first */
	struct status unheard;       /* those after it */
};

static struct status *
refusing(struct outside *o)
{
	if (o->refused)
		return &o->unheard;
	o->refused = true;
	return o->refusal;
}

static bool
is_printable(struct span s)
{
	for (size_t i = 0; i < s.bytes; i++)
		if (s.data[i] < 0x20 || s.data[i] > 0x7e)
			return false;
	return true;
}

static void
check_size(struct outside *o)
{
	if (o->r->value.data == NULL) {
		(void)status_set(refusing(o), STATUS_UNDECODABLE, "the record has no value");
	} else if (o->r->value.bytes > HEADERS_VALUE_MOST) {
		struct status *s = refusing(o);

		(void)status_set(s, STATUS_UNDECODABLE, "the value has %zu bytes; at most %d are taken",
		    o->r->value.bytes, HEADERS_VALUE_MOST);
		status_detail(s, "limit", "%d", HEADERS_VALUE_MOST);
	}
}

static bool
is_echoed(const struct config *c, struct span name)
{
	for (size_t i = 0; i < sizeof(echoed_names) / sizeof(echoed_names[0]); i++)
		if (span_is(name, echoed_names[i]))
			return true;
	for (size_t i = 0; i < c->n_echo_headers; i++)
		if (span_is(name, c->echo_headers[i]))
			return true;
	return false;
}

static void
take_echoed(struct outside *o, const struct header *h)
{
	char shown[TEXT_SHOWN_ROOM];

	if (h->value.bytes > ECHOED_VALUE_MOST) {
		(void)status_set(refusing(o), STATUS_INVALID_RECORD,
		    "header %s has %zu bytes; at most %d can be echoed", text_shown(h->name, shown), h->value.bytes,
		    ECHOED_VALUE_MOST);
	} else if (o->m->n_echoed == ECHOED_MOST) {
		(void)status_set(refusing(o), STATUS_INVALID_RECORD,
		    "header %s is one too many to be echoed; at most %zu are", text_shown(h->name, shown),
		    ECHOED_MOST);
	} else {
		o->m->echoed[o->m->n_echoed].name = h->name;
		o->m->echoed[o->m->n_echoed].value = h->value;
		o->m->n_echoed++;
	}
}

static bool
is_other_case(struct span name, const char *ours)
{
	return name.bytes == strlen(ours) && strncasecmp((const char *)name.data, ours, name.bytes) == 0;
}

static void
take_ours(struct outside *o, const struct header *h)
{
	char shown[TEXT_SHOWN_ROOM];

	for (enum ours i = 0; i < OUR_COUNT; i++) {
		if (span_is(h->name, our_names[i])) {
			if (!o->ours[i].present) {
				o->ours[i].present = true;
				o->ours[i].value = h->value;
			} else {
				o->ours[i].doubled = true;
				(void)status_set(refusing(o), STATUS_INVALID_RECORD,
				    "header %s stands more than once", our_names[i]);
			}
		} else if (i <= OUR_SIGNATURE && is_other_case(h->name, our_names[i])) {
			(void)status_set(refusing(o), STATUS_INVALID_RECORD, "header %s must be written %s",
			    text_shown(h->name, shown), our_names[i]);
		}
	}
}

static void
take_key_id(struct outside *o)
{
	char shown[TEXT_SHOWN_ROOM];

	o->m->key_id = o->ours[OUR_KEY_ID].value;
	if (!is_printable(o->m->key_id))
		(void)status_set(refusing(o), STATUS_INVALID_RECORD, "header tokend-key-id is not ASCII text: \"%s\"",
		    text_shown(o->m->key_id, shown));
}

static void
take_signature(struct outside *o)
{
	struct metadata *m = o->m;
	char shown[TEXT_SHOWN_ROOM];

	if (!o->ours[OUR_SIGNATURE].present)
		return;
	m->signature_header = o->ours[OUR_SIGNATURE].value;
	m->has_signature = text_parse_base64(m->signature_header, m->signature,
	    sizeof(m->signature)) == (long)sizeof(m->signature);
	if (!m->has_signature)
		(void)status_set(refusing(o), STATUS_INVALID_RECORD,
		    "header tokend-signature is not the padded base64 of %zu bytes: \"%s\"", sizeof(m->signature),
		    text_shown(m->signature_header, shown));
}

static void
take_trace(struct outside *o)
{
	if (!trace_parent_valid(o->ours[OUR_TRACEPARENT].value))
		return;
	o->m->traceparent = o->ours[OUR_TRACEPARENT].value;
	if (trace_state_valid(o->ours[OUR_TRACESTATE].value))
		o->m->tracestate = o->ours[OUR_TRACESTATE].value;
}

static void
take_headers(struct outside *o)
{
	for (size_t i = 0; i < o->r->n_headers; i++) {
		const struct header *h = &o->r->headers[i];

		if (is_echoed(o->c, h->name))
			take_echoed(o, h);
		else
			take_ours(o, h);
	}
	take_key_id(o);
	take_signature(o);
	take_trace(o);
}

static int
method_of(struct span name)
{
	for (int i = 0; i < METHOD_COUNT; i++)
		if (span_is(name, headers_method_name((enum method)i)))
			return i;
	return -1;
}

/* A record whose method is unknown, doubled or malformed is answered as a CreateToken; so is one whose
 * frame is broken. */
static void
take_method(struct outside *o)
{
	char shown[TEXT_SHOWN_ROOM];
	int method;

	if (!o->ours[OUR_METHOD].present)
		return;
	o->m->method_name = o->ours[OUR_METHOD].value;
	method = method_of(o->m->method_name);
	if (!is_printable(o->m->method_name) || o->m->method_name.bytes == 0)
		(void)status_set(refusing(o), STATUS_INVALID_RECORD, "header tokend-method is not ASCII text: \"%s\"",
		    text_shown(o->m->method_name, shown));
	else if (method < 0)
		(void)status_set(refusing(o), STATUS_UNKNOWN_METHOD, "there is no method \"%s\"",
		    text_shown(o->m->method_name, shown));
	else if (!o->ours[OUR_METHOD].doubled && !o->frame_broken)
		o->m->method = (enum method)method;
}

/* The digest of a value whose frame is broken covers all of it. */
static void
take_frame(struct outside *o)
{
	if (frame_open(o->r->value, &o->frame) == 0) {
		o->m->body = o->frame.body;
		return;
	}
	o->frame_broken = true;
	o->m->body = o->r->value;
	(void)status_set(refusing(o), STATUS_UNDECODABLE,
	    "the value begins with a zero byte, as Schema Registry's frame does, but the frame is broken");
}

static void
check_frame_and_method_agree(struct outside *o)
{
	if (o->frame.present && o->frame.message_index != (long)o->m->method)
		(void)status_set(refusing(o), STATUS_UNDECODABLE,
		    "the frame's message index %ld is not that of %s's request, which is %d", o->frame.message_index,
		    headers_method_name(o->m->method), (int)o->m->method);
}

static void
check_home(struct outside *o)
{
	int32_t home = murmur2_partition(o->r->key, o->c->partitions);

	if (home == o->r->partition)
		return;

	struct status *s = refusing(o);

	(void)status_set(s, STATUS_WRONG_PARTITION,
	    "the record lies in partition %d, but this request_id's home is partition %d of %d: the producer must use "
	    "Kafka's default partitioner (librdkafka: partitioner=murmur2_random)", (int)o->r->partition, (int)home,
	    (int)o->c->partitions);
	status_detail(s, "partition", "%d", (int)home);
	status_detail(s, "partitions", "%d", (int)o->c->partitions);
}

static void
check_reply_routing(struct outside *o)
{
	struct span topic = o->ours[OUR_REPLY_TOPIC].value, p = o->ours[OUR_REPLY_PARTITION].value;
	uint32_t ours = htonl((uint32_t)o->r->partition);
	char shown[TEXT_SHOWN_ROOM];

	if (o->ours[OUR_REPLY_TOPIC].present && !span_is(topic, o->c->topic_replies))
		(void)status_set(refusing(o), STATUS_WRONG_REPLY_TOPIC,
		    "kafka_replyTopic asks for \"%s\"; replies go to %s", text_shown(topic, shown),
		    o->c->topic_replies);
	if (o->ours[OUR_REPLY_PARTITION].present && !span_equal(p, span_of(&ours, sizeof(ours))))
		(void)status_set(refusing(o), STATUS_WRONG_REPLY_TOPIC,
		    "kafka_replyPartition asks for %s%s; the reply goes to partition %d (4 bytes, big-endian)",
		    p.bytes > 0 ? "0x" : "nothing", text_hex(span_of(p.data, p.bytes < 16 ? p.bytes : 16), shown),
		    (int)o->r->partition);
}

int
headers_key_valid(const struct record *r)
{
	return r->key.data != NULL && text_is_request_id(r->key);
}

int
headers_read(const struct config *c, const struct record *r, struct metadata *ret_metadata, struct status *ret_refusal)
{
	struct outside o = { .c = c, .r = r, .m = ret_metadata, .refusal = ret_refusal };

	*ret_metadata = (struct metadata){ .method = METHOD_CREATE_TOKEN };
	check_size(&o);
	take_headers(&o);
	take_frame(&o);
	take_method(&o);
	check_frame_and_method_agree(&o);
	check_home(&o);
	check_reply_routing(&o);
	return o.refused ? -1 : 0;
}

struct method_row { const char *name, *request_type, *reply_type; };

static const struct method_row methods[METHOD_COUNT] = {
#define ROW(method, name, request_type, reply_type) [METHOD_##method] = { name, request_type, reply_type },
	METHODS(ROW)
#undef ROW
};

const char *
headers_request_type(enum method m)
{
	return methods[m].request_type;
}

const char *
headers_reply_type(enum method m)
{
	return methods[m].reply_type;
}

const char *
headers_method_name(enum method m)
{
	return methods[m].name;
}
