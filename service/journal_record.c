/* SPDX-License-Identifier: Apache-2.0 */
/* journal.proto <-> structs.
 *
 * A reader that is unsure must say so: whatever it cannot read keeps the partition closed, since a guess here
 * is a second token or a lost one. The stored reply is bytes already (conclude.c packed it): it is appended
 * behind the packed record as the field that it is, which protobuf allows, instead of being parsed and packed
 * once more. */
#include "service/journal_record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "service/base/text.h"
#include "service/journal.h"
#include "tokend/v1/journal.pb-c.h"

#define CREATE_REPLY_TAG (14 << 3 | 2)
#define REVOKE_REPLY_TAG (15 << 3 | 2)

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* "<n>:" and n bytes at *at; moves on. */
static bool
part(struct span key, size_t *at, bool (*valid)(struct span))
{
	size_t n = 0, digits = 0;

	while (*at < key.bytes && key.data[*at] >= '0' && key.data[*at] <= '9' && digits++ < 4)
		n = n * 10 + (size_t)(key.data[(*at)++] - '0');
	if (digits == 0 || *at >= key.bytes || key.data[*at] != ':' || key.bytes - *at - 1 < n)
		return false;
	*at += 1 + n;
	return valid(span_of(key.data + *at - n, n));
}

static bool
key_valid(struct span key)
{
	size_t at = 1;

	if (key.bytes == 0)
		return false;
	if (key.data[0] == '#')
		return true;
	return (key.data[0] == 'C' || key.data[0] == 'R') && part(key, &at, text_is_principal) && at < key.bytes &&
	    key.data[at++] == ',' && part(key, &at, text_is_request_id) && at == key.bytes;
}

static int
read_hash(ProtobufCBinaryData bytes, unsigned char ret[32], const char *field, struct err *ret_err)
{
	if (bytes.len != 0 && bytes.len != 32)
		return err_set(ret_err, ERR_REFUSE, "%s has %zu bytes instead of 32", field, bytes.len);
	if (bytes.len == 32)
		memcpy(ret, bytes.data, 32);
	return 0;
}

static int
read_attempt(const Tokend__V1__Attempt *from, struct arena *a, struct attempt *ret, struct err *ret_err)
{
	if (from->uuid.len != ATTEMPT_UUID_BYTES || from->cluster_digest.len != 32)
		return err_set(ret_err, ERR_REFUSE, "an attempt without a whole uuid or cluster digest");
	memcpy(ret->uuid, from->uuid.data, ATTEMPT_UUID_BYTES);
	memcpy(ret->cluster_digest, from->cluster_digest.data, 32);
	ret->number = from->number;
	ret->cluster = (const char *)arena_copy(a, span_str(from->cluster)).data;
	ret->not_before_ms = from->not_before_ms;
	ret->not_after_ms = from->not_after_ms;
	if (from->fate > TOKEND__V1__FATE__UNKNOWN)
		return err_set(ret_err, ERR_REFUSE, "an attempt of fate %d, which this version does not know",
		    (int)from->fate);
	ret->fate = (enum fate)from->fate;
	return 0;
}

static int
read_attempts(const Tokend__V1__JournalRecord *from, struct arena *a, struct record_read *ret, struct err *ret_err)
{
	if (from->n_closed > ATTEMPTS_CLOSED_MOST)
		return err_set(ret_err, ERR_REFUSE, "%zu closed attempts, above %d", from->n_closed,
		    ATTEMPTS_CLOSED_MOST);
	ret->closed = arena_alloc(a, (from->n_closed + 1) * sizeof *ret->closed);
	for (; ret->n_closed < from->n_closed; ret->n_closed++) {
		struct attempt *to = &ret->closed[ret->n_closed];

		if (read_attempt(from->closed[ret->n_closed], a, to, ret_err) != 0)
			return -1;
		if (to->not_after_ms > ret->last_not_after_ms)
			ret->last_not_after_ms = to->not_after_ms;
	}
	if (from->attempt == NULL)
		return 0;
	if (read_attempt(from->attempt, a, &ret->attempt, ret_err) != 0)
		return -1;
	ret->has_attempt = true;
	if (ret->attempt.not_after_ms > ret->last_not_after_ms)
		ret->last_not_after_ms = ret->attempt.not_after_ms;
	if (ret->state == RECORD_DONE)
		memcpy(ret->delivered, ret->attempt.uuid + 8, sizeof ret->delivered);
	return 0;
}

static int
read_loss(const Tokend__V1__JournalRecord *from, struct record_read *ret, struct err *ret_err)
{
	if (from->replaced_journal_id.len != 0 && from->replaced_journal_id.len != sizeof ret->replaced_id)
		return err_set(ret_err, ERR_REFUSE, "replaces a journal id of %zu bytes",
		    from->replaced_journal_id.len);
	if (from->replaced_journal_id.len != 0)
		memcpy(ret->replaced_id, from->replaced_journal_id.data, sizeof ret->replaced_id);
	ret->loss_moment = from->loss_moment;
	return 0;
}

static int
read_fields(const Tokend__V1__JournalRecord *from, struct arena *a, struct record_read *ret, struct err *ret_err)
{
	if (from->lowest_reader > RECORD_FORMAT)
		return err_set(ret_err, ERR_REFUSE, "needs a reader of version %" PRIu32 ", this one is %d",
		    from->lowest_reader, RECORD_FORMAT);
	if (from->state < TOKEND__V1__JOURNAL_STATE__INTENT || from->state > TOKEND__V1__JOURNAL_STATE__LOSS)
		return err_set(ret_err, ERR_REFUSE, "is of state %d, which this version does not work with",
		    (int)from->state);
	if (from->journal_id.len != sizeof ret->journal_id)
		return err_set(ret_err, ERR_REFUSE, "has a journal id of %zu bytes", from->journal_id.len);
	memcpy(ret->journal_id, from->journal_id.data, sizeof ret->journal_id);
	ret->seq = from->seq;
	ret->state = (enum record_state)from->state;
	ret->offset = from->offset;
	ret->deadline = from->deadline;
	ret->revoked_at = from->revoked_at;
	ret->attempts = from->attempts;
	ret->token_id = (const char *)arena_copy(a, span_str(from->token_id)).data;
	ret->previous = from->previous_fate <= TOKEND__V1__FATE__UNKNOWN ?
	    (enum fate)from->previous_fate : FATE_UNKNOWN;
	if (read_hash(from->fingerprint, ret->fingerprint, "fingerprint", ret_err) != 0 ||
	    read_hash(from->request_digest, ret->digest, "request_digest", ret_err) != 0)
		return -1;
	return ret->state == RECORD_LOSS ? read_loss(from, ret, ret_err) : read_attempts(from, a, ret, ret_err);
}

int
record_read(struct span key, struct span value, struct arena *a, struct record_read *ret, struct err *ret_err)
{
	Tokend__V1__JournalRecord *from;
	int rc;

	memset(ret, 0, sizeof *ret);
	if (!key_valid(key)) {
		char shown[TEXT_SHOWN_ROOM];

		return err_set(ret_err, ERR_REFUSE, "its key \"%s\" is none of ours", text_shown(key, shown));
	}
	if (value.bytes == 0 || (from = tokend__v1__journal_record__unpack(NULL, value.bytes, value.data)) == NULL)
		return err_set(ret_err, ERR_REFUSE, "cannot be decoded");
	rc = read_fields(from, a, ret, ret_err);
	if (rc == 0 && (ret->state == RECORD_LOSS) != span_is(key, JOURNAL_LOSS_KEY))
		rc = err_set(ret_err, ERR_REFUSE, "its key does not go with its state %d", (int)ret->state);
	tokend__v1__journal_record__free_unpacked(from, NULL);
	return rc;
}

int
journal_read_reply(struct span value, struct arena *a, struct journal_reply *ret, struct err *ret_err)
{
	Tokend__V1__JournalRecord *from = value.bytes == 0 ?
	    NULL : tokend__v1__journal_record__unpack(NULL, value.bytes, value.data);
	const Tokend__V1__Status *status;
	unsigned char *stored;
	size_t bytes;
	int rc = -1;

	if (from == NULL)
		return err_set(ret_err, ERR_RETRY, "the stored record cannot be decoded");
	status = from->create_reply != NULL ? from->create_reply->status : from->revoke_reply != NULL ?
	    from->revoke_reply->status : NULL;
	if (from->state != TOKEND__V1__JOURNAL_STATE__DONE || status == NULL) {
		err_set(ret_err, ERR_RETRY, "the stored record holds no reply");
		goto out;
	}
	bytes = from->create_reply != NULL ? tokend__v1__create_token_reply__get_packed_size(from->create_reply) :
	    tokend__v1__revoke_token_reply__get_packed_size(from->revoke_reply);
	stored = arena_alloc(a, bytes);
	if (from->create_reply != NULL)
		tokend__v1__create_token_reply__pack(from->create_reply, stored);
	else
		tokend__v1__revoke_token_reply__pack(from->revoke_reply, stored);
	ret->method = from->create_reply != NULL ? METHOD_CREATE_TOKEN : METHOD_REVOKE_TOKEN;
	ret->stored = span_of(stored, bytes);
	ret->code = status->code;
	ret->message = (const char *)arena_copy(a, span_str(status->message)).data;
	ret->token_id = (const char *)arena_copy(a, span_str(from->token_id)).data;
	ret->cluster = (const char *)arena_copy(a, span_str(from->cluster)).data;
	if (from->attempt != NULL && from->attempt->cluster_digest.len == sizeof ret->cluster_digest)
		memcpy(ret->cluster_digest, from->attempt->cluster_digest.data, sizeof ret->cluster_digest);
	rc = 0;
out:
	tokend__v1__journal_record__free_unpacked(from, NULL);
	return rc;
}

int
journal_read_attempt(struct span key, struct span value, const unsigned char uuid[ATTEMPT_UUID_BYTES],
    struct arena *a, struct journal_told *ret, struct err *ret_err)
{
	struct record_read r;
	uint64_t hash = journal_key_hash(key);

	if (memcmp(&hash, uuid, sizeof hash) != 0)
		return err_set(ret_err, ERR_RETRY, "the record is another request's");
	if (record_read(key, value, a, &r, ret_err) != 0)
		return -1;
	memset(ret, 0, sizeof *ret);
	if (r.state == RECORD_DONE && r.has_attempt && memcmp(r.attempt.uuid, uuid, ATTEMPT_UUID_BYTES) == 0)
		*ret = (struct journal_told){ JOURNAL_TOLD_DELIVERED, r.attempt, r.token_id };
	for (size_t i = 0; i < r.n_closed; i++)
		if (memcmp(r.closed[i].uuid, uuid, ATTEMPT_UUID_BYTES) == 0)
			*ret = (struct journal_told){ .what = JOURNAL_TOLD_CLOSED, .attempt = r.closed[i] };
	return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* protobuf-c's structs want writable bytes; packing only reads them. */
static ProtobufCBinaryData
bytes_of(const unsigned char *data, size_t bytes)
{
	return (ProtobufCBinaryData){ data != NULL ? bytes : 0, (uint8_t *)(uintptr_t)data };
}

static void
write_attempt(const struct attempt *from, Tokend__V1__Attempt *to)
{
	tokend__v1__attempt__init(to);
	to->uuid = bytes_of(from->uuid, ATTEMPT_UUID_BYTES);
	to->number = from->number;
	to->cluster = (char *)(uintptr_t)from->cluster;
	to->cluster_digest = bytes_of(from->cluster_digest, 32);
	to->not_before_ms = from->not_before_ms;
	to->not_after_ms = from->not_after_ms;
	to->fate = (Tokend__V1__Fate)from->fate;
}

static void
write_attempts(const struct attempts *from, Tokend__V1__JournalRecord *to, struct arena *a)
{
	Tokend__V1__Attempt *closed = arena_alloc(a, (from->n_closed + 1) * sizeof *closed);

	to->attempts = from->begun;
	to->previous_fate = (Tokend__V1__Fate)from->previous;
	to->closed = arena_alloc(a, (from->n_closed + 1) * sizeof *to->closed);
	to->n_closed = from->n_closed;
	for (size_t i = 0; i < from->n_closed; i++) {
		write_attempt(&from->closed[i], &closed[i]);
		to->closed[i] = &closed[i];
	}
}

/* What an operator's inventory shows. */
static void
write_inventory(const struct record_written *w, Tokend__V1__JournalRecord *to, struct arena *a)
{
	const struct request *r = w->request;
	Tokend__V1__Permission *permissions = arena_alloc(a, (r->n_permissions + 1) * sizeof *permissions);

	to->token_id = (char *)(uintptr_t)w->token_id;
	to->cluster = (char *)(uintptr_t)w->cluster;
	to->n_permissions = r->n_permissions;
	to->permissions = arena_alloc(a, (r->n_permissions + 1) * sizeof *to->permissions);
	for (size_t i = 0; i < r->n_permissions; i++) {
		Tokend__V1__Permission *p = &permissions[i];

		tokend__v1__permission__init(p);
		p->action = r->permissions[i].action == PERMISSION_READ ?
		    TOKEND__V1__ACTION__READ : TOKEND__V1__ACTION__WRITE;
		if (r->permissions[i].database != NULL) {
			p->resource_case = TOKEND__V1__PERMISSION__RESOURCE_DATABASE;
			p->database = (char *)(uintptr_t)r->permissions[i].database;
		} else {
			p->resource_case = TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
			p->all_databases = 1;
		}
		to->permissions[i] = p;
	}
	if (w->token_expires) {
		to->token_expires_at = arena_alloc(a, sizeof *to->token_expires_at);
		google__protobuf__timestamp__init(to->token_expires_at);
		to->token_expires_at->seconds = w->token_expires_at;
	}
}

static size_t
put_varint(unsigned char *to, uint64_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		to[n++] = (unsigned char)(value | 0x80);
	to[n++] = (unsigned char)value;
	return n;
}

struct span
record_write(const struct record_written *w, struct arena *a)
{
	Tokend__V1__JournalRecord to = TOKEND__V1__JOURNAL_RECORD__INIT;
	Tokend__V1__Attempt attempt;
	unsigned char *bytes;
	size_t n;

	to.format = RECORD_FORMAT;
	to.lowest_reader = RECORD_FORMAT;
	to.journal_id = bytes_of(w->journal_id, JOURNAL_ID_BYTES);
	to.seq = w->seq;
	to.state = w->state == RECORD_DONE ? TOKEND__V1__JOURNAL_STATE__DONE : TOKEND__V1__JOURNAL_STATE__INTENT;
	to.fingerprint = bytes_of(w->fingerprint, 32);
	to.request_digest = bytes_of(w->digest, 32);
	to.offset = w->offset;
	to.deadline = w->deadline;
	to.revoked_at = w->revoked_at;
	if (w->attempts != NULL)
		write_attempts(w->attempts, &to, a);
	if (w->attempt != NULL) {
		write_attempt(w->attempt, &attempt);
		to.attempt = &attempt;
	}
	if (w->token_id != NULL)
		write_inventory(w, &to, a);
	n = tokend__v1__journal_record__get_packed_size(&to);
	bytes = arena_alloc(a, n + 16 + w->stored.bytes);
	tokend__v1__journal_record__pack(&to, bytes);
	if (w->stored.bytes > 0) {
		n += put_varint(bytes + n, w->request != NULL && w->request->method == METHOD_REVOKE_TOKEN ?
		    REVOKE_REPLY_TAG : CREATE_REPLY_TAG);
		n += put_varint(bytes + n, w->stored.bytes);
		memcpy(bytes + n, w->stored.data, w->stored.bytes);
		n += w->stored.bytes;
	}
	return span_of(bytes, n);
}
