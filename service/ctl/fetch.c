/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a signed request to a token in its owner's hands.
 *
 * Nothing but a reply that verifies ends the waiting. Records under our ID that do not verify are
 * counted, and when the time is over without a reply they are told of: the likeliest reason is a
 * profile that does not know the service's new key.
 *
 * It does not try again by itself: what is worth a new attempt, and with which ID, is for whoever
 * typed the command to say. The line for that is printed each time.
 */
#include "service/ctl/fetch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/err.h"
#include "service/ctl/again.h"
#include "service/ctl/deliver.h"
#include "service/ctl/kafka.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"

#define SKEW_MS (10 * 60 * 1000)        /* a reply is not older than its request by more, whatever the clocks say */

/* One waiting. */
struct waiting {
	const struct invocation *v;
	enum fetch_mode mode;
	const struct profile *profile;
	const struct signed_request *request;
	const struct deliver_flags *deliver;
	struct reply_expected expected;
	uint64_t since_boot_ms;
	unsigned ignored;               /* records under our ID that did not verify, */
	const char *ignored_why;        /* and what was wrong with the last */
	struct reply reply;
	struct output_place where;
};

/* What was refused for the record's sake may have been answered better since: it is kept, and what stands behind
 * it is read first. An opened token, and an outcome, are the last word. */
static bool
is_last_word(const struct waiting *w, const struct reply *r)
{
	return r->verdict == REPLY_OPENED || w->mode != FETCH_READ ||
	    r->message->status->about == TOKEND__V1__ABOUT__OUTCOME;
}

static bool
judge(void *context, const struct record *record)
{
	struct waiting *w = context;
	struct reply r;

	reply_judge(&w->expected, record, &r);
	if (r.verdict == REPLY_IGNORED) {
		w->ignored++;
		w->ignored_why = r.why;
		if (w->v->globals->debug)
			output_say("ignored the record at offset %lld: %s", (long long)record->offset, r.why);
	}
	if (r.verdict != REPLY_REFUSED && r.verdict != REPLY_OPENED)
		return false;
	reply_wipe(&w->reply);
	w->reply = r;
	w->where = (struct output_place){ w->profile->topics.replies, record->partition, record->offset };
	return is_last_word(w, &r);
}

/* All that stands in the partition so far was read. */
static bool
at_end(void *context)
{
	const struct waiting *w = context;

	return w->reply.verdict == REPLY_REFUSED;
}

static void
show_progress(void *context)
{
	const struct waiting *w = context;

	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\rwaiting for the reply to %s: %llu of %llu s ", w->request->message->request_id,
		    (unsigned long long)((clock_boot_ms() - w->since_boot_ms) / 1000),
		    (unsigned long long)(w->v->globals->timeout_ms / 1000));
}

static void
clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		(void)fputs("\r\033[K", stderr);
}

static const char *
again(const struct waiting *w)
{
	const char *command = w->mode == FETCH_READ ? "token open" :
	    w->mode == FETCH_OUTCOME ? "token outcome" : "token create";

	return again_line(w->v, command, w->request->message->request_id, w->deliver);
}

static void
say_ignored(const struct waiting *w, bool settled)
{
	if (w->ignored == 0 || (settled && !w->v->globals->debug))
		return;
	output_say("%u record%s under this ID did not verify and %s ignored; of the last: %s", w->ignored,
	    w->ignored > 1 ? "s" : "", w->ignored > 1 ? "were" : "was", w->ignored_why);
	if (!settled)
		output_say("has the service a new key? where it runs, tokenctl keys export prints the profile's "
		    "service_keys");
}

static enum command_exit
report_unsettled(const struct waiting *w, enum kafka_result result, const struct err *e)
{
	const char *id = w->request->message->request_id;

	output_say("%s", e->text);
	if (w->mode == FETCH_OUTCOME) {
		output_say("to ask again what became of request %s: %s", id, again(w));
	} else if (w->mode == FETCH_READ) {
		output_say("to go on waiting: %s", again(w));
		output_say("if it was never sent, or its reply is older than the topic: %s",
		    again_line(w->v, "token create", id, w->deliver));
	} else if (result == KAFKA_NO_REPLY) {
		output_say("request %s may still be answered; to go on waiting: %s", id, again(w));
	} else {
		output_say("request %s was not sent; to send it: %s", id, again(w));
	}
	return result == KAFKA_NOT_SENT && e->next == ERR_REFUSE ? EXIT_USAGE : EXIT_NO_REPLY;
}

static enum command_exit
report_sent(const struct waiting *w)
{
	const char *id = w->request->message->request_id;

	output_say("request %s is sent; to fetch the reply: %s", id, again_line(w->v, "token open", id, NULL));
	(void)printf("%s\n", id);
	return EXIT_DONE;
}

/* A box says nothing about who sealed it; the signature does, and the bytes of the request that it answers. Without
 * them a person must see whether it is what was asked for. */
static enum command_exit
report_opened(const struct waiting *w)
{
	if (w->request->bytes_lost) {
		output_say("opened without comparing the request, for its bytes are not in %s; the token is for this:",
		    w->profile->state_dir);
		output_purpose(w->reply.secret);
	}
	return deliver_token(w->v, w->deliver, &w->reply, &w->where, again(w));
}

/* Two refusals are answers to the question itself. */
static enum command_exit
report_no_outcome(const struct waiting *w)
{
	const Tokend__V1__CreateTokenRequest *m = w->request->message;
	const Tokend__V1__Status *s = w->reply.message->status;

	if (s->about == TOKEND__V1__ABOUT__RECORD && strcmp(s->reason, "IN_FLIGHT") == 0) {
		output_say("not yet: %s", s->message);
		output_say("nothing is lost; ask again later: %s", again(w));
		return EXIT_NO_REPLY;
	}
	if (s->about == TOKEND__V1__ABOUT__RECORD && strcmp(s->reason, "NO_OUTCOME") == 0) {
		output_say("refused: NO_OUTCOME: %s", s->message);
		output_say("so %s was never asked, or more than 7 days ago, or by another principal than %s",
		    m->request_id, m->principal);
		return EXIT_REFUSED;
	}
	output_refusal(w->reply.message, again(w));
	return EXIT_REFUSED;
}

static enum command_exit
report(const struct waiting *w, enum kafka_result result, const struct err *e)
{
	say_ignored(w, result == KAFKA_SETTLED);
	if (result != KAFKA_SETTLED)
		return report_unsettled(w, result, e);
	if (w->mode == FETCH_SEND)
		return report_sent(w);
	if (w->reply.verdict == REPLY_OPENED)
		return report_opened(w);
	if (w->mode == FETCH_OUTCOME)
		return report_no_outcome(w);
	output_refusal(w->reply.message, again_line(w->v, "token create", w->request->message->request_id, w->deliver));
	return EXIT_REFUSED;
}

enum command_exit
fetch_token(const struct invocation *v, enum fetch_mode mode, const struct profile *p, const struct keys *box,
    const struct signed_request *request, const struct deliver_flags *d)
{
	struct waiting w = {
		.v = v, .mode = mode, .profile = p, .request = request, .deliver = d,
		.expected = { .request = request, .box = box, .service_keys = p->service_keys,
		    .n_service_keys = p->n_service_keys, .partitions = p->partitions },
		.since_boot_ms = clock_boot_ms(),
	};
	const struct kafka_exchange x = {
		.profile = p, .request = request, .debug = v->globals->debug,
		.send = mode != FETCH_READ, .wait = mode != FETCH_SEND,
		.since_wall_ms = mode == FETCH_READ ? request->message->issued_at->seconds * 1000 - SKEW_MS : 0,
		.until_boot_ms = w.since_boot_ms + v->globals->timeout_ms,
		.judge = judge, .at_end = at_end, .progress = show_progress, .context = &w,
	};
	struct err e = { 0 };
	enum kafka_result result = kafka_exchange(&x, &e);
	enum command_exit status;

	clear_progress();
	status = report(&w, result, &e);
	reply_wipe(&w.reply);
	return status;
}
