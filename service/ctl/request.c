/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CreateToken as the requester holds it.
 *
 * The ID alone does not name a request: ID and bytes do. Bytes that were lost cannot be made again
 * (issued_at differs), and new ones under the old ID are refused; so the bytes go to disk before
 * they go to Kafka, with the headers that belong to them. Nothing in that file is secret: it is
 * what everybody with access to the topic can read.
 *
 * The file is text, a name and a value a line, so that a person can see what was asked and a shell
 * can send it:
 *
 *   tokend-request 1
 *   tokend-key-id telemetry-sign-1
 *   tokend-signature <base64>
 *   traceparent 00-...
 *   value <base64>
 */
#include "service/ctl/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/random.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/files.h"

#define METHOD "/tokend.v1.TokenService/CreateToken"
#define FIRST_LINE "tokend-request 1\n"
#define FILE_MOST (256 * 1024)          /* a value is at most 128 KiB, base64 a third more */

static void *
from_arena(void *context, size_t bytes)
{
	return arena_alloc(context, bytes);
}

static void
not_freed(void *context, void *p)
{
	(void)context;
	(void)p;
}

/* body, key_id, signature and traceparent are there; the rest follows from them. */
static int
complete(struct signed_request *r, struct arena *a)
{
	ProtobufCAllocator allocator = { from_arena, not_freed, a };

	r->message = tokend__v1__create_token_request__unpack(&allocator, r->body.bytes, r->body.data);
	if (r->message == NULL)
		return -1;
	r->method = METHOD;
	dsse_fingerprint(DSSE_TYPE_CREATE_REQUEST, r->body, r->fingerprint);
	dsse_digest(DSSE_TYPE_CREATE_REQUEST, r->body, span_str(r->key_id), span_str(r->signature), r->digest);
	return 0;
}

const char *
request_new_id(char room[REQUEST_ID_ROOM])
{
	unsigned char uuid[16];

	random_bytes(uuid, sizeof(uuid));
	uuid[6] = (unsigned char)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (unsigned char)((uuid[8] & 0x3f) | 0x80);
	return text_uuid(uuid, room);
}

/* W3C's: version 00, a new trace, sampled. */
static const char *
new_traceparent(struct arena *a)
{
	unsigned char ids[24];
	char trace[33], span[17];

	random_bytes(ids, sizeof(ids));
	return arena_text(a, "00-%s-%s-01", text_hex(span_of(ids, 16), trace), text_hex(span_of(ids + 16, 8), span));
}

void
request_sign_body(const char *method, const char *type, struct span body, const char *key_id,
    const unsigned char secret[DSSE_SECRET_BYTES], struct arena *a, struct signed_request *ret_request)
{
	unsigned char signature[DSSE_SIGNATURE_BYTES];
	char *text = arena_alloc(a, DSSE_SIGNATURE_BYTES / 3 * 4 + 5);
	struct signed_request r = { .body = body, .method = method, .key_id = key_id, .signature = text,
		.traceparent = new_traceparent(a) };

	dsse_sign(type, body, secret, signature);
	(void)text_base64(span_of(signature, sizeof(signature)), text);
	dsse_digest(type, body, span_str(key_id), span_str(text), r.digest);
	*ret_request = r;
}

void
request_sign(const Tokend__V1__CreateTokenRequest *message, const char *key_id,
    const unsigned char secret[DSSE_SECRET_BYTES], struct arena *a, struct signed_request *ret_request)
{
	size_t bytes = tokend__v1__create_token_request__get_packed_size(message);
	unsigned char *body = arena_alloc(a, bytes);
	struct signed_request r;

	(void)tokend__v1__create_token_request__pack(message, body);
	request_sign_body(METHOD, DSSE_TYPE_CREATE_REQUEST, span_of(body, bytes), key_id, secret, a, &r);
	if (complete(&r, a) != 0)
		abort();                /* what was packed a moment ago unpacks */
	*ret_request = r;
}

static const char *
path_of(const char *state_dir, const char *request_id, struct arena *a)
{
	return arena_text(a, "%s/%s.request", state_dir, request_id);
}

int
request_store(const char *state_dir, const struct signed_request *r, struct err *ret_err)
{
	struct arena a = { 0 };
	char *value = arena_alloc(&a, (r->body.bytes + 2) / 3 * 4 + 1);
	const char *text = arena_text(&a,
	    FIRST_LINE "tokend-key-id %s\ntokend-signature %s\ntraceparent %s\nvalue %s\n",
	    r->key_id, r->signature, r->traceparent, text_base64(r->body, value));
	int result = files_make_directory(state_dir, ret_err);

	if (result == 0)
		result = files_write_new(path_of(state_dir, r->message->request_id, &a), span_str(text), ret_err);
	arena_free(&a);
	return result;
}

/* The value of the line that begins with name, NUL-terminated in place; *rest moves to the next
 * line. */
static const char *
take_line(char **rest, const char *name)
{
	char *line = *rest, *end = strchr(line, '\n');
	size_t name_bytes = strlen(name);

	if (end == NULL || strncmp(line, name, name_bytes) != 0 || line[name_bytes] != ' ')
		return NULL;
	*end = '\0';
	*rest = end + 1;
	return line + name_bytes + 1;
}

static int
parse(struct span file, const char *request_id, struct arena *a, struct signed_request *ret_request)
{
	struct span copy = arena_copy(a, file);
	char *rest = (char *)(uintptr_t)copy.data;
	unsigned char *body = arena_alloc(a, file.bytes);
	struct signed_request r = { 0 };
	const char *value;
	long bytes;

	if (strncmp(rest, FIRST_LINE, strlen(FIRST_LINE)) != 0)
		return -1;
	rest += strlen(FIRST_LINE);
	r.key_id = take_line(&rest, "tokend-key-id");
	r.signature = r.key_id != NULL ? take_line(&rest, "tokend-signature") : NULL;
	r.traceparent = r.signature != NULL ? take_line(&rest, "traceparent") : NULL;
	value = r.traceparent != NULL ? take_line(&rest, "value") : NULL;
	bytes = value != NULL ? text_parse_base64(span_str(value), body, file.bytes) : -1;
	if (bytes < 1)
		return -1;
	r.body = span_of(body, (size_t)bytes);
	if (complete(&r, a) != 0 || strcmp(r.message->request_id, request_id) != 0)
		return -1;
	*ret_request = r;
	return 0;
}

int
request_load(const char *state_dir, const char *request_id, struct arena *a, struct signed_request *ret_request,
    struct err *ret_err)
{
	const char *path = path_of(state_dir, request_id, a);
	struct secret *file;
	int result;

	if (access(path, F_OK) != 0 && errno == ENOENT)
		return 0;
	file = secret_read_file(path, FILE_MOST, false, ret_err);
	if (file == NULL)
		return -1;
	result = parse(secret_bytes(file), request_id, a, ret_request);
	secret_release(file);
	if (result != 0)
		return err_set(ret_err, ERR_REFUSE, "%s is damaged: it is not the request that tokenctl stored", path);
	return 1;
}

static bool
permission_equal(const Tokend__V1__Permission *a, const Tokend__V1__Permission *b)
{
	if (a->action != b->action || a->resource_case != b->resource_case)
		return false;
	return a->resource_case == TOKEND__V1__PERMISSION__RESOURCE_DATABASE ?
	    strcmp(a->database, b->database) == 0 : a->all_databases == b->all_databases;
}

bool
request_permissions_equal(Tokend__V1__Permission *const *a, size_t n_a, Tokend__V1__Permission *const *b, size_t n_b)
{
	for (size_t i = 0; i < n_a && i < n_b; i++)
		if (!permission_equal(a[i], b[i]))
			return false;
	return n_a == n_b;
}

static bool
target_equal(const Tokend__V1__Target *a, const Tokend__V1__Target *b)
{
	return a != NULL && strcmp(a->cluster, b->cluster) == 0 && strcmp(a->account_id, b->account_id) == 0 &&
	    strcmp(a->cluster_id, b->cluster_id) == 0;
}

static bool
time_equal(const Google__Protobuf__Timestamp *a, const Google__Protobuf__Timestamp *b)
{
	return a != NULL && a->seconds == b->seconds;
}

static bool
deadline_equal(const Tokend__V1__CreateTokenRequest *a, const Tokend__V1__CreateTokenRequest *b)
{
	return a->deadline != NULL && a->issued_at != NULL &&
	    a->deadline->seconds - a->issued_at->seconds == b->deadline->seconds - b->issued_at->seconds;
}

bool
request_asks_the_same(const Tokend__V1__CreateTokenRequest *stored, const Tokend__V1__CreateTokenRequest *wanted,
    const char **ret_what)
{
	if (wanted->description[0] != '\0' && strcmp(stored->description, wanted->description) != 0)
		*ret_what = "the description";
	else if (wanted->n_permissions > 0 && !request_permissions_equal(stored->permissions, stored->n_permissions,
	    wanted->permissions, wanted->n_permissions))
		*ret_what = "--read-database and --write-database";
	else if (wanted->expires_at != NULL && !time_equal(stored->expires_at, wanted->expires_at))
		*ret_what = "--expires-at";
	else if (wanted->deadline != NULL && !deadline_equal(stored, wanted))
		*ret_what = "--deadline";
	else if (wanted->target != NULL && !target_equal(stored->target, wanted->target))
		*ret_what = "the cluster";
	else
		return true;
	return false;
}
