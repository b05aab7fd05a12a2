/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the published vectors of the contract, which another implementation made, are what this code does: each
 * good one is taken and comes out byte for byte, each bad one gets the refusal that stands beside it. */
#include "tests/unit/fixture_request.h"
#include "tests/unit/fixture_json.h"

#include "service/authorize.h"
#include "service/base/boxkey.h"
#include "service/base/murmur2.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"
#include "service/decode.h"
#include "service/frame.h"
#include "service/headers.h"
#include "service/reply_headers.h"
#include "service/seal.h"
#include "service/verify.h"

#define FOLDER "tests/vectors/"
#define HEADERS_MOST 16

/* The files, and what the service and its requesters know in them. */
static cJSON *world, *requests, *boxes, *replies;
static struct cluster clusters[4];
static struct config config;
static struct policy *policy;
static struct authorize *authorize;
static struct profile_service_key pinned[4];
static size_t n_pinned;
static int64_t now;

static int64_t
time_of(const char *text)
{
	int64_t seconds;
	int32_t nanos;

	assert_true(text_parse_time(span_str(text), &seconds, &nanos));
	return seconds;
}

static void
load_config(void)
{
	const cJSON *each;

	config = (struct config){
		.service_id = (char *)(uintptr_t)json_text(world, "service_id"),
		.topic_replies = (char *)(uintptr_t)json_text(json_member(world, "topics"), "replies"),
		.partitions = (int32_t)json_number(world, "partitions"), .clusters = clusters,
		.deadline_most_ms = 3600000,
	};
	cJSON_ArrayForEach(each, json_member(world, "clusters")) {
		struct cluster *c = &clusters[config.n_clusters++];

		c->name = (char *)(uintptr_t)json_text(each, "name");
		c->account_id = (char *)(uintptr_t)json_text(each, "account_id");
		c->cluster_id = (char *)(uintptr_t)json_text(each, "cluster_id");
		c->product = c->account_id[0] != '\0' ? CLUSTER_DEDICATED : CLUSTER_CLUSTERED;
	}
}

static int
load(void **state)
{
	char *text;
	struct err e;
	const cJSON *each;

	(void)state;
	world = json_load(FOLDER "world.json");
	requests = json_load(FOLDER "requests.json");
	boxes = json_load(FOLDER "boxes.json");
	replies = json_load(FOLDER "replies.json");
	now = time_of(json_text(world, "now"));
	load_config();
	text = cJSON_PrintUnformatted(json_member(world, "policy"));     /* JSON is YAML */
	policy = fixture_policy(text, &config, &e);
	cJSON_free(text);
	if (policy == NULL)
		fail_msg("%s", e.text);
	authorize = authorize_new(&config);
	cJSON_ArrayForEach(each, json_member(world, "signing_keys")) {
		struct arena a = { 0 };

		if (strcmp(json_text(each, "owner"), "the service") == 0) {
			pinned[n_pinned].id = (char *)(uintptr_t)json_text(each, "id");
			memcpy(pinned[n_pinned++].public_key, json_hex(&a, each, "public").data, DSSE_PUBLIC_BYTES);
		}
		arena_free(&a);
	}
	return 0;
}

static int
drop(void **state)
{
	(void)state;
	authorize_free(authorize);
	policy_release(policy);
	cJSON_Delete(world);
	cJSON_Delete(requests);
	cJSON_Delete(boxes);
	cJSON_Delete(replies);
	return 0;
}

/* ---- nouns --------------------------------------------------------------------------------------------- */

static struct record
record_of(const cJSON *vector, struct arena *a)
{
	const cJSON *from = json_member(vector, "record"), *each;
	struct header *headers = arena_alloc(a, HEADERS_MOST * sizeof(*headers));
	struct record r = {
		.partition = (int32_t)json_number(from, "partition"), .key = span_str(json_text(from, "key")),
		.value = json_hex(a, from, "value"), .headers = headers,
	};

	cJSON_ArrayForEach(each, json_member(from, "headers")) {
		assert_true(r.n_headers < HEADERS_MOST);
		headers[r.n_headers].name = span_str(cJSON_GetStringValue(cJSON_GetArrayItem(each, 0)));
		headers[r.n_headers++].value = span_str(cJSON_GetStringValue(cJSON_GetArrayItem(each, 1)));
	}
	return r;
}

static void
secret_of(const char *key_id, unsigned char ret_secret[DSSE_SECRET_BYTES])
{
	struct arena a = { 0 };
	const cJSON *key = json_named(json_member(world, "signing_keys"), "id", key_id);

	dsse_secret_of_seed(json_hex(&a, key, "seed").data, ret_secret);
	arena_free(&a);
}

static enum method
method_of(const cJSON *request)
{
	const char *name = json_text(request, "method");

	for (enum method m = 0; m < METHOD_COUNT; m++)
		if (strcmp(strrchr(headers_method_name(m), '/') + 1, name) == 0)
			return m;
	fail_msg("there is no method %s", name);
	return METHOD_COUNT;
}

static const ProtobufCMessageDescriptor *
type_of(const cJSON *vector)
{
	static const ProtobufCMessageDescriptor *const types[] = {
		&tokend__v1__create_token_request__descriptor, &tokend__v1__get_outcome_request__descriptor,
		&tokend__v1__revoke_token_request__descriptor, &tokend__v1__create_token_reply__descriptor,
		&tokend__v1__revoke_token_reply__descriptor,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i]->short_name, json_text(vector, "message")) == 0)
			return types[i];
	fail_msg("there is no message %s", json_text(vector, "message"));
	return NULL;
}

/* A record on its way through the rooms, up to the permit. */
struct walk {
	struct arena a;
	struct record record;
	struct metadata metadata;
	struct verification v;
	struct request request;
	struct status refusal;
};

static int
walk(struct walk *w, const cJSON *vector)
{
	struct metadata *m = &w->metadata;
	struct status *s = &w->refusal;

	*w = (struct walk){ .refusal = { .cause = STATUS_COUNT } };
	w->record = record_of(vector, &w->a);
	w->v = (struct verification){ .metadata = m, .policy = policy };
	if (headers_read(&config, &w->record, m, s) != 0 || verify_signature(&w->v, s) != 0)
		return -1;
	if (decode_shape(&config, m->method, m->body, w->record.key, w->v.key->principal, &w->a, &w->request, s) != 0 ||
	    authorize_record(w->v.key, &w->request, now, s) != 0)
		return -1;
	if (m->method != METHOD_CREATE_TOKEN)
		return 0;
	if (decode_values(&config, &w->a, &w->request, s) != 0)
		return -1;
	return authorize_request(authorize, policy, w->record.partition, &w->request, now, 0, s);
}

/* What a requester holds of a request of its own. */
static void
held(const cJSON *vector, struct arena *a, struct signed_request *ret)
{
	struct span body = json_hex(a, vector, "body");

	*ret = (struct signed_request){ .body = body, .key_id = json_text(vector, "key_id"),
		.signature = json_text(vector, "signature") };
	ret->message = tokend__v1__create_token_request__unpack(NULL, body.bytes, body.data);
	assert_non_null(ret->message);
	dsse_fingerprint(DSSE_TYPE_CREATE_REQUEST, body, ret->fingerprint);
	dsse_digest(DSSE_TYPE_CREATE_REQUEST, body, span_str(ret->key_id), span_str(ret->signature), ret->digest);
}

static void
release(struct signed_request *r)
{
	tokend__v1__create_token_request__free_unpacked((Tokend__V1__CreateTokenRequest *)(uintptr_t)r->message, NULL);
}

/* With which its maker opens what is sealed to that recipient. */
static const cJSON *
box_key_of(const Tokend__V1__Recipient *recipient)
{
	char id[KEYS_FINGERPRINT_ROOM];
	bool inlined = recipient->key_case == TOKEND__V1__RECIPIENT__KEY_INLINE_KEY;

	return json_named(json_member(world, "box_keys"), "id",
	    inlined ? keys_fingerprint(recipient->inline_key->public_key.data, id) : recipient->key_id);
}

/* The verdict over a record by who made that request; *ret_why is a constant. */
static enum reply_verdict
judge(const cJSON *request, const struct record *record, const char **ret_why)
{
	struct arena a = { 0 };
	struct signed_request ours;
	unsigned char secret[32];
	struct keys box = { .secret = secret };
	struct reply_expected e = { .request = &ours, .service_keys = pinned, .n_service_keys = n_pinned, .box = &box,
		.partitions = config.partitions };
	struct reply r;
	const cJSON *key;
	enum reply_verdict verdict;

	held(request, &a, &ours);
	key = box_key_of(ours.message->recipient);
	memcpy(secret, json_hex(&a, key, "secret").data, sizeof(secret));
	memcpy(box.public_key, json_hex(&a, key, "public").data, sizeof(box.public_key));
	reply_judge(&e, record, &r);
	verdict = r.verdict;
	*ret_why = r.why;
	reply_wipe(&r);
	release(&ours);
	arena_free(&a);
	return verdict;
}

/* Every vector of a file, one after the other, named before it is judged. */
static const char *current;

#define FOR_EACH(vector, array) cJSON_ArrayForEach(vector, array) if ((current = json_text(vector, "name")) != NULL)

static void
none_is_empty(const cJSON *array)
{
	assert_true(cJSON_GetArraySize(array) > 0);
}

/* ---- good ---------------------------------------------------------------------------------------------- */

static void
keys(void **state)
{
	const cJSON *each;
	struct arena a = { 0 };

	(void)state;
	none_is_empty(json_member(world, "signing_keys"));
	cJSON_ArrayForEach(each, json_member(world, "signing_keys")) {
		unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES];

		dsse_secret_of_seed(json_hex(&a, each, "seed").data, secret);
		dsse_public_of(secret, public_key);
		json_expect_bytes(span_of(public_key, 32), json_hex(&a, each, "public"), json_text(each, "id"));
	}
	none_is_empty(json_member(world, "box_keys"));
	cJSON_ArrayForEach(each, json_member(world, "box_keys")) {
		unsigned char public_key[32];

		assert_int_equal(crypto_scalarmult_base(public_key, json_hex(&a, each, "secret").data), 0);
		json_expect_bytes(span_of(public_key, 32), json_hex(&a, each, "public"), json_text(each, "id"));
	}
	arena_free(&a);
}

static void
expect_signature(struct arena *a, const char *type, struct span body, const cJSON *vector)
{
	unsigned char secret[DSSE_SECRET_BYTES], signature[DSSE_SIGNATURE_BYTES];

	secret_of(json_text(vector, "key_id"), secret);
	dsse_sign(type, body, secret, signature);
	json_expect_bytes(span_of(signature, sizeof(signature)), json_base64(a, json_text(vector, "signature")),
	    "signature");
}

static void
every_request_is_taken(void **state)
{
	const cJSON *vector;
	bool seen[METHOD_COUNT] = { false };

	(void)state;
	FOR_EACH(vector, requests) {
		struct walk w;
		unsigned char hash[32];
		struct span body, encoding;

		if (walk(&w, vector) != 0)
			fail_msg("%s: %s", current, w.refusal.message);
		body = json_hex(&w.a, vector, "body");
		encoding = json_hex(&w.a, vector, "pae");
		json_expect_bytes(w.metadata.body, body, "the record's body");
		assert_int_equal(w.metadata.method, method_of(vector));
		assert_string_equal(headers_request_type(w.metadata.method), json_text(vector, "media_type"));
		json_expect_bytes(span_of(w.v.fingerprint, 32), json_hex(&w.a, vector, "fingerprint"), "fingerprint");
		json_expect_bytes(span_of(w.v.digest, 32), json_hex(&w.a, vector, "request_digest"), "request_digest");
		dsse_sha256(encoding, hash);
		json_expect_bytes(span_of(hash, 32), json_hex(&w.a, vector, "fingerprint"), "the encoding's hash");
		expect_signature(&w.a, headers_request_type(w.metadata.method), body, vector);
		json_expect_decoded(type_of(vector), body, json_member(vector, "fields"));
		assert_string_equal(w.v.key->id, json_text(vector, "key_id"));
		seen[w.metadata.method] = true;
		arena_free(&w.a);
	}
	for (enum method m = 0; m < METHOD_COUNT; m++)
		assert_true(seen[m]);
}

/* box with the vector's key. */
static struct span
opened(struct arena *a, const cJSON *vector, struct span box)
{
	unsigned char *plain = arena_alloc(a, box.bytes);

	assert_int_equal(crypto_box_seal_open(plain, box.data, box.bytes, json_hex(a, vector, "recipient_public").data,
	    json_hex(a, vector, "recipient_secret").data), 0);
	return span_of(plain, box.bytes - crypto_box_SEALBYTES);
}

static void
every_box_opens(void **state)
{
	const cJSON *vector;

	(void)state;
	none_is_empty(boxes);
	FOR_EACH(vector, boxes) {
		struct arena a = { 0 };
		struct span plain = opened(&a, vector, json_hex(&a, vector, "box"));

		json_expect_bytes(plain, json_hex(&a, vector, "plaintext"), current);
		json_expect_decoded(&tokend__v1__token_secret__descriptor, plain, json_member(vector, "fields"));
		arena_free(&a);
	}
}

static void
expect_packed_like_ours(struct walk *w, const cJSON *vector)
{
	const cJSON *fields = json_member(vector, "fields");
	const char *expires_at = json_text_or_null(fields, "expires_at");
	struct seal_token s = {
		.request = &w->request, .fingerprint = w->v.fingerprint, .cluster_name = json_text(fields, "cluster"),
		.account_id = json_text_or_null(fields, "account_id"),
		.cluster_id = json_text_or_null(fields, "cluster_id"),
		.description_sent = json_text(fields, "description"), .token_id = json_text(fields, "token_id"),
		.access_token = span_str(json_text(fields, "access_token")), .has_expires_at = expires_at != NULL,
	};
	struct span box;
	struct err e;

	assert_true(text_parse_time(span_str(json_text(fields, "created_at")), &s.created_at, &s.created_at_nanos));
	if (expires_at != NULL)
		assert_true(text_parse_time(span_str(expires_at), &s.expires_at, &s.expires_at_nanos));
	assert_string_equal(w->request.recipient_id, json_text(vector, "recipient_key_id"));
	if (seal_box(&s, &w->a, &box, &e) != 0)
		fail_msg("%s: %s", current, e.text);
	json_expect_bytes(opened(&w->a, vector, box), json_hex(&w->a, vector, "plaintext"), current);
}

/* What we would put into a box for that request is what stands in the vector's. */
static void
every_box_is_packed_like_ours(void **state)
{
	const cJSON *vector;

	(void)state;
	FOR_EACH(vector, boxes) {
		struct walk w;

		assert_int_equal(walk(&w, json_named(requests, "name", json_text(vector, "request"))), 0);
		expect_packed_like_ours(&w, vector);
		arena_free(&w.a);
	}
}

static void
expect_same_headers(const struct header *headers, size_t n, const struct record *published)
{
	assert_int_equal(n, published->n_headers);
	for (size_t i = 0; i < n; i++) {
		json_expect_bytes(headers[i].name, published->headers[i].name, "a header's name");
		json_expect_bytes(headers[i].value, published->headers[i].value, "a header's value");
	}
}

static void
expect_published_like_ours(struct arena *a, const cJSON *vector)
{
	const cJSON *request = json_named(requests, "name", json_text(vector, "request"));
	const cJSON *fields = json_member(vector, "fields"), *said = json_member(fields, "status");
	const char *revoked_at = json_text_or_null(fields, "revoked_at");
	struct span body = json_hex(a, vector, "body"), value;
	struct span stored = span_of(body.data, (size_t)json_number(vector, "stored_bytes"));
	struct seal_stamp stamp = {
		.method = method_of(request), .issued_at = time_of(json_text(fields, "issued_at")),
		.replayed = cJSON_IsTrue(cJSON_GetObjectItem(fields, "replayed")),
		.revoked_at = revoked_at != NULL ? time_of(revoked_at) : 0,
	};
	unsigned char secret[DSSE_SECRET_BYTES], signature[DSSE_SIGNATURE_BYTES];
	struct record published = record_of(vector, a);
	const struct metadata m = { .method = stamp.method };
	const struct reply_headers dress = {
		.metadata = &m, .record = &published, .key_id = json_text(vector, "key_id"), .signature = signature,
		.code = (int)json_integer(cJSON_GetObjectItem(said, "code")), .message = json_text(said, "message"),
	};
	struct header headers[REPLY_HEADERS_MOST];
	struct frame frame;

	memcpy(stamp.digest, json_hex(a, request, "request_digest").data, 32);
	secret_of(dress.key_id, secret);
	seal_reply(stored, &stamp, secret, a, &value, signature);
	json_expect_bytes(value, body, current);
	json_expect_decoded(type_of(vector), body, fields);
	assert_string_equal(headers_reply_type(stamp.method), json_text(vector, "media_type"));
	expect_signature(a, headers_reply_type(stamp.method), body, vector);
	assert_int_equal(frame_open(published.value, &frame), 0);
	json_expect_bytes(frame.body, body, "the record's value");
	expect_same_headers(headers, reply_headers_write(a, &dress, headers), &published);
	assert_int_equal(murmur2_partition(published.key, config.partitions), published.partition);
}

/* From what is stored and what a publication adds, we publish these very bytes, signature and headers. */
static void
every_reply_is_published_like_ours(void **state)
{
	const cJSON *vector;

	(void)state;
	none_is_empty(replies);
	FOR_EACH(vector, replies) {
		struct arena a = { 0 };

		expect_published_like_ours(&a, vector);
		arena_free(&a);
	}
}

/* tokenctl asks for tokens: the other replies are not for it. */
static bool
tokenctl_could_have_asked(const cJSON *request)
{
	return strcmp(json_text(request, "method"), "CreateToken") == 0;
}

static void
every_reply_is_believed(void **state)
{
	const cJSON *vector;
	int opened = 0, refused = 0;

	(void)state;
	FOR_EACH(vector, replies) {
		struct arena a = { 0 };
		const cJSON *request = json_named(requests, "name", json_text(vector, "request"));
		struct record record = record_of(vector, &a);
		bool has_box = json_text_or_null(vector, "box") != NULL;
		enum reply_verdict verdict;
		const char *why;

		if (tokenctl_could_have_asked(request)) {
			verdict = judge(request, &record, &why);
			if (verdict != (has_box ? REPLY_OPENED : REPLY_REFUSED))
				fail_msg("%s: %s", current, why != NULL ? why : "is judged otherwise");
			opened += has_box;
			refused += !has_box;
		}
		arena_free(&a);
	}
	assert_true(opened > 0 && refused > 0);
}

/* What we never send and a newer service may; and what nobody should, whose box stays shut. */
static void
every_odd_reply_is_believed(void **state)
{
	cJSON *odd = json_load(FOLDER "odd_replies.json"), *vector;
	int opened = 0, refused = 0;

	(void)state;
	FOR_EACH(vector, odd) {
		struct arena a = { 0 };
		struct record record = record_of(vector, &a);
		bool opens = cJSON_IsObject(json_member(vector, "secret"));
		const char *why = NULL;

		if (judge(json_named(requests, "name", json_text(vector, "request")), &record, &why) !=
		    (opens ? REPLY_OPENED : REPLY_REFUSED))
			fail_msg("%s: %s", current, why != NULL ? why : "is judged otherwise");
		opened += opens;
		refused += !opens;
		arena_free(&a);
	}
	assert_true(opened > 0 && refused > 0);
	cJSON_Delete(odd);
}

/* Under another request's eyes each of them is noise, though each is genuine. */
static void
no_reply_answers_another_request(void **state)
{
	const cJSON *vector, *request;

	(void)state;
	FOR_EACH(vector, replies) {
		struct arena a = { 0 };
		struct record record = record_of(vector, &a);
		const char *asked_by = json_text(vector, "request"), *why;

		cJSON_ArrayForEach(request, requests) {
			if (!tokenctl_could_have_asked(request) || strcmp(json_text(request, "name"), asked_by) == 0)
				continue;
			record.key = span_str(json_text(json_member(request, "record"), "key"));
			if (judge(request, &record, &why) != REPLY_IGNORED)
				fail_msg("%s is taken for an answer to %s", current, json_text(request, "name"));
		}
		arena_free(&a);
	}
}

/* ---- bad ----------------------------------------------------------------------------------------------- */

static void
expect_detail(const struct status *s, const char *key, const char *wanted)
{
	const char *found = fixture_detail(s, key);

	if (wanted != NULL && (found == NULL || strcmp(found, wanted) != 0))
		fail_msg("%s: %s is %s, not %s (%s)", current, key, found != NULL ? found : "not told", wanted,
		    s->message);
}

static void
every_bad_request_is_refused(void **state)
{
	static const char *const abouts[] = { "", "OUTCOME", "RECORD" };
	static const char *const retries[] = { "RETRY_UNSPECIFIED", "NEVER", "SAME_RECORD", "NEW_ID", "LATER" };
	cJSON *bad = json_load(FOLDER "bad_requests.json"), *vector;

	(void)state;
	none_is_empty(bad);
	FOR_EACH(vector, bad) {
		const cJSON *wanted = json_member(vector, "status");
		const struct status_row *row;
		struct walk w;

		if (walk(&w, vector) == 0)
			fail_msg("%s is taken", current);
		row = status_row(w.refusal.cause);
		if (strcmp(row->reason, json_text(wanted, "reason")) != 0)
			fail_msg("%s: %s: %s", current, row->reason, w.refusal.message);
		assert_int_equal(row->code, json_number(wanted, "code"));
		assert_string_equal(abouts[row->about], json_text(wanted, "about"));
		assert_string_equal(retries[row->retry], json_text(wanted, "retry"));
		expect_detail(&w.refusal, "field", json_text_or_null(wanted, "field"));
		expect_detail(&w.refusal, "field_number", json_text_or_null(wanted, "field_number"));
		arena_free(&w.a);
	}
	cJSON_Delete(bad);
}

/* By its reason, too: a vector that were refused for another one would prove nothing. */
static bool
is_because(const char *because, const char *why)
{
	static const char *const words[][2] = {
		{ "frame", "its frame is" }, { "signature", "not signed" }, { "status", "has no status" },
		{ "request", "another request" }, { "digest", "another record" },
		{ "principal", "another principal" }, { "box", "holds no box" }, { "box", "sealed to another key" },
		{ "box", "its box does not open" }, { "box", "its box holds cannot be decoded" },
		{ "context", "its box names" }, { "context", "its box holds no token" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], because) == 0 && strstr(why, words[i][1]) != NULL)
			return true;
	return false;
}

static void
every_bad_reply_is_ignored(void **state)
{
	cJSON *bad = json_load(FOLDER "bad_replies.json"), *vector;

	(void)state;
	none_is_empty(bad);
	FOR_EACH(vector, bad) {
		struct arena a = { 0 };
		struct record record = record_of(vector, &a);
		const char *why = NULL, *because = json_text(vector, "because");

		if (judge(json_named(requests, "name", json_text(vector, "request")), &record, &why) != REPLY_IGNORED)
			fail_msg("%s is believed", current);
		if (!is_because(because, why))
			fail_msg("%s: %s, and not for its %s", current, why, because);
		arena_free(&a);
	}
	cJSON_Delete(bad);
}

static void
signatures(void **state)
{
	cJSON *all = json_load(FOLDER "signatures.json"), *vector;

	(void)state;
	none_is_empty(all);
	FOR_EACH(vector, all) {
		struct arena a = { 0 };
		bool valid = cJSON_IsTrue(json_member(vector, "valid"));
		struct span key = json_hex(&a, vector, "public"), body = json_hex(&a, vector, "body");
		struct span signature = json_base64(&a, json_text(vector, "signature"));

		if (dsse_verify(json_text(vector, "media_type"), body, key.data, signature.data) != valid)
			fail_msg("%s is %s", current, valid ? "refused" : "taken");
		arena_free(&a);
	}
	cJSON_Delete(all);
}

static void
recipient_keys(void **state)
{
	cJSON *all = json_load(FOLDER "recipient_keys.json"), *vector;

	(void)state;
	none_is_empty(all);
	cJSON_ArrayForEach(vector, all) {
		struct arena a = { 0 };
		bool usable = cJSON_IsTrue(json_member(vector, "usable"));

		if (boxkey_usable(json_hex(&a, vector, "public").data) != usable)
			fail_msg("%s is judged otherwise", json_text(vector, "public"));
		arena_free(&a);
	}
	cJSON_Delete(all);
}

/* ---- partitions and frames ----------------------------------------------------------------------------- */

static void
partitions(void **state)
{
	cJSON *all = json_load(FOLDER "partitions.json"), *vector, *n;

	(void)state;
	none_is_empty(all);
	cJSON_ArrayForEach(vector, all) {
		struct span key = span_str(json_text(vector, "key"));

		assert_int_equal(murmur2(key), json_number(vector, "murmur2"));
		assert_int_equal(text_is_request_id(key), cJSON_IsTrue(json_member(vector, "is_request_id")));
		assert_int_equal(cJSON_GetArraySize(json_member(vector, "partitions")), 3);
		cJSON_ArrayForEach(n, json_member(vector, "partitions"))
			assert_int_equal(murmur2_partition(key, atoi(n->string)), n->valueint);
	}
	cJSON_Delete(all);
}

static void
frames(void **state)
{
	cJSON *all = json_load(FOLDER "frames.json"), *vector;
	struct frame f;

	(void)state;
	none_is_empty(json_member(all, "good"));
	none_is_empty(json_member(all, "bad"));
	FOR_EACH(vector, json_member(all, "good")) {
		struct arena a = { 0 };
		const cJSON *index = json_member(vector, "message_index");

		assert_int_equal(frame_open(json_hex(&a, vector, "value"), &f), 0);
		json_expect_bytes(f.body, json_hex(&a, vector, "body"), current);
		assert_int_equal(f.present, !cJSON_IsNull(index));
		if (f.present)
			assert_int_equal(f.message_index,
			    cJSON_GetArraySize(index) > 1 ? -1 : cJSON_GetArrayItem(index, 0)->valueint);
		arena_free(&a);
	}
	FOR_EACH(vector, json_member(all, "bad")) {
		struct arena a = { 0 };

		if (frame_open(json_hex(&a, vector, "value"), &f) == 0)
			fail_msg("%s is taken", current);
		arena_free(&a);
	}
	cJSON_Delete(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(every_request_is_taken),
		cmocka_unit_test(every_box_opens),
		cmocka_unit_test(every_box_is_packed_like_ours),
		cmocka_unit_test(every_reply_is_published_like_ours),
		cmocka_unit_test(every_reply_is_believed),
		cmocka_unit_test(every_odd_reply_is_believed),
		cmocka_unit_test(no_reply_answers_another_request),
		cmocka_unit_test(every_bad_request_is_refused),
		cmocka_unit_test(every_bad_reply_is_ignored),
		cmocka_unit_test(signatures),
		cmocka_unit_test(recipient_keys),
		cmocka_unit_test(partitions),
		cmocka_unit_test(frames),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("vectors", tests, load, drop);
}
