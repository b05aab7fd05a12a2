/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reply to an earlier request, in two ways.
 *
 * token open reads it: it sends nothing, so it needs no right to write, and no deadline has passed for it. The reply
 * may stand in the topic already: reading begins where the request was issued, or at the partition's beginning where
 * the brokers cannot tell. What has left the topic (its retention is a week or more) the service tells again.
 *
 * token outcome asks for it: the service tells the stored reply again to the principal that made the request. That is
 * for whoever lost its state, a pod without a disk for one. With the bytes at hand the box is compared with all of
 * them; without, with what the profile knows, and that is said.
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

/* How a command comes by the request whose reply it wants. */
typedef int earlier_request(const struct invocation *v, const char *request_id, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err);

static int
prepare(const struct invocation *v, const char *command, earlier_request *find, const struct profile **ret_profile,
    struct keys *ret_box, struct signed_request *ret_request, struct err *ret_err)
{
	const struct flags *f = v->options;
	const struct globals *g = v->globals;
	char room[TEXT_SHOWN_ROOM];

	if (v->n_words > 0)
		return err_set(ret_err, ERR_REFUSE, "%s takes flags only, not \"%s\"", command,
		    text_shown(span_str(v->words[0]), room));
	if (f->request_id == NULL)
		return err_set(ret_err, ERR_REFUSE, "--request-id ID is missing: which request is meant?");
	if (deliver_check(&f->deliver, ret_err) != 0 ||
	    profile_load(g->config, g->profile, v->arena, ret_profile, ret_err) != 0 ||
	    keys_read_box((*ret_profile)->box_key.file, ret_box, ret_err) != 0)
		return -1;
	ask_warn_if_public((*ret_profile)->box_key.file);
	return find(v, f->request_id, *ret_profile, ret_request, ret_err);
}

static enum command_exit
run(struct invocation *v, const char *command, earlier_request *find, enum fetch_mode mode)
{
	const struct flags *f = v->options;
	const struct profile *p;
	struct keys box = { 0 };
	struct signed_request request;
	enum command_exit status;
	struct err e;

	if (prepare(v, command, find, &p, &box, &request, &e) != 0)
		status = output_usage("%s", e.text);
	else
		status = fetch_token(v, mode, p, &box, &request, &f->deliver);
	keys_wipe(&box);
	return status;
}

static enum command_exit
run_open(struct invocation *v)
{
	return run(v, "token open", ask_stored, FETCH_READ);
}

static enum command_exit
run_outcome(struct invocation *v)
{
	return run(v, "token outcome", ask_outcome, FETCH_OUTCOME);
}

static const struct command_note open_examples[] = {
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
	.examples = open_examples,
	.run = run_open,
};

static const struct command_note outcome_examples[] = {
	{ "tokenctl token outcome --request-id ID --out token", "The token of a request, though its bytes are lost:" },
	{ "tokenctl --timeout 15m token outcome --request-id ID --format json", "And wait, if it is still in flight:" },
	{ NULL, NULL }
};

static const struct command_note outcome_exits[] = {
	{ "0", "Opened, and the token was handed over." },
	{ "1", "There is no token: what the request came to is an error, or nothing is known of it, or this question "
	    "was refused. Why is on standard error." },
	{ "2", "The command line, or a file on this machine, is wrong; nothing was sent." },
	{ "3", "No valid answer in time, or the request is still in flight, or the token could not be handed over. The "
	    "command that asks again is printed." },
	{ NULL, NULL }
};

const struct command token_outcome_command = {
	.name = "token outcome",
	.arguments = "",
	.summary = "ask what became of a request, its bytes at hand or lost",
	.about =
	    "Asks the service for the outcome of an earlier request of the same principal, and opens the reply that it "
	    "tells again. A request that is still in flight is waited for until shortly before --timeout is over, an "
	    "hour at most. Nothing changes by asking; no token is made.\n"
	    "\n"
	    "Where the request is stored in the profile's state_dir, the box is compared with all of it. Where it is "
	    "not, its service, request ID, box key and description's marker are, and what the token is for is printed "
	    "on standard error: see whether that is what was asked for.\n"
	    "\n"
	    "Outcomes are kept for 7 days. NO_OUTCOME means: never asked, or longer ago, or by another principal.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = outcome_exits,
	.examples = outcome_examples,
	.run = run_outcome,
};
