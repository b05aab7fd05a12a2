/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/headers.c service/reply_headers.c service/frame.c service/trace.c service/base/murmur2.c
 *
 * A record's outside, of which nothing is signed: key, headers, frame, partition, reply routing; and the
 * headers of the reply to it, which carry some of that back.
 *
 * Input: a byte of flags (NO_KEY, NO_VALUE, EVENT: replies are CloudEvents), a byte for the partition and one
 * for how many there are, the key; then headers, each a byte that chooses a name (or says that one follows)
 * and the value, until a byte says that the rest is the record's value.
 *
 * Promises: a refusal is about the record. What was read lies within the record. A record that passes is at
 * home, has at most one of each header of ours, and what decoding its signature gives is written back as the
 * same text. A reply's headers are ASCII but for what is echoed, which is echoed byte for byte, and its
 * message comes back out of the percent-encoding. */
#include "tests/fuzz/harness.h"

#include <stdlib.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/murmur2.h"
#include "service/base/text.h"
#include "service/headers.h"
#include "service/reply_headers.h"

#define NO_KEY 1
#define NO_VALUE 2
#define EVENT 4
#define HEADERS_MOST 24

static const char *const names[] = {
	"tokend-method", "tokend-key-id", "tokend-signature", "traceparent", "tracestate", "kafka_replyTopic",
	"kafka_replyPartition", "kafka_correlationId", "correlation-id", "REPLY_CORRELATION_ID", "x-request-id",
	"Tokend-Method", "ce_id"
};
enum { N_OURS = 7, N_ECHOED = 4, NAME_IN_OTHER_CASE = N_OURS + N_ECHOED };
enum { N_NAMES = sizeof(names) / sizeof(names[0]), NAME_FOLLOWS = N_NAMES, NULL_VALUE };

struct outside {
	struct config config;
	struct record record;
	struct header headers[HEADERS_MOST];
};

static void
take(struct feed *f, struct outside *o)
{
	static char *echoed[] = { (char *)"x-request-id" };
	uint8_t flags = feed_byte(f);

	o->config = *harness_config();
	o->config.cloudevents = (flags & EVENT) != 0;
	o->config.echo_headers = echoed;
	o->config.n_echo_headers = 1;
	o->record = (struct record){ .partition = feed_byte(f), .headers = o->headers };
	o->config.partitions = 1 + feed_byte(f);
	o->record.key = feed_span(f);
	if ((flags & NO_KEY) != 0)
		o->record.key = span_of(NULL, 0);
	while (o->record.n_headers < HEADERS_MOST && f->rest.bytes > 0) {
		struct header *h = &o->headers[o->record.n_headers];
		uint8_t which = feed_byte(f);

		if (which > NULL_VALUE)
			break;
		h->name = span_str(which < N_NAMES ? names[which] : feed_text(f));
		h->value = which == NULL_VALUE ? span_of(NULL, 0) : feed_span(f);
		o->record.n_headers++;
	}
	o->record.value = (flags & NO_VALUE) != 0 ? span_of(NULL, 0) : feed_rest(f);
}

static unsigned
count(const struct record *r, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->n_headers; i++)
		n += span_is(r->headers[i].name, name);
	return n;
}

static bool
is_of_a_header(const struct record *r, struct span s)
{
	for (size_t i = 0; i < r->n_headers; i++)
		if (s.data == r->headers[i].value.data && s.bytes == r->headers[i].value.bytes)
			return true;
	return s.bytes == 0;
}

static void
check_read(const struct outside *o, const struct metadata *m)
{
	const struct record *r = &o->record;

	HOLDS((unsigned)m->method < METHOD_COUNT);
	HOLDS(m->body.bytes <= r->value.bytes);
	HOLDS(m->body.bytes == 0 || m->body.data + m->body.bytes == r->value.data + r->value.bytes);
	HOLDS(is_of_a_header(r, m->key_id) && is_of_a_header(r, m->signature_header));
	HOLDS(is_of_a_header(r, m->traceparent) && is_of_a_header(r, m->tracestate));
	HOLDS(m->n_echoed <= sizeof(m->echoed) / sizeof(m->echoed[0]));
	for (unsigned i = 0; i < m->n_echoed; i++)
		HOLDS(is_of_a_header(r, m->echoed[i].value) && m->echoed[i].value.bytes <= 256);
	if (m->has_signature) {
		char base64[(sizeof(m->signature) + 2) / 3 * 4 + 1];

		HOLDS(span_is(m->signature_header, text_base64(span_of(m->signature, sizeof(m->signature)), base64)));
	}
}

static void
check_passed(const struct outside *o, const struct metadata *m)
{
	const struct record *r = &o->record;
	unsigned echoed = 0;

	HOLDS(r->value.data != NULL && r->value.bytes <= HEADERS_VALUE_MOST);
	HOLDS(murmur2_partition(r->key, o->config.partitions) == r->partition);
	for (unsigned i = 0; i < N_OURS; i++)
		HOLDS(count(r, names[i]) <= 1);
	HOLDS(count(r, names[NAME_IN_OTHER_CASE]) == 0);
	HOLDS(m->has_signature == (count(r, "tokend-signature") == 1));
	HOLDS(count(r, "tokend-method") == 0 || span_is(m->method_name, headers_method_name(m->method)));
	for (unsigned i = N_OURS; i < N_OURS + N_ECHOED; i++)
		echoed += count(r, names[i]);
	HOLDS(m->n_echoed == echoed);
	HOLDS(m->body.bytes == 0 || m->body.data == r->value.data || r->value.data[0] == 0);
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.bytes; i++)
		if (s.data[i] < 0x20 || s.data[i] > 0x7e)
			return false;
	return true;
}

static int
hex_digit(unsigned char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

static bool
decodes_to(struct span encoded, const char *message)
{
	size_t i = 0;

	for (; i < encoded.bytes && *message != '\0'; i++, message++) {
		unsigned char c = encoded.data[i];

		if (c == '%') {
			if (i + 2 >= encoded.bytes)
				return false;
			c = (unsigned char)(hex_digit(encoded.data[i + 1]) << 4 | hex_digit(encoded.data[i + 2]));
			i += 2;
		}
		if (c != (unsigned char)*message)
			return false;
	}
	return i == encoded.bytes && *message == '\0';
}

static void
check_trace(struct span from, struct span to)
{
	HOLDS(to.bytes == 55);
	HOLDS(memcmp(to.data, "00-", 3) == 0);
	HOLDS(memcmp(to.data + 3, from.data + 3, 33) == 0 && memcmp(to.data + 53, from.data + 53, 2) == 0);
	HOLDS(text_only(span_of(to.data + 3, 52), "0123456789abcdef-"));
}

static void
check_event(const struct outside *o, const struct header *h, size_t n)
{
	static const char *const set[] = { "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject" };
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < sizeof(set) / sizeof(set[0]); j++)
			found += span_is(h[i].name, set[j]);
	HOLDS(found == (o->config.cloudevents ? sizeof(set) / sizeof(set[0]) : 0));
}

/* Whatever the record was, as long as it has a key, it is answered. */
static void
check_written(const struct outside *o, const struct metadata *m, const struct status *said)
{
	const char *message = said != NULL ? said->message : "";
	struct reply_headers r = { .metadata = m, .record = &o->record, .key_id = "svc-1", .signature = m->signature,
	    .code = said != NULL ? (int)status_row(said->cause)->code : 0, .message = message,
	    .cloudevents = o->config.cloudevents, .service_id = "tokens", .request_topic = "tokend.requests",
	    .fingerprint = said == NULL ? m->signature : NULL };
	struct header h[REPLY_HEADERS_MOST];
	struct arena a = { 0 };
	size_t n = reply_headers_write(&a, &r, h), ours = n - m->n_echoed;
	bool told = false;

	HOLDS(n <= REPLY_HEADERS_MOST && n >= 5 + m->n_echoed);
	for (size_t i = 0; i < ours; i++) {
		HOLDS(is_ascii(h[i].name) && is_ascii(h[i].value));
		for (size_t j = 0; j < i; j++)
			HOLDS(!span_equal(h[i].name, h[j].name));
		if (span_is(h[i].name, "traceparent"))
			check_trace(m->traceparent, h[i].value);
		if (span_is(h[i].name, "grpc-message"))
			told = decodes_to(h[i].value, message);
	}
	HOLDS(told == (message[0] != '\0'));
	check_event(o, h, ours);
	for (unsigned i = 0; i < m->n_echoed; i++)
		HOLDS(span_equal(h[ours + i].name, m->echoed[i].name) &&
		    span_equal(h[ours + i].value, m->echoed[i].value));
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	struct outside o;
	struct metadata m;
	struct status refusal;
	bool passed;

	take(&f, &o);
	passed = headers_read(&o.config, &o.record, &m, &refusal) == 0;
	check_read(&o, &m);
	if (passed)
		check_passed(&o, &m);
	else
		harness_refusal(&refusal, ABOUT_RECORD);
	if (headers_key_valid(&o.record)) {
		HOLDS(o.record.key.bytes >= 1 && o.record.key.bytes <= 128 && is_ascii(o.record.key));
		check_written(&o, &m, passed ? NULL : &refusal);
	}
	feed_end(&f);
	return 0;
}
