/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl reply open: a reply that came by other means than Kafka.
 *
 * It is judged exactly as one that was read from the topic, for whoever brought it could have written
 * it: the service's signature, the digest of our stored request, and every word of the box's context.
 * There is nothing to wait for here, so what would be passed over on a topic is an error, with its
 * reason.
 */
#include <stddef.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/again.h"
#include "service/ctl/ask.h"
#include "service/ctl/carried.h"
#include "service/ctl/command.h"
#include "service/ctl/deliver.h"
#include "service/ctl/files.h"
#include "service/ctl/keys.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/reply.h"

#define VALUE_MOST (1024 * 1024)

struct flags {
	const char *request_id;
	struct options_list headers;
	struct deliver_flags deliver;
};

static const struct option rows[] = {
	{ "request-id", 0, OPTION_TEXT, offsetof(struct flags, request_id), 0, "ID",
	    "the request that it must answer (default: the key that the document names)" },
	{ "header", 0, OPTION_LIST, offsetof(struct flags, headers), 0, "NAME=TEXT",
	    "FILE holds the record's bare value, and this is one of its headers; tokend-signature is needed; "
	    "repeatable" },
	DELIVER_ROWS(struct flags, deliver),
};

/* What one call holds. */
struct opening {
	const char *file;
	const struct profile *profile;
	struct keys box;
	struct signed_request request;
	struct record record;
	struct output_place where;
};

/* The bare value from the file, the rest from flags. */
static int
read_bare(const struct invocation *v, const struct flags *f, struct opening *o, struct err *ret_err)
{
	struct header *headers = arena_alloc(v->arena, f->headers.n * sizeof(*headers));
	char shown[TEXT_SHOWN_ROOM];
	size_t name_bytes;

	if (f->request_id == NULL)
		return err_set(ret_err, ERR_REFUSE, "--header goes with --request-id: a bare value does not say what "
		    "it answers");
	for (size_t i = 0; i < f->headers.n; i++) {
		const char *text = f->headers.items[i].value, *value = profile_property_value(text, &name_bytes);

		if (value == NULL)
			return err_set(ret_err, ERR_REFUSE, "--header \"%s\" is not NAME=TEXT",
			    text_shown(span_str(text), shown));
		headers[i] = (struct header){ span_of(text, name_bytes), span_str(value) };
	}
	o->record.headers = headers;
	o->record.n_headers = f->headers.n;
	o->record.key = span_str(f->request_id);
	return files_read(o->file, VALUE_MOST, v->arena, &o->record.value, ret_err);
}

static int
read_record(const struct invocation *v, struct opening *o, struct err *ret_err)
{
	const struct flags *f = v->options;

	if (f->headers.n > 0)
		return read_bare(v, f, o, ret_err);
	if (carried_read(o->file, v->arena, &o->record, &o->where.topic, ret_err) != 0)
		return -1;
	o->where.partition = o->record.partition;
	o->where.offset = o->record.offset;
	return 0;
}

static int
prepare(const struct invocation *v, struct opening *o, struct err *ret_err)
{
	const struct flags *f = v->options;
	const struct globals *g = v->globals;
	char shown[TEXT_SHOWN_ROOM];
	const char *id;

	if (v->n_words == 0)
		return err_set(ret_err, ERR_REFUSE, "which reply? give its FILE, or - for standard input");
	if (v->n_words > 1)
		return err_set(ret_err, ERR_REFUSE, "reply open takes one FILE, not \"%s\" too",
		    text_shown(span_str(v->words[1]), shown));
	o->file = v->words[0];
	if (deliver_check(&f->deliver, ret_err) != 0 ||
	    profile_load(g->config, g->profile, v->arena, &o->profile, ret_err) != 0 ||
	    keys_read_box(o->profile->box_key.file, &o->box, ret_err) != 0)
		return -1;
	ask_warn_if_public(o->profile->box_key.file);
	if (read_record(v, o, ret_err) != 0)
		return -1;
	id = f->request_id != NULL ? f->request_id : (const char *)o->record.key.data;
	if (!text_is_request_id(span_str(id)))
		return err_set(ret_err, ERR_REFUSE, "%s: the key \"%s\" is no request ID", files_name(o->file),
		    text_shown(span_str(id), shown));
	return ask_stored(v, id, o->profile, &o->request, ret_err);
}

static enum command_exit
report(const struct invocation *v, const struct opening *o, const struct reply *r)
{
	const struct flags *f = v->options;
	const char *id = o->request.message->request_id;

	switch (r->verdict) {
	case REPLY_OPENED:
		return deliver_token(v, &f->deliver, r, &o->where,
		    arena_text(v->arena, "%s %s", again_line(v, "reply open", id, NULL),
		    again_word(o->file, v->arena)));
	case REPLY_REFUSED:
		output_refusal(id, r->message->status, again_line(v, "request make", id, NULL));
		return EXIT_REFUSED;
	case REPLY_IGNORED:
		output_say("%s is not the reply to request %s: %s", files_name(o->file), id, r->why);
		break;
	case REPLY_OTHERS:
		output_say("%s is not the reply to request %s: its key names another", files_name(o->file), id);
		break;
	}
	output_say("somebody else wrote it, or it was changed on its way, or the profile does not know the service's "
	    "key (tokenctl keys export prints it, where the service runs)");
	return EXIT_REFUSED;
}

static enum command_exit
run(struct invocation *v)
{
	struct opening o = { 0 };
	struct reply r;
	struct err e;
	enum command_exit status;

	if (prepare(v, &o, &e) != 0) {
		status = output_usage("%s", e.text);
	} else {
		const struct reply_expected expected = { .request = &o.request, .box = &o.box,
			.service_keys = o.profile->service_keys, .n_service_keys = o.profile->n_service_keys,
			.partitions = o.profile->partitions };

		reply_judge(&expected, &o.record, &r);
		status = report(v, &o, &r);
		reply_wipe(&r);
	}
	keys_wipe(&o.box);
	return status;
}

static const struct command_note examples[] = {
	{ "tokenctl reply open reply.json --out token", "A record as a JSON document:" },
	{ "tokenctl reply open --request-id ID --header tokend-signature=BASE64 value.bin", "Its bare value:" },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "Opened, and the token was handed over." },
	{ "1", "The service refused; or this is not the service's reply to that request." },
	{ "2", "The command line, or a file on this machine, is wrong." },
	{ "3", "The token could not be handed over; the command that gets it again is printed." },
	{ NULL, NULL }
};

const struct command reply_open_command = {
	.name = "reply open",
	.arguments = "FILE",
	.summary = "open a reply that another transport has brought",
	.about =
	    "Judges a reply record and opens its box, as token create does with what it reads from Kafka. FILE (- for "
	    "standard input) is one JSON document:\n"
	    "\n"
	    "  {\"key\": ID, \"headers\": {\"tokend-signature\": TEXT, ...}, \"value\": BASE64}\n"
	    "\n"
	    "Other members are the transport's, and passed over. With --header, FILE is the record's bare value "
	    "instead. The request must be stored in the profile's state_dir: without its bytes a reply to it cannot "
	    "be told from a reply to another.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.examples = examples,
	.run = run,
};
