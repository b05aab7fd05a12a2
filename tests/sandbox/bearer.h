/* SPDX-License-Identifier: Apache-2.0 */
/* Which bearer the Management API takes. It can be rotated while everything runs. Any thread. */
#ifndef SANDBOX_BEARER_H
#define SANDBOX_BEARER_H

struct bearer;

/* powerless: known, but without the right to do anything. Both are copied. */
struct bearer *bearer_new(const char *token, const char *powerless);
void bearer_free(struct bearer *b);
/* From now on this token, and no more the one before. */
void bearer_rotate(struct bearer *b, const char *token);
/* What the header Authorization (NULL: absent) is worth: 200, 401 or 403. */
int bearer_status(struct bearer *b, const char *authorization);

#endif
