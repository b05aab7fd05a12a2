/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what each released version wrote (tests/compat/TAG) is still read, every member of it: requests that lie in
 * a topic, replies that a requester has stored, and the journal, from which this version goes on where that one
 * ended. */
#include "tests/unit/fixture_request.h"
#include "tests/unit/fixture_json.h"

#include <glob.h>
#include <sys/stat.h>

#include "service/ctl/profile.h"
#include "service/ctl/reply.h"
#include "service/decode.h"
#include "service/headers.h"
#include "service/journal.h"
#include "service/journal_record.h"
#include "service/seal.h"
#include "tokend/v1/journal.pb-c.h"

#define RECORDS "tests/compat/v*/records.json"

/* ---- what was kept ------------------------------------------------------------------------------------- */

static void
for_each_tag(void (*check)(const cJSON *kept))
{
	glob_t found;

	assert_int_equal(glob(RECORDS, 0, NULL, &found), 0);
	assert_true(found.gl_pathc > 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		cJSON *kept = json_load(found.gl_pathv[i]);

		check(kept);
		cJSON_Delete(kept);
	}
	globfree(&found);
}

static struct span
bytes(struct arena *a, const cJSON *object, const char *name)
{
	return json_base64(a, json_text(object, name));
}

static const char *
text_of(struct arena *a, const char *base64)
{
	return (const char *)arena_copy(a, json_base64(a, base64)).data;
}

/* The first header of that name. */
static const char *
header(struct arena *a, const cJSON *record, const char *name)
{
	const cJSON *each;

	cJSON_ArrayForEach(each, json_member(record, "headers"))
		if (strcmp(cJSON_GetStringValue(cJSON_GetArrayItem(each, 0)), name) == 0)
			return text_of(a, cJSON_GetStringValue(cJSON_GetArrayItem(each, 1)));
	return "";
}

static enum method
method_of(struct arena *a, const cJSON *record)
{
	for (enum method m = 0; m < METHOD_COUNT; m++)
		if (strcmp(headers_method_name(m), header(a, record, "tokend-method")) == 0)
			return m;
	return METHOD_CREATE_TOKEN;
}

static bool
signature_holds(struct arena *a, const char *type, const cJSON *record, struct span public_key)
{
	struct span signature = json_base64(a, header(a, record, "tokend-signature"));

	assert_int_equal(signature.bytes, DSSE_SIGNATURE_BYTES);
	return dsse_verify(type, bytes(a, record, "value"), public_key.data, signature.data);
}

/* ---- requests and replies ------------------------------------------------------------------------------ */

static const ProtobufCMessageDescriptor *const request_types[METHOD_COUNT] = {
	[METHOD_CREATE_TOKEN] = &tokend__v1__create_token_request__descriptor,
	[METHOD_GET_OUTCOME] = &tokend__v1__get_outcome_request__descriptor,
	[METHOD_REVOKE_TOKEN] = &tokend__v1__revoke_token_request__descriptor,
};

static const ProtobufCMessageDescriptor *const reply_types[METHOD_COUNT] = {
	[METHOD_CREATE_TOKEN] = &tokend__v1__create_token_reply__descriptor,
	[METHOD_GET_OUTCOME] = &tokend__v1__create_token_reply__descriptor,
	[METHOD_REVOKE_TOKEN] = &tokend__v1__revoke_token_reply__descriptor,
};

static void
check_requests(const cJSON *kept)
{
	const cJSON *principal = json_member(kept, "principal"), *record;
	struct config c = fixture_config;
	int taken = 0;

	c.service_id = (char *)(uintptr_t)json_text(kept, "service_id");
	cJSON_ArrayForEach(record, json_member(kept, "requests")) {
		struct arena a = { 0 };
		enum method m = method_of(&a, record);
		struct span body = bytes(&a, record, "value"), key = span_str(json_text(record, "key"));
		struct span public_key = bytes(&a, principal, "signing_public");
		const char *signed_by = json_text_or_null(record, "signed_by");
		struct request r;
		struct status refusal;

		json_expect_decoded(request_types[m], body, json_member(record, "fields"));
		assert_int_equal(signature_holds(&a, headers_request_type(m), record, public_key), signed_by != NULL);
		if (signed_by != NULL && decode_shape(&c, m, body, key, signed_by, &a, &r, &refusal) != 0)
			fail_msg("%s", refusal.message);
		taken += signed_by != NULL;
		arena_free(&a);
	}
	assert_true(taken > 0);
}

static void
requests_are_taken(void **state)
{
	(void)state;
	for_each_tag(check_requests);
}

static void
expect_secret(struct arena *a, const cJSON *kept, const cJSON *reply)
{
	const cJSON *principal = json_member(kept, "principal"), *secret = json_member(reply, "secret");
	struct span box = bytes(a, json_member(reply, "fields"), "sealed_token");
	unsigned char *plain = arena_alloc(a, box.bytes);

	/* An inline key was the same key. */
	assert_int_equal(crypto_box_seal_open(plain, box.data, box.bytes, bytes(a, principal, "box_public").data,
	    bytes(a, principal, "box_secret").data), 0);
	json_expect_decoded(&tokend__v1__token_secret__descriptor, span_of(plain, box.bytes - crypto_box_SEALBYTES),
	    secret);
}

static void
check_replies(const cJSON *kept)
{
	const cJSON *reply;
	int opened = 0;

	cJSON_ArrayForEach(reply, json_member(kept, "replies")) {
		struct arena a = { 0 };
		enum method m = method_of(&a, reply);
		struct span key = bytes(&a, json_member(kept, "service_keys"), header(&a, reply, "tokend-key-id"));

		assert_true(signature_holds(&a, headers_reply_type(m), reply, key));
		json_expect_decoded(reply_types[m], bytes(&a, reply, "value"), json_member(reply, "fields"));
		if (!cJSON_IsNull(json_member(reply, "secret"))) {
			expect_secret(&a, kept, reply);
			opened++;
		}
		arena_free(&a);
	}
	assert_true(opened > 0);
}

static void
replies_are_opened(void **state)
{
	(void)state;
	for_each_tag(check_replies);
}

/* ---- tokenctl's own file ------------------------------------------------------------------------------- */

/* Load what tokenctl stored then, from a folder where it lies alone. */
static void
load_request(struct arena *a, const cJSON *stored, struct signed_request *ret)
{
	const char *name = json_text(stored, "name"), *id;
	char folder[] = "/tmp/tokend-compat-XXXXXX";
	const char *path;
	struct err e;
	FILE *f;

	assert_non_null(mkdtemp(folder));
	path = arena_text(a, "%s/%s", folder, name);
	id = arena_text(a, "%.*s", (int)(strlen(name) - strlen(".request")), name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(json_text(stored, "text"), f) >= 0 && fchmod(fileno(f), 0600) == 0);
	assert_int_equal(fclose(f), 0);
	if (request_load(folder, id, a, ret, &e) != 1)
		fail_msg("%s is not read", name);
	(void)unlink(path);
	(void)rmdir(folder);
}

static void
check_stored_request(const cJSON *kept)
{
	const cJSON *principal = json_member(kept, "principal"), *reply;
	const cJSON *service_key = json_member(kept, "service_keys")->child;
	struct arena a = { 0 };
	struct signed_request request;
	struct profile_service_key pinned = { .id = service_key->string };
	unsigned char box_secret[32];
	struct keys box = { .secret = box_secret };
	struct reply_expected e = { .request = &request, .service_keys = &pinned, .n_service_keys = 1, .box = &box,
	    .partitions = json_member(kept, "partitions")->valueint };
	int opened = 0;

	memcpy(pinned.public_key, json_base64(&a, service_key->valuestring).data, sizeof(pinned.public_key));
	memcpy(box_secret, bytes(&a, principal, "box_secret").data, sizeof(box_secret));
	memcpy(box.public_key, bytes(&a, principal, "box_public").data, sizeof(box.public_key));
	load_request(&a, json_member(kept, "stored_request"), &request);
	cJSON_ArrayForEach(reply, json_member(kept, "replies")) {
		const struct header signature = {
			span_str("tokend-signature"), span_str(header(&a, reply, "tokend-signature")),
		};
		const struct record record = {
			.key = span_str(json_text(reply, "key")), .value = bytes(&a, reply, "value"),
			.headers = &signature, .n_headers = 1,
		};
		struct reply r;

		reply_judge(&e, &record, &r);
		if (r.verdict == REPLY_OPENED) {
			json_expect(&r.secret->base, json_member(reply, "secret"));
			opened++;
		} else if (r.verdict != REPLY_OTHERS)
			fail_msg("tokenctl's own reply: %s", r.why != NULL ? r.why : "refused");
		reply_wipe(&r);
	}
	assert_int_equal(opened, 1);
	arena_free(&a);
}

static void
tokenctl_goes_on_with_its_own_request(void **state)
{
	(void)state;
	for_each_tag(check_stored_request);
}

/* ---- the journal --------------------------------------------------------------------------------------- */

static void
expect_attempt(const struct attempt *found, const Tokend__V1__Attempt *wanted)
{
	json_expect_bytes(span_of(found->uuid, ATTEMPT_UUID_BYTES), span_of(wanted->uuid.data, wanted->uuid.len),
	    "uuid");
	json_expect_bytes(span_of(found->cluster_digest, 32), span_of(wanted->cluster_digest.data,
	    wanted->cluster_digest.len), "cluster_digest");
	assert_int_equal(found->number, wanted->number);
	assert_string_equal(found->cluster, wanted->cluster);
	assert_int_equal(found->not_before_ms, wanted->not_before_ms);
	assert_int_equal(found->not_after_ms, wanted->not_after_ms);
	assert_int_equal(found->fate, wanted->fate);
}

/* What the journal makes of the record is what stands in it. */
static void
expect_read(const struct record_read *found, const Tokend__V1__JournalRecord *wanted)
{
	static const unsigned char none[32];

	assert_memory_equal(found->journal_id, wanted->journal_id.data, sizeof(found->journal_id));
	assert_int_equal(found->seq, wanted->seq);
	assert_int_equal(found->state, wanted->state);
	assert_memory_equal(found->fingerprint, wanted->fingerprint.len > 0 ? wanted->fingerprint.data : none, 32);
	assert_memory_equal(found->digest, wanted->request_digest.len > 0 ? wanted->request_digest.data : none, 32);
	assert_int_equal(found->offset, wanted->offset);
	assert_int_equal(found->deadline, wanted->deadline);
	assert_int_equal(found->attempts, wanted->attempts);
	assert_int_equal(found->previous, wanted->previous_fate);
	assert_int_equal(found->has_attempt, wanted->attempt != NULL);
	if (wanted->attempt != NULL)
		expect_attempt(&found->attempt, wanted->attempt);
	assert_int_equal(found->n_closed, wanted->n_closed);
	for (size_t i = 0; i < wanted->n_closed; i++)
		expect_attempt(&found->closed[i], wanted->closed[i]);
}

/* The stored reply can be published again, and says what it said. */
static void
expect_reply(struct arena *a, struct span value, const cJSON *fields)
{
	const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(fields, "create_reply");
	const char *token_id = json_text_or_null(fields, "token_id");
	struct journal_reply reply;
	struct err e;

	if (wanted == NULL)
		return;
	if (journal_read_reply(value, a, &reply, &e) != 0)
		fail_msg("%s", e.text);
	json_expect_decoded(&tokend__v1__create_token_reply__descriptor, reply.stored, wanted);
	assert_int_equal(reply.code, json_integer(cJSON_GetObjectItem(json_member(wanted, "status"), "code")));
	assert_string_equal(reply.token_id, token_id != NULL ? token_id : "");
}

static void
check_journal_records(const cJSON *kept)
{
	const cJSON *record;
	bool intent = false, closed = false, other = false;

	cJSON_ArrayForEach(record, json_member(kept, "journal")) {
		struct arena a = { 0 };
		struct span key = span_str(json_text(record, "key")), value = bytes(&a, record, "value");
		const cJSON *fields = json_member(record, "fields");
		Tokend__V1__JournalRecord *m = tokend__v1__journal_record__unpack(NULL, value.bytes, value.data);
		struct record_read read;
		struct err e;

		assert_non_null(m);
		json_expect(&m->base, fields);
		if (record_read(key, value, &a, &read, &e) != 0)
			fail_msg("%s: %s", json_text(record, "key"), e.text);
		expect_read(&read, m);
		expect_reply(&a, value, fields);
		intent = intent || read.state == RECORD_INTENT;
		closed = closed || (read.state == RECORD_DONE && read.n_closed > 0);
		other = other || key.data[0] == '#';
		tokend__v1__journal_record__free_unpacked(m, NULL);
		arena_free(&a);
	}
	assert_true(intent && closed && other);
}

static void
journal_records_are_read(void **state)
{
	(void)state;
	for_each_tag(check_journal_records);
}

/* The configuration of then still holds the clusters where attempts were made: who took one out waits a day. */
static void
configure_cluster(struct config *c, const Tokend__V1__Attempt *a)
{
	if (a == NULL || c->n_clusters == 2)
		return;
	memcpy(c->clusters[c->n_clusters].digest, a->cluster_digest.data, a->cluster_digest.len);
	for (size_t i = 0; i < c->n_clusters; i++)
		if (memcmp(c->clusters[i].digest, a->cluster_digest.data, a->cluster_digest.len) == 0)
			return;
	c->n_clusters++;
}

static const struct config *
config_of_then(const cJSON *kept)
{
	static struct cluster clusters[2];
	static struct config c;
	const cJSON *record;

	c = fixture_config;
	c.clusters = clusters;
	c.n_clusters = 0;
	cJSON_ArrayForEach(record, json_member(kept, "journal")) {
		struct arena a = { 0 };
		struct span value = bytes(&a, record, "value");
		Tokend__V1__JournalRecord *m = tokend__v1__journal_record__unpack(NULL, value.bytes, value.data);

		assert_non_null(m);
		configure_cluster(&c, m->attempt);
		for (size_t i = 0; i < m->n_closed; i++)
			configure_cluster(&c, m->closed[i]);
		tokend__v1__journal_record__free_unpacked(m, NULL);
		arena_free(&a);
	}
	return &c;
}

static struct journal *
restored(const cJSON *kept, int32_t partition, int64_t *ret_high)
{
	struct journal *j = journal_new(partition, config_of_then(kept), 0);
	const cJSON *record;

	*ret_high = 0;
	cJSON_ArrayForEach(record, json_member(kept, "journal")) {
		struct arena a = { 0 };
		struct span key = span_str(json_text(record, "key")), value = bytes(&a, record, "value");
		int64_t offset = json_number(record, "offset");

		if (json_number(record, "partition") == partition) {
			journal_remember(j, key, value, offset);
			*ret_high = offset + 2;       /* the transaction's marker lies behind it */
		}
		arena_free(&a);
	}
	return j;
}

static int
open_with(struct journal *j, const cJSON *committed, const char *metadata, int64_t high, int64_t *ret_start,
    struct err *ret_err)
{
	const struct journal_found found = {
		.has_offset = true, .offset = json_number(committed, "offset"), .metadata = metadata, .request_low = 0,
		.request_high = 100, .journal_high = high, .marker_offsets = 1,
	};

	return journal_open(j, &found, ret_start, ret_err);
}

/* The last record of that request's key says what the index must know. */
static void
expect_known(const struct journal *j, const cJSON *record, enum journal_seen *ret_seen)
{
	const cJSON *fields = json_member(record, "fields");
	bool done = strcmp(json_text(fields, "state"), "DONE") == 0;
	uint64_t key_hash = journal_key_hash(span_str(json_text(record, "key")));
	struct arena a = { 0 };
	struct journal_look look;

	journal_look(j, key_hash, bytes(&a, fields, "fingerprint").data, &look);
	assert_int_equal(look.seen, done ? JOURNAL_DONE : JOURNAL_BEGUN);
	if (done)
		assert_int_equal(look.offset, json_number(record, "offset"));
	*ret_seen = look.seen;
	arena_free(&a);
}

static const cJSON *
last_of_key(const cJSON *record)
{
	const cJSON *last = record;

	for (const cJSON *each = record; each != NULL; each = each->next)
		if (strcmp(json_text(each, "key"), json_text(record, "key")) == 0)
			last = each;
	return last;
}

/* An attempt that was open when that version was killed is taken over: closed, its fate unknown. */
static void
expect_taken_over(struct journal *j, int32_t partition, const cJSON *record)
{
	static struct assignment assignment;
	const cJSON *fields = json_member(record, "fields");
	struct ticket *t = ticket_new(&assignment);
	struct span value = bytes(&t->arena, record, "value"), key = span_str(json_text(record, "key"));
	Tokend__V1__JournalRecord *m = tokend__v1__journal_record__unpack(NULL, value.bytes, value.data);
	struct attempt wanted;

	assert_non_null(m);
	t->record = (struct record){ .partition = partition, .offset = m->offset };
	t->verified = true;
	t->journal_key = key;
	t->key_hash = journal_key_hash(key);
	memcpy(t->fingerprint, bytes(&t->arena, fields, "fingerprint").data, 32);
	memcpy(t->digest, bytes(&t->arena, fields, "request_digest").data, 32);
	journal_admit(j, t);
	assert_int_equal(t->attempts.begun, m->attempts);
	assert_false(t->attempts.open);
	assert_int_equal(t->attempts.n_closed, m->n_closed + 1);
	wanted = t->attempts.closed[m->n_closed];
	assert_int_equal(wanted.fate, FATE_UNKNOWN);
	m->attempt->fate = TOKEND__V1__FATE__UNKNOWN;
	expect_attempt(&wanted, m->attempt);
	tokend__v1__journal_record__free_unpacked(m, NULL);
	ticket_free(t);
}

static void
check_restore(const cJSON *kept)
{
	const cJSON *committed, *record;
	int done = 0, begun = 0;

	cJSON_ArrayForEach(committed, json_member(kept, "offsets")) {
		int32_t partition = (int32_t)json_number(committed, "partition");
		int64_t high, start;
		struct journal *j = restored(kept, partition, &high);
		struct err e;

		if (open_with(j, committed, json_text(committed, "metadata"), high, &start, &e) != 0)
			fail_msg("partition %d: %s", (int)partition, e.text);
		assert_int_equal(start, json_number(committed, "offset"));
		cJSON_ArrayForEach(record, json_member(kept, "journal")) {
			enum journal_seen seen;

			if (json_number(record, "partition") != partition || json_text(record, "key")[0] == '#' ||
			    last_of_key(record) != record)
				continue;
			expect_known(j, record, &seen);
			done += seen == JOURNAL_DONE;
			begun += seen == JOURNAL_BEGUN;
			if (seen == JOURNAL_BEGUN)
				expect_taken_over(j, partition, record);
		}
		journal_free(j);
	}
	assert_true(done > 0 && begun > 0);
}

static void
a_restart_with_this_version_goes_on(void **state)
{
	(void)state;
	for_each_tag(check_restore);
}

/* The offset's metadata counts: one that tells of another journal, or of a longer one, keeps the partition closed. */
static void
check_metadata(const cJSON *kept)
{
	static const size_t id_at = sizeof("tokend/1 ") - 1, seq_at = id_at + 2 * JOURNAL_ID_BYTES + 1;
	const cJSON *committed = cJSON_GetArrayItem(json_member(kept, "offsets"), 0);
	const char *told = json_text(committed, "metadata");
	struct arena a = { 0 };
	char *other = arena_text(&a, "%s", told), *longer = arena_text(&a, "%.*s9%s", (int)seq_at, told, told + seq_at);
	int64_t high, start;
	struct journal *j = restored(kept, (int32_t)json_number(committed, "partition"), &high);
	struct err e;

	other[id_at] = other[id_at] == '0' ? '1' : '0';
	assert_int_equal(open_with(j, committed, other, high, &start, &e), -1);
	assert_non_null(strstr(e.text, "another"));
	assert_int_equal(open_with(j, committed, longer, high, &start, &e), -1);
	assert_non_null(strstr(e.text, "ends with"));
	assert_int_equal(open_with(j, committed, told, high, &start, &e), 0);
	journal_free(j);
	arena_free(&a);
}

static void
the_offsets_metadata_is_understood(void **state)
{
	(void)state;
	for_each_tag(check_metadata);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_taken),
		cmocka_unit_test(replies_are_opened),
		cmocka_unit_test(tokenctl_goes_on_with_its_own_request),
		cmocka_unit_test(journal_records_are_read),
		cmocka_unit_test(a_restart_with_this_version_goes_on),
		cmocka_unit_test(the_offsets_metadata_is_understood),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("compat", tests, NULL, NULL);
}
