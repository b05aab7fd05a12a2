/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl token open: the reply to a request that was sent before.
 *
 * It reads and never sends, so it needs no right to write, and no deadline has passed for it. The
 * reply may stand in the topic already: reading begins where the request was issued, or at the
 * partition's beginning where the brokers cannot tell. What has left the topic (its retention is a
 * week or more) the service tells again: token create --request-id.
 */
#include <stddef.h>

#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/ask.h"
#include "service/ctl/command.h"
#include "service/ctl/deliver.h"
#include "service/ctl/fetch.h"
#include "service/ctl/keys.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

struct flags {
	const char *request_id;
	struct deliver_flags deliver;
};

static const struct option rows[] = {
	{ "request-id", 0, OPTION_TEXT, offsetof(struct flags, request_id), 0, "ID", "the request's; required" },
	DELIVER_ROWS(struct flags, deliver),
};

static int
prepare(const struct invocation *v, const struct profile **ret_profile, struct keys *ret_box,
    struct signed_request *ret_request, struct err *ret_err)
{
	const struct flags *f = v->options;
	const struct globals *g = v->globals;
	char room[TEXT_SHOWN_ROOM];

	if (v->n_words > 0)
		return err_set(ret_err, ERR_REFUSE, "token open takes flags only, not \"%s\"",
		    text_shown(span_str(v->words[0]), room));
	if (f->request_id == NULL)
		return err_set(ret_err, ERR_REFUSE, "--request-id ID is missing: which request's reply?");
	if (deliver_check(&f->deliver, ret_err) != 0 ||
	    profile_load(g->config, g->profile, v->arena, ret_profile, ret_err) != 0 ||
	    keys_read_box((*ret_profile)->box_key.file, ret_box, ret_err) != 0)
		return -1;
	ask_warn_if_public((*ret_profile)->box_key.file);
	return ask_stored(v, f->request_id, *ret_profile, ret_request, ret_err);
}

static enum command_exit
run(struct invocation *v)
{
	const struct flags *f = v->options;
	const struct profile *p;
	struct keys box = { 0 };
	struct signed_request request;
	enum command_exit status;
	struct err e;

	if (prepare(v, &p, &box, &request, &e) != 0)
		status = output_usage("%s", e.text);
	else
		status = fetch_token(v, FETCH_READ, p, &box, &request, &f->deliver);
	keys_wipe(&box);
	return status;
}

static const struct command_note examples[] = {
	{ "id=$(tokenctl token create --no-wait --read-database DB \"For the agent\")", "Ask now," },
	{ "tokenctl token open --request-id \"$id\" --out token", "and fetch it later:" },
	{ NULL, NULL }
};

const struct command token_open_command = {
	.name = "token open",
	.arguments = "",
	.summary = "fetch the reply to a request that was sent before",
	.about =
	    "Reads the reply topic for the reply to a stored request, from the time of the request on, and waits for "
	    "it if it is not there yet. Nothing is sent.\n"
	    "\n"
	    "A reply that has left the topic is told again by token create --request-id.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.examples = examples,
	.run = run,
};
