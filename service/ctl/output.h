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
	const char *topic;              /* NULL: it was brought by other means */
	int32_t partition;
	int64_t offset;
};

/* table: a header line, and one line with id and token; json: one object; token: the token alone. */
enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_TOKEN };

/* An opened token as it is printed, a newline at its end, in guarded memory: secret_guarded_free it. NULL when there
 * is none. */
char *output_token(enum output_format format, const struct reply *r, const struct output_place *where,
    size_t *ret_bytes, struct err *ret_err);

/* What a RevokeToken did, as a line under a header or as an object, on stdout; the rest on stderr. Fails as
 * output_write does. */
int output_revocation(enum output_format format, const Tokend__V1__RevokeTokenReply *m,
    const struct output_place *where, struct err *ret_err);

/* What else there is to know of a token, on stderr. */
void output_circumstances(const struct reply *r, const struct output_place *where);

/* All of it to a file descriptor, by write(2). Fails with the reason alone. */
int output_write(int fd, const char *text, size_t bytes, struct err *ret_err);

/* What the token may do, and what it is called, on stderr. */
void output_purpose(const Tokend__V1__TokenSecret *s);

/* A refusal, on stderr: what, of what it is said, and what to do next. again: the command that
 * sends the same record again. */
void output_refusal(const char *request_id, const Tokend__V1__Status *s, const char *again);

#endif
