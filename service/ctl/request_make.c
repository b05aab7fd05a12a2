/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl request make: a signed request as text, for whoever carries it to Kafka.
 *
 * Not everybody who needs a token can reach the brokers: there are gateways, outboxes in databases,
 * machines behind a diode. The record is made and stored as token create does it; what is printed is
 * all that a producer needs. Its bytes are signed, so whoever carries it can delay it or lose it, and
 * nothing else.
 */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "service/base/err.h"
#include "service/ctl/again.h"
#include "service/ctl/ask.h"
#include "service/ctl/carried.h"
#include "service/ctl/command.h"
#include "service/ctl/files.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

struct flags {
	struct ask_flags ask;
	const char *out;
};

static const struct option rows[] = {
	ASK_ROWS(struct flags, ask),
	{ "out", 0, OPTION_TEXT, offsetof(struct flags, out), 0, "FILE",
	    "write the record to a new file instead of standard output; never over an existing one" },
};

static int
print(const char *text, const char *out, struct err *ret_err)
{
	if (out != NULL)
		return files_write_new(out, span_str(text), ret_err);
	if (output_write(STDOUT_FILENO, text, strlen(text), ret_err) == 0)
		return 0;
	(void)err_prefix(ret_err, "cannot write to stdout");
	return -1;
}

static int
make(const struct invocation *v, struct signed_request *ret_request, struct err *ret_err)
{
	const struct flags *f = v->options;
	const struct profile *p;
	const char *text;

	if (f->out != NULL && files_check_new(f->out, ret_err) != 0) {
		(void)err_prefix(ret_err, "--out");
		return -1;
	}
	if (profile_load(v->globals->config, v->globals->profile, v->arena, &p, ret_err) != 0 ||
	    ask_sign(v, &f->ask, p, ret_request, ret_err) != 0)
		return -1;
	text = carried_request(ret_request, p, v->arena);
	if (text == NULL)
		return err_set(ret_err, ERR_FATAL, "no memory to print the record from");
	return print(text, f->out, ret_err);
}

static enum command_exit
run(struct invocation *v)
{
	struct signed_request request;
	struct err e;

	if (make(v, &request, &e) != 0)
		return output_usage("%s", e.text);
	output_say("when the reply is there: %s FILE",
	    again_line(v, "reply open", request.message->request_id, NULL));
	return EXIT_DONE;
}

static const struct command_note examples[] = {
	{ "tokenctl request make --json body.json --out request.json", "A record for somebody else to carry:" },
	{ "tokenctl request make --read-database DB \"For the agent\" | ssh gateway produce", "Or straight on:" },
	{ NULL, NULL }
};

const struct command request_make_command = {
	.name = "request make",
	.arguments = "DESCRIPTION",
	.summary = "make a signed request for another transport to carry",
	.about =
	    "Makes, signs and stores a request as token create does, and prints the record as one JSON document "
	    "instead of sending it:\n"
	    "\n"
	    "  {\"topic\": TOPIC, \"partition\": N, \"key\": ID,\n"
	    "   \"headers\": {NAME: TEXT, ...}, \"value\": BASE64}\n"
	    "\n"
	    "Whoever produces it sends the decoded value with that key and these headers, to that partition. With "
	    "--request-id of a stored request the very same record is printed again. The reply, brought back, is "
	    "opened by reply open; where the brokers can be reached, token open fetches it.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.examples = examples,
	.run = run,
};
