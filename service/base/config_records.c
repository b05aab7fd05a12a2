/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of records: how replies are dressed, which headers go back, and which requests are not
 * looked at.
 *
 * A header that is to be echoed must not be one that a reply has anyway: a client would find it twice
 * and read the first. A record that is to be skipped is named as the crash handler prints it; the
 * topic's own name and its role, requests, both do.
 */
#include "service/base/config_build.h"

#include <string.h>
#include <strings.h>

#include "service/base/err.h"
#include "service/base/text.h"

#define HEADER_NAME_MOST 128

static const struct config_characters header_names = {
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", "A-Z a-z 0-9 . _ -"
};

/* What a reply has, or a request's routing has, by name; one that ends in - or _ stands for all that begin so. */
static const char *const taken[] = {
	"tokend-", "grpc-", "ce_", "content-type", "traceparent", "tracestate", "kafka_replyTopic",
	"kafka_replyPartition", "kafka_correlationId", "correlation-id", "REPLY_CORRELATION_ID"
};

static bool
is_taken(const char *name)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		size_t n = strlen(taken[i]);
		char last = taken[i][n - 1];

		if (last == '-' || last == '_' ? strncasecmp(name, taken[i], n) == 0 : strcasecmp(name, taken[i]) == 0)
			return true;
	}
	return false;
}

static int
build_echoed(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	c->echo_headers = arena_alloc(b->arena, f->echo_headers_count * sizeof(*c->echo_headers));
	for (unsigned i = 0; i < f->echo_headers_count; i++) {
		const char *name = f->echo_headers[i];

		if (config_name("echo_headers", name, HEADER_NAME_MOST, &header_names, ret_err) != 0)
			return -1;
		if (is_taken(name))
			return config_refuse("echo_headers", name, "a header that tokend does not know already",
			    ret_err);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(name, f->echo_headers[j]) == 0)
				return config_refuse("echo_headers", name, "there once", ret_err);
		c->echo_headers[i] = arena_text(b->arena, "%s", name);
	}
	c->n_echo_headers = f->echo_headers_count;
	return 0;
}

/* Decimal digits up to `end`, and nothing else; INT64_MAX is out of reach of any offset. */
static bool
parse_number(const char *text, char end, int64_t most, int64_t *ret, const char **ret_rest)
{
	int64_t n = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > most / 10 || 10 * n > most - (*p - '0'))
			return false;
		n = 10 * n + (*p - '0');
	}
	if (p == text || *p != end)
		return false;
	*ret = n;
	*ret_rest = p + (end != '\0');
	return true;
}

static bool
parse_place(const struct config *c, const char *entry, struct record_place *ret)
{
	const char *slash = strrchr(entry, '/'), *rest;
	struct span topic = span_of(entry, slash != NULL ? (size_t)(slash - entry) : 0);
	int64_t partition;

	if (slash == NULL || (!span_is(topic, "requests") && !span_is(topic, c->topic_requests)) ||
	    !parse_number(slash + 1, '@', c->partitions - 1, &partition, &rest) ||
	    !parse_number(rest, '\0', INT64_MAX - 1, &ret->offset, &rest))
		return false;
	ret->partition = (int32_t)partition;
	return true;
}

static int
build_skip(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	c->skip = arena_alloc(b->arena, f->skip_count * sizeof(*c->skip));
	for (unsigned i = 0; i < f->skip_count; i++)
		if (!parse_place(c, f->skip[i], &c->skip[i]))
			return config_refuse("skip", f->skip[i], arena_text(b->arena,
			    "%s/PARTITION@OFFSET, with a partition below %d", c->topic_requests, (int)c->partitions),
			    ret_err);
	c->n_skip = f->skip_count;
	return 0;
}

int
config_build_records(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	if (config_number("reply_schema_id", f->reply_schema_id, 0, INT32_MAX, &c->reply_schema_id, ret_err) != 0 ||
	    config_bool("cloudevents", f->cloudevents, &c->cloudevents, ret_err) != 0)
		return -1;
	return build_echoed(b, f, c, ret_err) != 0 || build_skip(b, f, c, ret_err) != 0 ? -1 : 0;
}
