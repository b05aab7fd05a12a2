/* SPDX-License-Identifier: Apache-2.0 */
/* Has InfluxDB begun to take a new token? */
#ifndef TOKEND_CTL_ACTIVATION_H
#define TOKEND_CTL_ACTIVATION_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/* May a token be sent there? https, or http to this machine, without user and password. */
int activation_check(const char *url, struct err *ret_err);

/* GET url with the token, again and again, until the answer says that it is active, and say on stderr how long that
 * took. Fails after timeout_ms, and at once when url cannot tell; the sentence has the last answer. */
int activation_wait(const char *url, const char *token, uint64_t timeout_ms, struct err *ret_err);

/* What an HTTP status says of the token that was sent along. Pure. */
enum activation { ACTIVATION_ACTIVE, ACTIVATION_NOT_YET, ACTIVATION_UNKNOWN };
enum activation activation_of_status(long status);

#endif
