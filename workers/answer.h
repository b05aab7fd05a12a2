/* SPDX-License-Identifier: Apache-2.0 */
/* What the Management API answers, read with distrust. Any thread; body[bytes] is always its NUL. */
#ifndef TOKEND_WORKERS_ANSWER_H
#define TOKEND_WORKERS_ANSWER_H

#include <stddef.h>

#include "service/base/span.h"
#include "service/base/text.h"

struct cluster;
struct job;

/* Read the 200 or 201 of a create. NULL: it holds a token that is what was asked for; then the job's created_*,
 * token_* and marker_intact are filled in, and body holds nothing but the access token, which job->access_token
 * points to. Otherwise why not, in words of our own, and the job is untouched. */
const char *answer_read_created(const struct cluster *c, unsigned char *body, size_t bytes, struct job *job);

/* The message of an error's body, made fit for people; empty when there is none. Whatever looks like a token in
 * it is left out, and so is the management token, should the API echo it. Returns room. */
const char *answer_error_text(const unsigned char *body, size_t bytes, struct span management_token,
    char room[TEXT_SHOWN_ROOM]);

/* The same for an answer that would have us go elsewhere, by its Location; NULL: it has none. */
#define ANSWER_TEXT_ROOM (TEXT_SHOWN_ROOM + 64)
const char *answer_elsewhere(const char *location, struct span management_token, char room[ANSWER_TEXT_ROOM]);

#endif
