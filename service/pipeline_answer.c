/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that tokend writes to Kafka is put together here: an item for the next transaction.
 *
 * Two kinds of journal keys, and the difference is the heart of it: the request's own life (C...) holds its
 * intents and its outcome; every other answer, all that is about a RECORD and every replay, stands under the
 * record's place (#p:offset). So nobody can change what is known of another's request, and every answered
 * offset is in the journal.
 *
 * A reply is stamped and signed when it is queued, a replayed one too: a rotated key never strands a replay. */
#include <assert.h>
#include <inttypes.h>

#include "service/authorize.h"
#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/text.h"
#include "service/batch.h"
#include "service/conclude.h"
#include "service/frame.h"
#include "service/headers.h"
#include "service/journal.h"
#include "service/pipeline_private.h"
#include "service/policy.h"
#include "service/reply_headers.h"
#include "service/seal.h"
#include "workers/pool.h"

/* Where a method's reply stands among the contract's messages: Schema Registry counts them. */
static const unsigned reply_indexes[METHOD_COUNT] = {
	[METHOD_CREATE_TOKEN] = 3, [METHOD_GET_OUTCOME] = 3, [METHOD_REVOKE_TOKEN] = 4,
};

#define HEADER_LENGTHS 10               /* two varints of 32 bits, at most */
#define DEAD_LETTER_MOST (768 * 1024)   /* well below the megabyte that brokers and librdkafka take by default */

static struct outgoing *
add_out(struct ticket *t, enum outgoing_topic topic, struct span key, struct span value)
{
	struct outgoing *out;

	assert(t->item.n_out < ITEM_OUT_MOST);
	out = &t->item.out[t->item.n_out++];
	*out = (struct outgoing){ .topic = topic, .key = key, .value = value, .delivered_offset = -1 };
	t->item.bytes += key.bytes + value.bytes;
	return out;
}

static void
begin_item(struct ticket *t, int64_t answers)
{
	t->item = (struct item){ .ticket = t, .assignment = t->assignment, .answers = answers };
}

/* The record under its place: only that it was answered. */
static void
add_answered(struct ticket *t)
{
	struct span value = journal_answer(t->assignment->journal, t, &t->arena, &t->item.seq);

	add_out(t, OUT_JOURNAL, journal_offset_key(&t->arena, t->record.partition, t->record.offset), value);
}

static void
add_reply(struct pipeline *p, struct ticket *t, const char *message, bool replayed)
{
	struct seal_stamp stamp = { .method = t->metadata.method, .replayed = replayed, .issued_at = pipeline_now(),
	    .revoked_at = t->revoked_at };
	struct header *headers = arena_alloc(&t->arena, REPLY_HEADERS_MOST * sizeof *headers);
	const struct config *c = p->o.config;
	unsigned char signature[64];
	const struct reply_headers dress = {
		.metadata = &t->metadata, .record = &t->record, .key_id = c->signing_key_id, .signature = signature,
		.code = t->code, .message = message, .cloudevents = c->cloudevents, .service_id = c->service_id,
		.request_topic = c->topic_requests, .fingerprint = t->holder || replayed ? t->fingerprint : NULL,
	};
	struct outgoing *out;
	struct span value;

	memcpy(stamp.digest, t->digest, sizeof stamp.digest);
	seal_reply(t->stored, &stamp, p->o.signing_secret, &t->arena, &value, signature);
	if (c->reply_schema_id != 0)
		value = frame_close(c->reply_schema_id, reply_indexes[t->metadata.method], value, &t->arena);
	out = add_out(t, OUT_REPLY, t->record.key, value);
	out->headers = headers;
	out->n_headers = reply_headers_write(&t->arena, &dress, headers);
}

static void
queue(struct pipeline *p, struct ticket *t)
{
	if (t->state != TICKET_ANSWERING)
		ticket_move(t, TICKET_ANSWERING);
	batch_add(p->batch, &t->item);
}

/* ---- outcomes and refusals --------------------------------------------------------------------------------------- */

/* The request's own outcome, decided once: DONE and reply. */
static void
answer_outcome(struct pipeline *p, struct ticket *t, struct span box)
{
	conclude_reply(t, box);
	begin_item(t, t->record.offset);
	add_out(t, OUT_JOURNAL, t->journal_key, journal_done(t->assignment->journal, t, &t->arena, &t->item.seq));
	add_reply(p, t, t->status.message, false);
	queue(p, t);
	CHAOS_POINT("done-queued");
}

void
answer_status(struct pipeline *p, struct ticket *t)
{
	if (t->holder && status_row(t->status.cause)->about == ABOUT_RECORD)
		revoke_let_go(p, t);
	if (t->holder) {
		answer_outcome(p, t, span_of(NULL, 0));
		return;
	}
	conclude_reply(t, span_of(NULL, 0));
	begin_item(t, t->record.offset);
	add_answered(t);
	add_reply(p, t, t->status.message, false);
	queue(p, t);
	CHAOS_POINT("refusal-queued");
}

void
answer_token(struct pipeline *p, struct ticket *t)
{
	const struct cluster *c = &p->o.config->clusters[t->request.cluster];
	const struct job *j = &t->job;
	const struct seal_token s = {
		.request = &t->request, .fingerprint = t->fingerprint,
		.cluster_name = c->name, .account_id = c->account_id, .cluster_id = c->cluster_id,
		.description_sent = j->description, .token_id = j->created_id, .access_token = j->access_token,
		.created_at = j->created_at, .created_at_nanos = j->created_at_nanos,
		.has_expires_at = j->token_expires, .expires_at = j->token_expires_at,
		.expires_at_nanos = j->token_expires_at_nanos,
	};
	struct span box;
	struct err e;
	int rc = seal_box(&s, &t->arena, &box, &e);

	pool_return(p->pool, &t->job);
	if (rc != 0) {
		/* The token exists and nobody can have it: its attempt is closed, so that it may be deleted. */
		attempts_settle(&t->attempts, FATE_UNKNOWN, &t->arena);
		status_set(&t->status, STATUS_INTERNAL, "the token could not be sealed: %s", e.text);
		answer_outcome(p, t, span_of(NULL, 0));
		return;
	}
	t->attempts.open = false;
	t->token_id = t->job.created_id;
	status_set(&t->status, STATUS_CREATED, "created");
	answer_outcome(p, t, box);
}

void
answer_again(struct pipeline *p, struct ticket *t)
{
	t->replayed = true;
	/* Whoever was told of a revocation hears of it in each later reply: that one may be committed already, and
	 * this process still be waiting for the word. */
	if (t->code == CODE_OK)
		t->revoked_at = journal_revoked_at(t->assignment->journal, t->request.principal, t->request.request_id);
	begin_item(t, t->record.offset);
	add_answered(t);
	add_reply(p, t, t->status.message, true);
	queue(p, t);
	CHAOS_POINT("replay-queued");
}

void
answer_stray(struct pipeline *p, struct ticket *t)
{
	status_set(&t->status, STATUS_INTERNAL,
	    "an attempt was begun, and the record that asked for it can no longer be worked on");
	conclude_reply(t, span_of(NULL, 0));
	begin_item(t, -1);
	add_out(t, OUT_JOURNAL, t->journal_key, journal_done(t->assignment->journal, t, &t->arena, &t->item.seq));
	queue(p, t);
}

/* ---- dead letters ------------------------------------------------------------------------------------------------ */

/* As it is written: a header's two lengths stand before it, and there may be hundreds of thousands of empty ones. */
static size_t
record_bytes(const struct record *r)
{
	size_t bytes = r->key.bytes + r->value.bytes;

	for (size_t i = 0; i < r->n_headers; i++)
		bytes += HEADER_LENGTHS + r->headers[i].name.bytes + r->headers[i].value.bytes;
	return bytes;
}

/* Whoever reads dead letters must not be told by a record where it stood. */
static bool
is_dead_letters_own(struct span name)
{
	static const char begins[] = "tokend-dead-letter-";

	return name.bytes >= sizeof begins - 1 && memcmp(name.data, begins, sizeof begins - 1) == 0;
}

/* With our headers a record may become too large to be written: one such record would stop all partitions.
 * What cannot be kept whole is told by its place alone. */
void
answer_dead_letter(struct pipeline *p, struct ticket *t, const char *reason, struct log_limit *limit)
{
	int64_t left_out = 0;
	size_t bytes = record_bytes(&t->record), n = 0;
	struct header *headers = arena_alloc(&t->arena, (t->record.n_headers + 5) * sizeof *headers);
	struct outgoing *out;

	for (size_t i = 0; bytes <= DEAD_LETTER_MOST && i < t->record.n_headers; i++)
		if (!is_dead_letters_own(t->record.headers[i].name))
			headers[n++] = t->record.headers[i];
	if (bytes > DEAD_LETTER_MOST)
		headers[n++] = (struct header){ span_str("tokend-dead-letter-omitted-bytes"),
		    span_str(arena_text(&t->arena, "%zu", bytes)) };
	headers[n++] = (struct header){ span_str("tokend-dead-letter-reason"), span_str(reason) };
	headers[n++] = (struct header){ span_str("tokend-dead-letter-topic"), span_str(p->o.config->topic_requests) };
	headers[n++] = (struct header){ span_str("tokend-dead-letter-partition"),
	    span_str(arena_text(&t->arena, "%" PRId32, t->record.partition)) };
	headers[n++] = (struct header){ span_str("tokend-dead-letter-offset"),
	    span_str(arena_text(&t->arena, "%" PRId64, t->record.offset)) };
	begin_item(t, t->record.offset);
	add_answered(t);
	out = bytes <= DEAD_LETTER_MOST ? add_out(t, OUT_DEAD_LETTER, t->record.key, t->record.value) :
	    add_out(t, OUT_DEAD_LETTER, span_of(NULL, 0), span_of(NULL, 0));
	out->headers = headers;
	out->n_headers = n;
	if (limit == NULL || log_limit_passes(limit, "intake", clock_boot_ms(), &left_out))
		log_warn("intake", "a record goes to the dead letters", LOG_S("reason", reason),
		    LOG_N("partition", t->record.partition), LOG_N("offset", t->record.offset),
		    LOG_LEFT_OUT(left_out));
	metrics_add(metrics_at(METRIC_DEAD_LETTERS, reason, NULL), 1);
	queue(p, t);
	CHAOS_POINT("refusal-queued");
}

/* ---- intents ----------------------------------------------------------------------------------------------------- */

void
answer_intent(struct pipeline *p, struct ticket *t)
{
	begin_item(t, -1);
	add_out(t, OUT_JOURNAL, t->journal_key, journal_intent(t->assignment->journal, t, &t->arena, &t->item.seq));
	ticket_move(t, TICKET_INTENT);
	batch_add(p->batch, &t->item);
	CHAOS_POINT("intent-queued");
}

void
answer_hand_over(struct pipeline *p, struct ticket *t)
{
	assert(!t->attempts.open);
	t->handing_over = true;
	begin_item(t, -1);
	add_out(t, OUT_JOURNAL, t->journal_key, journal_intent(t->assignment->journal, t, &t->arena, &t->item.seq));
	queue(p, t);
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

/* Of those there may be a flood. Whatever somebody signed whom the policy knows is always told. */
static bool
is_anybodys(const struct ticket *t)
{
	return !t->verified && !t->signed_well;
}

static void
audit(struct pipeline *p, const struct ticket *t, const struct status_row *row)
{
	const char *reason = t->request.reason;         /* a RevokeToken's */
	char digest[65], trace[33] = "";
	int64_t left_out = 0;

	if (is_anybodys(t) && !log_limit_passes(&p->refusals[t->status.cause], "audit", clock_boot_ms(), &left_out))
		return;
	if (t->metadata.traceparent.bytes >= 35)
		memcpy(trace, t->metadata.traceparent.data + 3, 32);
	log_info("audit", t->replayed ? "replayed" : t->holder ? "outcome" : "refused",
	    LOG_S("request_id", t->verified ? t->request.request_id : NULL),
	    LOG_S("principal", t->verified ? t->principal : NULL),
	    LOG_S("method", headers_method_name(t->metadata.method)), LOG_S("code", status_code_name(t->code)),
	    LOG_S("reason", !t->replayed && row->reason[0] != '\0' ? row->reason : NULL),
	    LOG_S("message", t->status.message), LOG_S("cluster", t->attempts.begun > 0 ?
	    t->attempts.current.cluster : NULL), LOG_S("token_id", t->token_id),
	    LOG_S("wanted_because", reason != NULL && reason[0] != '\0' ? reason : NULL),
	    LOG_N("attempt", t->attempts.begun), LOG_N("closed", t->attempts.n_closed),
	    LOG_N("partition", t->record.partition), LOG_N("offset", t->record.offset),
	    LOG_S("trace_id", trace[0] != '\0' ? trace : NULL),
	    LOG_S("policy", text_hex(span_of(policy_digest(p->policy), 8), digest)), LOG_LEFT_OUT(left_out));
}

void
answer_settled(struct pipeline *p, struct ticket *t)
{
	int64_t ms = clock_wall_ms() - t->record.timestamp_ms;

	if (t->stored.data == NULL)
		return;                 /* a dead letter */
	metrics_add(metrics_at(METRIC_REQUESTS, strrchr(headers_method_name(t->metadata.method), '/') + 1,
	    status_code_name(t->code)), 1);
	if (t->record.offset >= 0 && ms >= 0)
		metrics_observe(p->seconds, (uint64_t)ms * 1000);
	audit(p, t, status_row(t->status.cause));
}
