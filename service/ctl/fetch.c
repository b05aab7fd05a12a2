/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a signed request to a token in its owner's hands.
 *
 * Nothing but a reply that verifies ends the waiting. What was passed over meanwhile is waiting.c's to tell.
 *
 * It does not try again by itself: what is worth a new attempt, and with which ID, is for whoever
 * typed the command to say. The line for that is printed each time.
 */
#include "service/ctl/fetch.h"

#include <stdio.h>
#include <string.h>

#include "service/base/err.h"
#include "service/ctl/again.h"
#include "service/ctl/deliver.h"
#include "service/ctl/kafka.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"
#include "service/ctl/waiting.h"

#define SKEW_MS (10 * 60 * 1000)        /* a reply is not older than its request by more, whatever the clocks say */

/* One call. */
struct fetching {
	const struct invocation *v;
	enum fetch_mode mode;
	const struct profile *profile;
	const struct signed_request *request;
	const struct deliver_flags *deliver;
	struct reply_expected expected;
	struct waiting waiting;
	struct reply reply;
	struct output_place where;
};

/* What was refused for the record's sake may have been answered better since: it is kept, and what stands behind
 * it is read first. An opened token, and an outcome, are the last word. */
static bool
is_last_word(const struct fetching *f, const struct reply *r)
{
	return r->verdict == REPLY_OPENED || f->mode != FETCH_READ ||
	    r->message->status->about == TOKEND__V1__ABOUT__OUTCOME;
}

static bool
judge(void *context, const struct record *record)
{
	struct fetching *f = context;
	struct reply r;

	reply_judge(&f->expected, record, &r);
	if (r.verdict == REPLY_IGNORED)
		waiting_pass_over(&f->waiting, record, r.why);
	if (r.verdict != REPLY_REFUSED && r.verdict != REPLY_OPENED)
		return false;
	reply_wipe(&f->reply);
	f->reply = r;
	f->where = (struct output_place){ f->profile->topics.replies, record->partition, record->offset };
	return is_last_word(f, &r);
}

/* All that stands in the partition so far was read. */
static bool
at_end(void *context)
{
	const struct fetching *f = context;

	return f->reply.verdict == REPLY_REFUSED;
}

static void
show_progress(void *context)
{
	const struct fetching *f = context;

	waiting_show(&f->waiting);
}

static const char *
again(const struct fetching *f)
{
	const char *command = f->mode == FETCH_READ ? "token open" :
	    f->mode == FETCH_OUTCOME ? "token outcome" : "token create";

	return again_line(f->v, command, f->request->message->request_id, f->deliver);
}

static enum command_exit
report_unsettled(const struct fetching *f, enum kafka_result result, const struct err *e)
{
	const char *id = f->request->message->request_id;

	output_say("%s", e->text);
	if (f->mode == FETCH_OUTCOME) {
		output_say("to ask again what became of request %s: %s", id, again(f));
	} else if (f->mode == FETCH_READ) {
		output_say("to go on waiting: %s", again(f));
		output_say("if it was never sent, or its reply is older than the topic: %s",
		    again_line(f->v, "token create", id, f->deliver));
	} else if (result == KAFKA_NO_REPLY) {
		output_say("request %s may still be answered; to go on waiting: %s", id, again(f));
	} else {
		output_say("request %s was not sent; to send it: %s", id, again(f));
	}
	return result == KAFKA_NOT_SENT && e->next == ERR_REFUSE ? EXIT_USAGE : EXIT_NO_REPLY;
}

static enum command_exit
report_sent(const struct fetching *f)
{
	const char *id = f->request->message->request_id;

	output_say("request %s is sent; to fetch the reply: %s", id, again_line(f->v, "token open", id, NULL));
	(void)printf("%s\n", id);
	return EXIT_DONE;
}

/* A box says nothing about who sealed it; the signature does, and the bytes of the request that it answers. Without
 * them a person must see whether it is what was asked for. */
static enum command_exit
report_opened(const struct fetching *f)
{
	if (f->request->bytes_lost) {
		output_say("opened without comparing the request, for its bytes are not in %s; the token is for this:",
		    f->profile->state_dir);
		output_purpose(f->reply.secret);
	}
	return deliver_token(f->v, f->deliver, &f->reply, &f->where, again(f));
}

/* Two refusals are answers to the question itself. */
static enum command_exit
report_no_outcome(const struct fetching *f)
{
	const Tokend__V1__CreateTokenRequest *m = f->request->message;
	const Tokend__V1__Status *s = f->reply.message->status;

	if (s->about == TOKEND__V1__ABOUT__RECORD && strcmp(s->reason, "IN_FLIGHT") == 0) {
		output_say("not yet: %s", s->message);
		output_say("nothing is lost; ask again later: %s", again(f));
		return EXIT_NO_REPLY;
	}
	if (s->about == TOKEND__V1__ABOUT__RECORD && strcmp(s->reason, "NO_OUTCOME") == 0) {
		output_say("refused: NO_OUTCOME: %s", s->message);
		output_say("so %s was never asked, or more than 7 days ago, or by another principal than %s",
		    m->request_id, m->principal);
		return EXIT_REFUSED;
	}
	output_refusal(m->request_id, s, again(f));
	return EXIT_REFUSED;
}

static enum command_exit
report(const struct fetching *f, enum kafka_result result, const struct err *e)
{
	const char *id = f->request->message->request_id;

	waiting_tell_ignored(&f->waiting, result == KAFKA_SETTLED);
	if (result != KAFKA_SETTLED)
		return report_unsettled(f, result, e);
	if (f->mode == FETCH_SEND)
		return report_sent(f);
	if (f->reply.verdict == REPLY_OPENED)
		return report_opened(f);
	if (f->mode == FETCH_OUTCOME)
		return report_no_outcome(f);
	output_refusal(id, f->reply.message->status, again_line(f->v, "token create", id, f->deliver));
	return EXIT_REFUSED;
}

enum command_exit
fetch_token(const struct invocation *v, enum fetch_mode mode, const struct profile *p, const struct keys *box,
    const struct signed_request *request, const struct deliver_flags *d)
{
	struct fetching f = {
		.v = v, .mode = mode, .profile = p, .request = request, .deliver = d,
		.expected = { .request = request, .box = box, .service_keys = p->service_keys,
		    .n_service_keys = p->n_service_keys, .partitions = p->partitions },
		.waiting = waiting_begin(v, request->message->request_id),
	};
	const struct kafka_exchange x = {
		.profile = p, .request = request, .debug = v->globals->debug,
		.send = mode != FETCH_READ, .wait = mode != FETCH_SEND,
		.since_wall_ms = mode == FETCH_READ ? request->message->issued_at->seconds * 1000 - SKEW_MS : 0,
		.until_boot_ms = waiting_until_boot_ms(&f.waiting),
		.judge = judge, .at_end = at_end, .progress = show_progress, .context = &f,
	};
	struct err e = { 0 };
	enum kafka_result result = kafka_exchange(&x, &e);
	enum command_exit status;

	waiting_clear();
	status = report(&f, result, &e);
	reply_wipe(&f.reply);
	return status;
}
