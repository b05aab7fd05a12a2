/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened token handed over.
 *
 * A token leaves this process in one of three ways: by standard output, into a new file, or into the
 * standard input of a program. Never by an argument or the environment, which others on the machine
 * can read. From guarded memory it goes by write(2), for stdio's buffer would keep a copy that nobody
 * wipes.
 *
 * Whatever fails here fails with a token that exists. It is not lost, because the same record gets the
 * same token again: so each failure ends with the command that does that, and never with a new token.
 */
#include "service/ctl/deliver.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/activation.h"
#include "service/ctl/child.h"
#include "service/ctl/files.h"
#include "service/ctl/output.h"
#include "service/ctl/reply.h"

static const char *const formats[] = { [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_TOKEN] = "token" };

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static enum output_format
format_of(const struct deliver_flags *f)
{
	size_t i = 0;

	if (f->format == NULL)
		return f->out != NULL ? OUTPUT_TOKEN : OUTPUT_TABLE;
	while (i < FORMATS && strcmp(f->format, formats[i]) != 0)
		i++;
	return (enum output_format)i;
}

bool
deliver_wanted(const struct deliver_flags *f)
{
	return f->format != NULL || f->out != NULL || f->wait_active != NULL || f->command != NULL;
}

int
deliver_check(const struct deliver_flags *f, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (format_of(f) >= FORMATS)
		return err_set(ret_err, ERR_REFUSE, "--format is table, json or token, not \"%s\"",
		    text_shown(span_str(f->format), room));
	if (f->command != NULL && (f->out != NULL || f->format != NULL))
		return err_set(ret_err, ERR_REFUSE,
		    "--exec gives the token, and nothing else, to a program: leave %s away",
		    f->out != NULL ? "--out" : "--format");
	if (f->command != NULL && child_check(f->command[0], ret_err) != 0)
		return -1;
	if (f->out != NULL && files_check_new(f->out, ret_err) != 0)
		return err_prefix(ret_err, "--out");
	return f->wait_active == NULL ? 0 : activation_check(f->wait_active, ret_err);
}

static int
print(const struct deliver_flags *f, const struct reply *r, const struct output_place *where, struct err *ret_err)
{
	size_t bytes;
	char *text = output_token(format_of(f), r, where, &bytes, ret_err);
	int result;

	if (text == NULL)
		return -1;
	if (f->out != NULL)
		result = files_write_new(f->out, span_of(text, bytes), ret_err);
	else if ((result = output_write(STDOUT_FILENO, text, bytes, ret_err)) != 0)
		(void)err_prefix(ret_err, "cannot write to stdout");
	secret_guarded_free((unsigned char *)text);
	return result;
}

enum command_exit
deliver_token(const struct invocation *v, const struct deliver_flags *f, const struct reply *r,
    const struct output_place *where, const char *again)
{
	struct err e;
	char room[TEXT_RFC3339_ROOM];
	const Google__Protobuf__Timestamp *revoked_at = r->message->revoked_at;
	int result = 0;

	if (revoked_at != NULL)
		output_say("warning: this token was revoked at %s", text_time(revoked_at->seconds, -1, room));
	output_circumstances(r, where);
	if (f->wait_active != NULL && revoked_at != NULL) {
		output_say("so it will never be active, and is not handed over; ask anew, without --request-id");
		return EXIT_REFUSED;
	}
	if (f->wait_active != NULL)
		result = activation_wait(f->wait_active, r->secret->access_token, v->globals->timeout_ms, &e);
	if (result == 0)
		result = f->command != NULL ? child_run(f->command, r->secret->access_token, &e) :
		    print(f, r, where, &e);
	if (result == 0) {
		if (f->out != NULL)
			output_say("the token stands in %s", f->out);
		return EXIT_DONE;
	}
	output_say("%s", e.text);
	output_say("the token %s exists; to get it again: %s", r->secret->token_id, again);
	return EXIT_NO_REPLY;
}
