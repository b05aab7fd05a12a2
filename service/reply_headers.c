/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands around a reply's value.
 *
 * grpc-status and grpc-message are there for tools that show headers; a client decides on the signed body
 * alone. The trace goes on with a span of ours. What a client waits by comes back byte for byte.
 *
 * A CloudEvent (binary content mode) needs an id that is the same whenever the same thing is told, and
 * another for another thing, since consumers drop what they have seen. So an outcome's id is its request's
 * fingerprint, on every replay; a refused record, which may be sent again and fare better, has the
 * record's place. There is no ce_time: the body says when it was issued, and a replay's id must not come
 * with another time.
 */
#include "service/reply_headers.h"

#include <inttypes.h>

#include "service/base/arena.h"
#include "service/base/dsse.h"
#include "service/base/text.h"
#include "service/trace.h"

#define HEX_BYTES(bytes) (2 * (bytes) + 1)

static const char *const method_names[METHOD_COUNT] = {
#define ROW(method, name, request_type, reply_type) [METHOD_##method] = name,
	METHODS(ROW)
#undef ROW
};

static const char *const event_types[METHOD_COUNT] = {
	[METHOD_CREATE_TOKEN] = "tokend.v1.CreateTokenReply",
	[METHOD_GET_OUTCOME] = "tokend.v1.CreateTokenReply",
	[METHOD_REVOKE_TOKEN] = "tokend.v1.RevokeTokenReply",
};

/* gRPC's percent-encoding of grpc-message: printable ASCII but for '%' stays. */
static struct span
percent_encoded(struct arena *a, const char *message)
{
	static const char digits[] = "0123456789ABCDEF";
	char *text = arena_alloc(a, 3 * strlen(message) + 1), *out = text;

	for (const unsigned char *in = (const unsigned char *)message; *in != '\0'; in++) {
		if (*in >= 0x20 && *in <= 0x7e && *in != '%') {
			*out++ = (char)*in;
		} else {
			*out++ = '%';
			*out++ = digits[*in >> 4];
			*out++ = digits[*in & 15];
		}
	}
	return span_of(text, (size_t)(out - text));
}

static const char *
event_id(struct arena *a, const struct reply_headers *r)
{
	char hex[HEX_BYTES(DSSE_HASH_BYTES)];

	if (r->fingerprint != NULL)
		return arena_text(a, "%s", text_hex(span_of(r->fingerprint, DSSE_HASH_BYTES), hex));
	return arena_text(a, "%s/%" PRId32 "@%" PRId64, r->request_topic, r->record->partition, r->record->offset);
}

static struct header *
write_event(struct arena *a, const struct reply_headers *r, struct header *h)
{
	*h++ = (struct header){ span_str("ce_specversion"), span_str("1.0") };
	*h++ = (struct header){ span_str("ce_id"), span_str(event_id(a, r)) };
	*h++ = (struct header){ span_str("ce_source"), span_str(arena_text(a, "/tokend/%s", r->service_id)) };
	*h++ = (struct header){ span_str("ce_type"), span_str(event_types[r->metadata->method]) };
	*h++ = (struct header){ span_str("ce_subject"), r->record->key };
	return h;
}

size_t
reply_headers_write(struct arena *a, const struct reply_headers *r, struct header ret_headers[REPLY_HEADERS_MOST])
{
	const struct metadata *m = r->metadata;
	char *base64 = arena_alloc(a, (DSSE_SIGNATURE_BYTES + 2) / 3 * 4 + 1);
	struct header *h = ret_headers;

	(void)text_base64(span_of(r->signature, DSSE_SIGNATURE_BYTES), base64);
	*h++ = (struct header){ span_str("tokend-method"), span_str(method_names[m->method]) };
	*h++ = (struct header){ span_str("tokend-key-id"), span_str(r->key_id) };
	*h++ = (struct header){ span_str("tokend-signature"), span_str(base64) };
	*h++ = (struct header){ span_str("content-type"), span_str("application/protobuf") };
	*h++ = (struct header){ span_str("grpc-status"), span_str(arena_text(a, "%d", r->code)) };
	if (r->message[0] != '\0')
		*h++ = (struct header){ span_str("grpc-message"), percent_encoded(a, r->message) };
	if (m->traceparent.bytes > 0)
		*h++ = (struct header){ span_str("traceparent"), trace_continue(m->traceparent, a) };
	if (m->tracestate.bytes > 0)
		*h++ = (struct header){ span_str("tracestate"), m->tracestate };
	if (r->cloudevents)
		h = write_event(a, r, h);
	for (unsigned i = 0; i < m->n_echoed; i++)
		*h++ = (struct header){ m->echoed[i].name, m->echoed[i].value };
	return (size_t)(h - ret_headers);
}
