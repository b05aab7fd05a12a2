/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl token revoke: influxctl's command, by message, and by the ID of the request that made the token.
 *
 * The requester does it itself, with the key that it asked with: no operator, no management token, not even the box
 * key, for there is no box in the answer. A token whose string was lost is revoked so, too, and the next one asked
 * for under a new ID.
 *
 * Nothing is lost when no answer comes: revoking twice comes to the same, so the same command is simply run again.
 */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/again.h"
#include "service/ctl/ask.h"
#include "service/ctl/command.h"
#include "service/ctl/confirm.h"
#include "service/ctl/earlier.h"
#include "service/ctl/kafka.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/revocation.h"
#include "service/ctl/waiting.h"

struct flags {
	bool force;
	const char *reason, *format;
};

static const struct option rows[] = {
	{ "force", 0, OPTION_SWITCH, offsetof(struct flags, force), 0, NULL, "do not ask whether it is meant" },
	{ "reason", 0, OPTION_TEXT, offsetof(struct flags, reason), 0, "TEXT",
	    "why, for the service's log; up to 200 bytes" },
	{ "format", 0, OPTION_TEXT, offsetof(struct flags, format), 0, "table|json",
	    "how to print what was revoked (default table)" },
};

/* One call. */
struct revoking {
	const struct invocation *v;
	const char *request_id;
	const struct profile *profile;
	struct signed_request request;
	struct genuine_keys service;
	struct waiting waiting;
	struct revocation answer;
	struct output_place where;
};

static int
check_words(const struct invocation *v, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (v->n_words == 0)
		return err_set(ret_err, ERR_REFUSE, "which token? give the ID of the request that made it");
	if (v->n_words > 1)
		return err_set(ret_err, ERR_REFUSE, "token revoke takes one request ID, not \"%s\" too",
		    text_shown(span_str(v->words[1]), room));
	return 0;
}

static int
check_flags(const struct flags *f, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (f->format != NULL && strcmp(f->format, "table") != 0 && strcmp(f->format, "json") != 0)
		return err_set(ret_err, ERR_REFUSE, "--format is table or json, not \"%s\"",
		    text_shown(span_str(f->format), room));
	if (f->reason != NULL && earlier_check_reason(f->reason, ret_err) != 0)
		return -1;
	return confirm_check(f->force, ret_err);
}

/* With what is known here of the token, which is what its request asked for. */
static int
ask_whether_it_is_meant(const struct revoking *r, const Tokend__V1__CreateTokenRequest *create, struct err *ret_err)
{
	const struct flags *f = r->v->options;
	struct arena *a = r->v->arena;
	char room[TEXT_SHOWN_ROOM];
	const char *called = create == NULL ? "" :
	    arena_text(a, ", \"%s\"", text_shown(span_str(create->description), room));

	return confirm_ask(f->force, arena_text(a,
	    "Revoke the token that request %s made for %s%s? It stops working at once and for good.",
	    r->request_id, r->profile->principal, called), ret_err);
}

/* Signed last: its time runs from then on, and a person may have thought for long. */
static int
prepare(struct revoking *r, struct err *ret_err)
{
	const struct invocation *v = r->v;
	const struct flags *f = v->options;
	const Tokend__V1__CreateTokenRequest *create;

	if (check_words(v, ret_err) != 0 || check_flags(f, ret_err) != 0 ||
	    profile_load(v->globals->config, v->globals->profile, v->arena, &r->profile, ret_err) != 0)
		return -1;
	r->request_id = v->words[0];
	r->service = (struct genuine_keys){ r->profile->service_keys, r->profile->n_service_keys };
	if (ask_revocable(v, r->request_id, r->profile, &create, ret_err) != 0 ||
	    ask_whether_it_is_meant(r, create, ret_err) != 0)
		return -1;
	return ask_revocation(v, r->request_id, f->reason != NULL ? f->reason : "", r->profile, &r->request, ret_err);
}

static bool
judge(void *context, const struct record *record)
{
	struct revoking *r = context;
	struct revocation answer;

	revocation_judge(&r->request, &r->service, record, &answer);
	if (answer.verdict == REVOCATION_IGNORED)
		waiting_pass_over(&r->waiting, record, answer.why);
	if (answer.verdict != REVOCATION_REFUSED && answer.verdict != REVOCATION_DONE)
		return false;
	r->answer = answer;
	r->where = (struct output_place){ r->profile->topics.replies, record->partition, record->offset };
	return true;
}

/* Reading begins at the end, so nothing is said of what stood there before. */
static bool
at_end(void *context)
{
	(void)context;
	return false;
}

static void
show_progress(void *context)
{
	const struct revoking *r = context;

	waiting_show(&r->waiting);
}

static const char *
again(const struct revoking *r)
{
	const struct flags *f = r->v->options;
	struct arena *a = r->v->arena;
	const char *line = again_profile(r->v, arena_text(a, "tokenctl token revoke %s", r->request_id));

	if (f->reason != NULL)
		line = arena_text(a, "%s --reason %s", line, again_word(f->reason, a));
	if (f->format != NULL)
		line = arena_text(a, "%s --format %s", line, f->format);
	return f->force ? arena_text(a, "%s --force", line) : line;
}

static enum command_exit
report_unsettled(const struct revoking *r, enum kafka_result result, const struct err *e)
{
	output_say("%s", e->text);
	if (result == KAFKA_NO_REPLY)
		output_say("the token of request %s may be revoked yet, or be so already; to make sure: %s",
		    r->request_id, again(r));
	else
		output_say("nothing was sent; to revoke it: %s", again(r));
	return result == KAFKA_NOT_SENT && e->next == ERR_REFUSE ? EXIT_USAGE : EXIT_NO_REPLY;
}

static enum command_exit
report_done(const struct revoking *r)
{
	const struct flags *f = r->v->options;
	struct err e;

	if (output_revocation(f->format != NULL && strcmp(f->format, "json") == 0 ? OUTPUT_JSON : OUTPUT_TABLE,
	    r->answer.message, &r->where, &e) == 0)
		return EXIT_DONE;
	output_say("the token %s is revoked, but that could not be printed: %s", r->answer.message->token_id, e.text);
	return EXIT_NO_REPLY;
}

/* Two refusals are answers to the question itself. */
static enum command_exit
report_refused(const struct revoking *r)
{
	const Tokend__V1__Status *s = r->answer.message->status;
	bool of_record = s->about == TOKEND__V1__ABOUT__RECORD;

	if (of_record && strcmp(s->reason, "IN_FLIGHT") == 0) {
		output_say("not yet: %s", s->message);
		output_say("to go on: %s", again(r));
		return EXIT_NO_REPLY;
	}
	if (of_record && strcmp(s->reason, "NO_OUTCOME") == 0) {
		output_say("refused: NO_OUTCOME: %s", s->message);
		output_say("so %s was given no token under %s in the last 7 days; an older one is revoked by its token "
		    "ID, by the cluster's operator: influxctl token revoke", r->profile->principal, r->request_id);
		return EXIT_REFUSED;
	}
	output_refusal(r->request_id, s, again(r));
	return EXIT_REFUSED;
}

static enum command_exit
exchange(struct revoking *r)
{
	const struct kafka_exchange x = {
		.profile = r->profile, .request = &r->request, .debug = r->v->globals->debug,
		.send = true, .wait = true, .until_boot_ms = waiting_until_boot_ms(&r->waiting),
		.judge = judge, .at_end = at_end, .progress = show_progress, .context = r,
	};
	struct err e = { 0 };
	enum kafka_result result = kafka_exchange(&x, &e);
	enum command_exit status;

	waiting_clear();
	waiting_tell_ignored(&r->waiting, result == KAFKA_SETTLED);
	if (result != KAFKA_SETTLED)
		status = report_unsettled(r, result, &e);
	else
		status = r->answer.verdict == REVOCATION_DONE ? report_done(r) : report_refused(r);
	revocation_free(&r->answer);
	return status;
}

static enum command_exit
run(struct invocation *v)
{
	struct revoking r = { .v = v };
	struct err e;

	if (prepare(&r, &e) != 0)
		return output_usage("%s", e.text);
	r.waiting = waiting_begin(v, r.request_id);
	return exchange(&r);
}

static const struct command_note examples[] = {
	{ "tokenctl token revoke order-17", "The token that the request order-17 made:" },
	{ "tokenctl token revoke order-17 --force --format json --reason \"its pod is gone\"", "In a script:" },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "The token is revoked: by this, or by an earlier command." },
	{ "1", "The service refused, or this principal was given no token under that ID." },
	{ "2", "The command line, or a file on this machine, is wrong, or the answer to the question was not yes; "
	    "nothing was sent." },
	{ "3", "No valid answer in time, or the request is still in flight, or the token could not be deleted in time. "
	    "The command that goes on is printed." },
	{ NULL, NULL }
};

const struct command token_revoke_command = {
	.name = "token revoke",
	.arguments = "REQUEST-ID",
	.summary = "have the token of an earlier request deleted, at once and for good",
	.about =
	    "Asks the service to delete the token that was made under REQUEST-ID for the same principal, and prints "
	    "the token's ID and when it was revoked. It need not be opened, or known, for that, and the request need "
	    "not be stored here.\n"
	    "\n"
	    "Asks whether it is meant, on the terminal, unless --force is given; without a terminal --force is "
	    "needed. A request that is still in flight is waited for until shortly before --timeout is over. To "
	    "revoke again what was revoked comes to the same.\n"
	    "\n"
	    "The service knows its tokens for 7 days. An older one is revoked by its token ID, with influxctl.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.examples = examples,
	.run = run,
};
