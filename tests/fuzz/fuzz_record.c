/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/journal_record.c
 *
 * One record of the journal's topic, which whoever can write to that topic can have written: read, and read
 * as a stored reply.
 *
 * Input: the key as a span, then the value.
 *
 * Promises: a refusal is one sentence. What is read has a state, fates and sizes that the journal can work
 * with, and a key that can be taken apart; written again by our own writer it is read as the same. A stored
 * reply is a reply of the contract, packed. */
#include "tests/fuzz/harness.h"

#include "service/base/err.h"
#include "service/journal.h"
#include "service/journal_record.h"
#include "tokend/v1/token.pb-c.h"

static bool
same_attempt(const struct attempt *a, const struct attempt *b)
{
	return memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0 && a->number == b->number &&
	    strcmp(a->cluster, b->cluster) == 0 &&
	    memcmp(a->cluster_digest, b->cluster_digest, 32) == 0 && a->not_before_ms == b->not_before_ms &&
	    a->not_after_ms == b->not_after_ms && a->fate == b->fate;
}

static void
check_read(const struct record_read *r)
{
	int64_t latest = 0;

	HOLDS(r->state == RECORD_INTENT || r->state == RECORD_DONE);
	HOLDS(r->previous <= FATE_UNKNOWN && r->n_closed <= ATTEMPTS_CLOSED_MOST);
	for (size_t i = 0; i < r->n_closed; i++) {
		HOLDS(r->closed[i].fate <= FATE_UNKNOWN && r->closed[i].cluster != NULL);
		if (r->closed[i].not_after_ms > latest)
			latest = r->closed[i].not_after_ms;
	}
	if (r->has_attempt)
		HOLDS(r->attempt.fate <= FATE_UNKNOWN && r->attempt.cluster != NULL);
	if (r->has_attempt && r->attempt.not_after_ms > latest)
		latest = r->attempt.not_after_ms;
	HOLDS(r->last_not_after_ms == latest);
}

static void
check_written_again(struct span key, const struct record_read *r, struct arena *a)
{
	struct attempts attempts = { .begun = r->attempts, .previous = r->previous, .n_closed = (unsigned)r->n_closed,
	    .closed = r->closed };
	struct span written = record_write(&(struct record_written){ .journal_id = r->journal_id, .seq = r->seq,
	    .state = r->state, .fingerprint = r->fingerprint, .digest = r->digest, .offset = r->offset,
	    .deadline = r->deadline, .attempts = &attempts, .attempt = r->has_attempt ? &r->attempt : NULL }, a);
	struct record_read again;
	struct err e;

	HOLDS(record_read(key, written, a, &again, &e) == 0);
	HOLDS(memcmp(again.journal_id, r->journal_id, sizeof(r->journal_id)) == 0 && again.seq == r->seq);
	HOLDS(again.state == r->state && again.offset == r->offset && again.deadline == r->deadline);
	HOLDS(memcmp(again.fingerprint, r->fingerprint, 32) == 0 && memcmp(again.digest, r->digest, 32) == 0);
	HOLDS(again.attempts == r->attempts && again.previous == r->previous);
	HOLDS(again.has_attempt == r->has_attempt && again.n_closed == r->n_closed);
	HOLDS(again.last_not_after_ms == r->last_not_after_ms);
	HOLDS(memcmp(again.delivered, r->delivered, sizeof(r->delivered)) == 0);
	if (r->has_attempt)
		HOLDS(same_attempt(&again.attempt, &r->attempt));
	for (size_t i = 0; i < r->n_closed; i++)
		HOLDS(same_attempt(&again.closed[i], &r->closed[i]));
}

static void
check_reply(struct span value, struct arena *a)
{
	struct journal_reply reply;
	struct err e = { 0 };
	Tokend__V1__CreateTokenReply *create;
	Tokend__V1__RevokeTokenReply *revoke;

	if (journal_read_reply(value, a, &reply, &e) != 0) {
		HOLDS(e.next == ERR_RETRY);
		harness_sentence(&e);
		return;
	}
	HOLDS(reply.message != NULL && reply.token_id != NULL);
	create = tokend__v1__create_token_reply__unpack(NULL, reply.stored.bytes, reply.stored.data);
	revoke = tokend__v1__revoke_token_reply__unpack(NULL, reply.stored.bytes, reply.stored.data);
	HOLDS((create != NULL && create->status != NULL && create->status->code == reply.code) ||
	    (revoke != NULL && revoke->status != NULL && revoke->status->code == reply.code));
	if (create != NULL)
		tokend__v1__create_token_reply__free_unpacked(create, NULL);
	if (revoke != NULL)
		tokend__v1__revoke_token_reply__free_unpacked(revoke, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	struct span key = feed_span(&f), value = feed_rest(&f);
	struct arena a = { 0 };
	struct record_read r;
	struct err e = { 0 };

	if (record_read(key, value, &a, &r, &e) != 0) {
		HOLDS(e.next == ERR_REFUSE);
		harness_sentence(&e);
	} else {
		HOLDS(key.data[0] == '#' || key.bytes <= JOURNAL_KEY_MOST);
		check_read(&r);
		check_written_again(key, &r, &a);
	}
	check_reply(value, &a);
	arena_free(&a);
	feed_end(&f);
	return 0;
}
