/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines for people to paste. */
#ifndef TOKEND_CTL_AGAIN_H
#define TOKEND_CTL_AGAIN_H

struct arena;
struct deliver_flags;
struct invocation;

/* text as one word of a shell: as it is, or quoted. In the arena. */
const char *again_word(const char *text, struct arena *a);

/* line, with the flags behind it that choose this profile again. */
const char *again_profile(const struct invocation *v, const char *line);

/* "tokenctl COMMAND --request-id ID", with what the profile and the delivery need. f may be NULL. */
const char *again_line(const struct invocation *v, const char *command, const char *request_id,
    const struct deliver_flags *f);

#endif
