/* SPDX-License-Identifier: Apache-2.0 */
/* What tokenctl prints: results on stdout, everything for people on stderr, a token nowhere but in
 * a result. */
#ifndef TOKEND_CTL_OUTPUT_H
#define TOKEND_CTL_OUTPUT_H

#include <stdint.h>

#include "service/ctl/command.h"
#include "tokend/v1/token.pb-c.h"

struct err;
struct reply;

/* "tokenctl: " and a sentence, on stderr. */
void output_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and returns EXIT_USAGE, so that a command can end with it. */
enum command_exit output_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* cJSON wipes what it frees. Once, before the first output. */
void output_setup(void);

/* Where a reply was found. */
struct output_place {
	const char *topic;
	int32_t partition;
	int64_t offset;
};

/* An opened token: a header line and one line with id and token, the rest on stderr; or one JSON
 * object. Fails when stdout cannot be written: then the token is not lost, the request can be sent
 * again. */
int output_token_table(const struct reply *r, const struct output_place *where, struct err *ret_err);
int output_token_json(const struct reply *r, const struct output_place *where, struct err *ret_err);

/* A refusal, on stderr: what, of what it is said, and what to do next. again: the command that
 * sends the same record again. */
void output_refusal(const Tokend__V1__CreateTokenReply *reply, const char *again);

#endif
