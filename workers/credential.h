/* SPDX-License-Identifier: Apache-2.0 */
/* A management token, ready to be sent, in guarded memory. It is shared: each user holds it, and it is wiped with the
 * last of them. Any thread; never logs. */
#ifndef TOKEND_WORKERS_CREDENTIAL_H
#define TOKEND_WORKERS_CREDENTIAL_H

#include <stdbool.h>

#include "service/base/span.h"

struct credential;                     /* opaque */
struct err;

/* Read one from a file: the caller is its first user. NULL, naming the file and never what is in it, when there is
 * none that a header could carry. */
struct credential *credential_read(const char *path, struct err *ret_err);

/* One user more; returns c. */
struct credential *credential_hold(struct credential *c);
/* One user less. NULL does nothing. */
void credential_release(struct credential *c);

/* The whole Authorization line, for libcurl, which does not change it; and the token inside of it. Both as long as c is
 * held. */
char *credential_header(const struct credential *c);
struct span credential_token(const struct credential *c);

#endif
