/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzz targets' common part: see harness.h.
 *
 * Files are a memfd, read through /proc/self/fd: policy_load and config_load take paths, and what is fuzzed
 * shall be what runs, file reading included; on a disk that would be some hundred times slower.
 */
#include "tests/fuzz/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/policy.h"

#define LONG_LENGTH 0xff

void
harness_broken(const char *promise, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: broken: %s\n", file, line, promise);
	abort();
}

/* ---- the input
 * ---------------------------------------------------------------------------------------------------- */

struct feed_block {
	struct feed_block *next;
	unsigned char *bytes;
};

struct feed
feed_of(const uint8_t *data, size_t bytes)
{
	return (struct feed){ .rest = span_of(data, bytes) };
}

uint8_t
feed_byte(struct feed *f)
{
	uint8_t b;

	if (f->rest.bytes == 0)
		return 0;
	b = f->rest.data[0];
	f->rest = span_of(f->rest.data + 1, f->rest.bytes - 1);
	return b;
}

uint64_t
feed_number(struct feed *f)
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | feed_byte(f);
	return n;
}

static unsigned char *
keep(struct feed *f, struct span s, size_t room)
{
	struct feed_block *b = malloc(sizeof(*b));

	if (b == NULL || (b->bytes = malloc(room > 0 ? room : 1)) == NULL)
		abort();
	if (s.bytes > 0)
		memcpy(b->bytes, s.data, s.bytes);
	b->next = f->blocks;
	f->blocks = b;
	return b->bytes;
}

static struct span
take(struct feed *f)
{
	size_t length = feed_byte(f);
	struct span s;

	if (length == LONG_LENGTH) {
		length = (size_t)feed_byte(f) << 8;
		length |= feed_byte(f);
	}
	if (length > f->rest.bytes)
		length = f->rest.bytes;
	s = span_of(f->rest.data, length);
	f->rest = span_of(f->rest.data + length, f->rest.bytes - length);
	return s;
}

struct span
feed_span(struct feed *f)
{
	struct span s = take(f);

	return span_of(keep(f, s, s.bytes), s.bytes);
}

const char *
feed_text(struct feed *f)
{
	struct span s = take(f);
	unsigned char *text = keep(f, s, s.bytes + 1);

	text[s.bytes] = '\0';
	return (const char *)text;
}

struct span
feed_rest(struct feed *f)
{
	struct span s = f->rest;

	f->rest = span_of(f->rest.data + f->rest.bytes, 0);
	return span_of(keep(f, s, s.bytes), s.bytes);
}

void
feed_end(struct feed *f)
{
	struct feed_block *b;

	while ((b = f->blocks) != NULL) {
		f->blocks = b->next;
		free(b->bytes);
		free(b);
	}
}

/* ---- promises
 * ----------------------------------------------------------------------------------------------------- */

bool
harness_printable(const char *text)
{
	struct span s = span_str(text);

	while (s.bytes > 0) {
		size_t length = text_character(s);

		if (!text_is_printable(s))
			return false;
		s = span_of(s.data + length, s.bytes - length);
	}
	return true;
}

/* A backslash counts when an even number of them stands before it. */
bool
harness_cuts_strings(struct span json)
{
	const unsigned char *end = json.data + json.bytes;

	for (const unsigned char *at = json.data; at < end; at++) {
		const unsigned char *before = at;
		unsigned value = 0, digits = 0;

		if (*at == '\0')
			return true;
		while (before > json.data && before[-1] == '\\')
			before--;
		if (*at != 'u' || (at - before) % 2 == 0)
			continue;
		while (digits < 4 && at + 1 + digits < end && strchr("0123456789abcdefABCDEF", at[1 + digits]) != NULL)
			value |= at[1 + digits++] & 0xcfu;      /* 0 for "0" alone */
		if (digits < 4 || value == 0)
			return true;
	}
	return false;
}

void
harness_refusal(const struct status *s, enum status_about about)
{
	HOLDS((unsigned)s->cause < STATUS_COUNT);
	HOLDS(status_row(s->cause)->code != CODE_OK);
	HOLDS(status_row(s->cause)->about == about);
	HOLDS(memchr(s->message, '\0', sizeof(s->message)) != NULL);
	HOLDS(s->message[0] != '\0');
	HOLDS(harness_printable(s->message));
	HOLDS(s->n_details <= STATUS_DETAILS_MOST);
	for (unsigned i = 0; i < s->n_details; i++) {
		HOLDS(s->details[i].key != NULL);
		HOLDS(memchr(s->details[i].value, '\0', sizeof(s->details[i].value)) != NULL);
		HOLDS(harness_printable(s->details[i].value));
	}
}

void
harness_sentence(const struct err *e)
{
	HOLDS(e->next == ERR_RETRY || e->next == ERR_REFUSE || e->next == ERR_FATAL);
	HOLDS(memchr(e->text, '\0', sizeof(e->text)) != NULL);
	HOLDS(e->text[0] != '\0');
	HOLDS(harness_printable(e->text));
}

/* ---- the world
 * ---------------------------------------------------------------------------------------------------- */

static struct cluster clusters[] = {
	{ .name = (char *)"prod", .product = CLUSTER_DEDICATED, .account_id = (char *)HARNESS_ACCOUNT,
	    .cluster_id = (char *)HARNESS_CLUSTER },
	{ .name = (char *)"edge", .product = CLUSTER_CLUSTERED },
};

static const struct config config = {
	.service_id = (char *)"tokens", .topic_replies = (char *)"tokend.replies", .partitions = 1,
	.clusters = clusters, .n_clusters = 2, .deadline_most_ms = 3600000,
	.max_remembered = 1000000,
};

const struct config *
harness_config(void)
{
	return &config;
}

void
harness_signing_secret(unsigned char ret_secret[DSSE_SECRET_BYTES])
{
	unsigned char seed[DSSE_SEED_BYTES];

	memset(seed, 0x11, sizeof(seed));
	dsse_secret_of_seed(seed, ret_secret);
}

static const char policy_text[] =
    "version: 1\n"
    "principals:\n"
    "  - name: telemetry\n"
    "    signing_keys: [{id: t-2026a, ed25519: \"%s\"}]\n"
    "    recipient_keys:\n"
    "      - {id: t-box1, suite: sealedbox-x25519, key: \"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\"}\n"
    "    allow_inline_key: true\n"
    "    grants:\n"
    "      - {clusters: [prod], databases: [\"telemetry_*\", db/1], actions: [read, write], max_ttl: 90d}\n"
    "      - {clusters: [edge], all_databases: true, actions: [read]}\n";

const struct policy *
harness_policy(void)
{
	static const struct policy *policy;
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES];
	char base64[45], text[sizeof(policy_text) + sizeof(base64)];
	struct err e;

	if (policy != NULL)
		return policy;
	harness_signing_secret(secret);
	dsse_public_of(secret, public_key);
	(void)snprintf(text, sizeof(text), policy_text, text_base64(span_of(public_key, sizeof(public_key)), base64));
	policy = policy_load(harness_file(span_str(text)), &config, &e);
	if (policy == NULL)
		harness_broken(e.text, __FILE__, __LINE__);
	return policy;
}

const char *
harness_file(struct span bytes)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	HOLDS(fd >= 0);
	HOLDS(ftruncate(fd, 0) == 0);
	HOLDS(pwrite(fd, bytes.data != NULL ? bytes.data : (const void *)"", bytes.bytes, 0) == (ssize_t)bytes.bytes);
	return path;
}
