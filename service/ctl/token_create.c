/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl token create: influxctl's command, by message.
 *
 * What is asked is ask.c's, the way to the reply fetch.c's, what becomes of the token deliver.c's.
 * Here they stand in their order: whatever can be found wrong is found before the request is stored,
 * and it is stored before it is sent.
 */
#include <stddef.h>

#include "service/base/err.h"
#include "service/ctl/ask.h"
#include "service/ctl/command.h"
#include "service/ctl/deliver.h"
#include "service/ctl/fetch.h"
#include "service/ctl/keys.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

struct flags {
	struct ask_flags ask;
	struct deliver_flags deliver;
	bool no_wait;
};

static const struct option rows[] = {
	ASK_ROWS(struct flags, ask),
	DELIVER_ROWS(struct flags, deliver),
	{ "no-wait", 0, OPTION_SWITCH, offsetof(struct flags, no_wait), 0, NULL,
	    "send the request and print its ID alone; token open fetches the reply later" },
};

/* The box key, too, before anything is asked for: a token that cannot be opened is of no use. */
static int
prepare(const struct invocation *v, const struct profile **ret_profile, struct keys *ret_box,
    struct signed_request *ret_request, struct err *ret_err)
{
	const struct flags *f = v->options;
	const struct globals *g = v->globals;

	if (f->no_wait && deliver_wanted(&f->deliver))
		return err_set(ret_err, ERR_REFUSE,
		    "with --no-wait no token comes back: --format, --out, --wait-active and --exec belong to "
		    "token open");
	if (deliver_check(&f->deliver, ret_err) != 0 ||
	    profile_load(g->config, g->profile, v->arena, ret_profile, ret_err) != 0 ||
	    keys_read_box((*ret_profile)->box_key.file, ret_box, ret_err) != 0)
		return -1;
	ask_warn_if_public((*ret_profile)->box_key.file);
	return ask_sign(v, &f->ask, *ret_profile, ret_request, ret_err);
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
		status = fetch_token(v, f->no_wait ? FETCH_SEND : FETCH_ASK, p, &box, &request, &f->deliver);
	keys_wipe(&box);
	return status;
}

static const struct command_note examples[] = {
	{ "tokenctl token create --read-database DB --write-database DB \"Read/write token for DB\"",
	    "Both rights on one database:" },
	{ "tokenctl token create --read-database \"*\" \"Read-only token for all databases\"",
	    "One right on all of them:" },
	{ "tokenctl token create --read-database DB --expires-at $(date -d \"+7 days\" +\"%Y-%m-%dT%H:%M:%S%z\") "
	    "\"A week\"",
	    "For seven days:" },
	{ "tokenctl token create --json body.json --out token",
	    "What was a curl --data body, into a new file:" },
	{ "tokenctl token create --read-database DB --wait-active \"https://HOST/query?db=DB\" \"For the agent\" "
	    "--exec vault kv put secret/agent token=-",
	    "Once InfluxDB takes it, straight into a secret store:" },
	{ NULL, NULL }
};

const struct command token_create_command = {
	.name = "token create",
	.arguments = "DESCRIPTION",
	.summary = "ask for a database token, wait for it and hand it over",
	.about =
	    "Signs the request with the profile's key, stores it in the profile's state_dir, sends it, and opens the "
	    "reply with the profile's box key. Only what the service signed, for this very request, is believed.\n"
	    "\n"
	    "A request that got no reply in time is not lost: with --request-id ID alone the very same record is sent "
	    "again, and the same outcome comes back. The same record never makes a second token.\n"
	    "\n"
	    "The flags are those of influxctl token create. --json takes the API's own body instead: description, "
	    "permissions, expiresAt and expirationType. What reaches the API differs from it in this alone: a marker "
	    "at the description's end, and expiresAt in UTC, always together with expirationType.\n"
	    "\n"
	    "The token goes to standard output, or where --out or --exec say; everything else to standard error. "
	    "A token that could not be handed over is not lost: the command that gets it again is printed.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.examples = examples,
	.run = run,
};
