/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl token create: influxctl's command, by message.
 *
 * In this order, and the order is the point: make the request, sign it, store it, only then send
 * it, and believe nothing but a reply that verifies. From the moment the file is on disk there is a
 * command that goes on where this one stopped, whatever stops it: the same with --request-id alone.
 * It sends the very same bytes, and the same bytes never make a second token.
 *
 * It does not try again by itself: what is worth a new attempt, and with which ID, is for whoever
 * typed it to say.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/clock.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/kafka.h"
#include "service/ctl/keys.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"
#include "service/ctl/request.h"
#include "service/ctl/wanted.h"

#define METHOD "/tokend.v1.TokenService/CreateToken"

struct flags {
	struct options_list permissions;
	const char *expires_at, *format, *request_id;
	uint64_t deadline_ms;
};

static const struct option rows[] = {
	{ "read-database", 0, OPTION_LIST, offsetof(struct flags, permissions), TOKEND__V1__ACTION__READ, "NAME",
	    "the token may query it; * for every database; repeatable" },
	{ "write-database", 0, OPTION_LIST, offsetof(struct flags, permissions), TOKEND__V1__ACTION__WRITE, "NAME",
	    "the token may write to it; * for every database; repeatable" },
	{ "expires-at", 0, OPTION_TEXT, offsetof(struct flags, expires_at), 0, "TIME",
	    "RFC 3339; without it the token never expires" },
	{ "format", 0, OPTION_TEXT, offsetof(struct flags, format), 0, "table|json",
	    "how to print the token (default table)" },
	{ "request-id", 0, OPTION_TEXT, offsetof(struct flags, request_id), 0, "ID",
	    "name the request; an ID used before: send its record again" },
	{ "deadline", 0, OPTION_DURATION, offsetof(struct flags, deadline_ms), 0, "DURATION",
	    "how long the service may go on trying (default 15m)" },
};

/* All that one call of this command holds. */
struct creation {
	const struct invocation *v;
	const struct flags *flags;
	const struct profile *profile;
	struct signed_request request;
	struct keys box;
	struct reply_expected expected;
	uint64_t since_boot_ms;
	unsigned ignored;               /* records under our ID that did not verify */
	struct reply reply;
	struct output_place where;
};

/* The command line that sends the same record again, ready to be pasted. */
static const char *
again(const struct creation *c)
{
	const struct globals *g = c->v->globals;
	struct arena *a = c->v->arena;
	const char *line = arena_text(a, "tokenctl token create --request-id %s", c->request.message->request_id);

	if (strcmp(g->config, profile_default_path(a)) != 0)
		line = arena_text(a, "%s --config '%s'", line, g->config);
	if (strcmp(g->profile, "default") != 0)
		line = arena_text(a, "%s --profile '%s'", line, g->profile);
	if (c->flags->format != NULL)
		line = arena_text(a, "%s --format %s", line, c->flags->format);
	return line;
}

static int
check_words(const struct invocation *v, const struct flags *f, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (v->n_words > 1)
		return err_set(ret_err, ERR_REFUSE,
		    "the description is one argument, and there is another: \"%s\"; quote it if it has blanks",
		    text_shown(span_str(v->words[1]), room));
	if (f->format != NULL && strcmp(f->format, "table") != 0 && strcmp(f->format, "json") != 0)
		return err_set(ret_err, ERR_REFUSE, "--format is table or json, not \"%s\"",
		    text_shown(span_str(f->format), room));
	if (f->request_id != NULL && !text_is_request_id(span_str(f->request_id)))
		return err_set(ret_err, ERR_REFUSE, "--request-id \"%s\" is not 1 to 128 of A-Z a-z 0-9 . _ : -",
		    text_shown(span_str(f->request_id), room));
	return 0;
}

static int
read_wanted(const struct creation *c, Tokend__V1__CreateTokenRequest **ret_message, struct err *ret_err)
{
	const struct globals *g = c->v->globals;
	const struct wanted w = {
		.description = c->v->n_words > 0 ? c->v->words[0] : NULL, .expires_at = c->flags->expires_at,
		.cluster = g->cluster, .account = g->account, .cluster_uuid = g->cluster_uuid,
		.permissions = c->flags->permissions, .deadline_ms = c->flags->deadline_ms,
	};

	return wanted_message(&w, clock_wall_ms() / 1000, c->v->arena, ret_message, ret_err);
}

/* A stored request is sent as it is, so what else was typed, and what the profile says, must be
 * what it says. */
static int
check_stored(const struct creation *c, const Tokend__V1__CreateTokenRequest *wanted, struct err *ret_err)
{
	const Tokend__V1__CreateTokenRequest *m = c->request.message;
	const char *what;

	if (!request_asks_the_same(m, wanted, &what))
		return err_set(ret_err, ERR_REFUSE,
		    "request %s was made before, and %s was different; leave the flags away to send it again, "
		    "or leave --request-id away to ask for another token", m->request_id, what);
	if (strcmp(m->service_id, c->profile->service_id) != 0 || strcmp(m->principal, c->profile->principal) != 0)
		return err_set(ret_err, ERR_REFUSE,
		    "request %s was made by principal %s for service %s; this profile is another's",
		    m->request_id, m->principal, m->service_id);
	if (m->recipient == NULL || m->recipient->key_case != TOKEND__V1__RECIPIENT__KEY_KEY_ID ||
	    strcmp(m->recipient->key_id, c->profile->box_key.id) != 0)
		return err_set(ret_err, ERR_REFUSE, "request %s was made for another box key than the profile's %s",
		    m->request_id, c->profile->box_key.id);
	return 0;
}

static void
warn_if_public(const char *path)
{
	if (!secret_file_is_private(path))
		output_say("warning: %s can be read by others on this machine", path);
}

/* A new request: made, signed, and on disk before anybody hears of it. */
static int
make(struct creation *c, Tokend__V1__CreateTokenRequest *wanted, const char *request_id, struct err *ret_err)
{
	struct keys signing;

	if (wanted_complete(wanted, request_id, c->profile, c->v->arena, ret_err) != 0 ||
	    keys_read_signing(c->profile->signing_key.file, &signing, ret_err) != 0)
		return -1;
	warn_if_public(c->profile->signing_key.file);
	request_sign(wanted, c->profile->signing_key.id, signing.secret, c->v->arena, &c->request);
	keys_wipe(&signing);
	return request_store(c->profile->state_dir, &c->request, ret_err);
}

static int
find_or_make(struct creation *c, struct err *ret_err)
{
	const char *id = c->flags->request_id;
	char room[REQUEST_ID_ROOM];
	Tokend__V1__CreateTokenRequest *wanted;
	int found = 0;

	if (read_wanted(c, &wanted, ret_err) != 0)
		return -1;
	if (id != NULL)
		found = request_load(c->profile->state_dir, id, c->v->arena, &c->request, ret_err);
	if (found < 0)
		return -1;
	if (found > 0)
		return check_stored(c, wanted, ret_err);
	if (id != NULL && wanted->description[0] == '\0' && wanted->n_permissions == 0)
		return err_set(ret_err, ERR_REFUSE,
		    "there is no request %s in %s; to make a new one give description and permissions",
		    id, c->profile->state_dir);
	return make(c, wanted, id != NULL ? id : request_new_id(room), ret_err);
}

static int
prepare(struct creation *c, struct err *ret_err)
{
	const struct globals *g = c->v->globals;

	if (check_words(c->v, c->flags, ret_err) != 0 ||
	    profile_load(g->config, g->profile, c->v->arena, &c->profile, ret_err) != 0 ||
	    keys_read_box(c->profile->box_key.file, &c->box, ret_err) != 0)
		return -1;
	warn_if_public(c->profile->box_key.file);
	if (find_or_make(c, ret_err) != 0)
		return -1;
	c->expected = (struct reply_expected){
		.request = &c->request, .box = &c->box,
		.service_keys = c->profile->service_keys, .n_service_keys = c->profile->n_service_keys,
	};
	return 0;
}

static bool
judge(void *context, const struct record *record)
{
	struct creation *c = context;
	struct reply r;

	reply_judge(&c->expected, record, &r);
	if (r.verdict == REPLY_IGNORED) {
		c->ignored++;
		if (c->v->globals->debug)
			output_say("ignored the record at offset %lld: %s", (long long)record->offset, r.why);
	}
	if (r.verdict != REPLY_REFUSED && r.verdict != REPLY_OPENED)
		return false;
	c->reply = r;
	c->where = (struct output_place){ c->profile->topics.replies, record->partition, record->offset };
	return true;
}

static void
show_progress(void *context)
{
	const struct creation *c = context;

	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\rwaiting for the reply to %s: %llu of %llu s ", c->request.message->request_id,
		    (unsigned long long)((clock_boot_ms() - c->since_boot_ms) / 1000),
		    (unsigned long long)(c->v->globals->timeout_ms / 1000));
}

static void
clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		(void)fputs("\r\033[K", stderr);
}

static enum command_exit
report_token(const struct creation *c)
{
	struct err e;
	char room[TEXT_RFC3339_ROOM];
	const Google__Protobuf__Timestamp *revoked_at = c->reply.message->revoked_at;
	bool json = c->flags->format != NULL && strcmp(c->flags->format, "json") == 0;

	if (revoked_at != NULL)
		output_say("warning: this token was revoked at %s", text_time(revoked_at->seconds, -1, room));
	if ((json ? output_token_json : output_token_table)(&c->reply, &c->where, &e) == 0)
		return EXIT_DONE;
	output_say("%s; to see the token again: %s", e.text, again(c));
	return EXIT_NO_REPLY;
}

static enum command_exit
report(const struct creation *c, enum kafka_result result, const struct err *e)
{
	if (c->ignored > 0 && c->v->globals->debug)
		output_say("%u records under this ID did not verify and were ignored", c->ignored);
	if (result == KAFKA_SETTLED && c->reply.verdict == REPLY_OPENED)
		return report_token(c);
	if (result == KAFKA_SETTLED) {
		output_refusal(c->reply.message, again(c));
		return EXIT_REFUSED;
	}
	output_say("%s", e->text);
	if (result == KAFKA_NO_REPLY)
		output_say("request %s may still be answered; to go on waiting: %s", c->request.message->request_id,
		    again(c));
	else
		output_say("request %s was not sent; to send it: %s", c->request.message->request_id, again(c));
	return result == KAFKA_NOT_SENT && e->next == ERR_REFUSE ? EXIT_USAGE : EXIT_NO_REPLY;
}

static enum command_exit
run(struct invocation *v)
{
	struct creation c = { .v = v, .flags = v->options, .since_boot_ms = clock_boot_ms() };
	struct err e = { 0 };
	enum command_exit status;

	if (prepare(&c, &e) == 0) {
		const struct kafka_exchange x = {
			.profile = c.profile, .request = &c.request, .method = METHOD, .debug = v->globals->debug,
			.until_boot_ms = c.since_boot_ms + v->globals->timeout_ms,
			.judge = judge, .progress = show_progress, .context = &c,
		};
		enum kafka_result result = kafka_exchange(&x, &e);

		clear_progress();
		status = report(&c, result, &e);
		reply_wipe(&c.reply);
	} else {
		status = output_usage("%s", e.text);
	}
	keys_wipe(&c.box);
	return status;
}

const struct command token_create_command = {
	.name = "token create",
	.arguments = "DESCRIPTION",
	.summary = "ask for a database token, wait for it and print it",
	.about =
	    "Signs the request with the profile's key, stores it in the profile's state_dir, sends it, and\n"
	    "opens the reply with the profile's box key. Only what the service signed, for this very request,\n"
	    "is believed.\n"
	    "\n"
	    "A request that got no reply in time is not lost: with --request-id ID alone the very same record\n"
	    "is sent again, and the same outcome comes back. The same record never makes a second token.\n"
	    "\n"
	    "  tokenctl token create --read-database DB --write-database DB \"Read/write token for DB\"\n"
	    "  tokenctl token create --read-database \"*\" \"Read-only token for all databases\"\n"
	    "  tokenctl token create --read-database DB \\\n"
	    "      --expires-at $(date -d \"+7 days\" +\"%Y-%m-%dT%H:%M:%S%z\") \"Seven days\"\n"
	    "\n"
	    "Exits 0 with a token, 1 when the service refused, 2 when the request was not fit to be sent,\n"
	    "3 without a reply.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.run = run,
};
