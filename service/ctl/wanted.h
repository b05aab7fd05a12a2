/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line, or a JSON file, asks for, as a CreateTokenRequest. */
#ifndef TOKEND_CTL_WANTED_H
#define TOKEND_CTL_WANTED_H

#include <stdint.h>

#include "service/ctl/options.h"
#include "tokend/v1/token.pb-c.h"

struct arena;
struct err;
struct profile;

/* As they were typed, or stood in a file; NULL, 0 or empty where they were not. */
struct wanted {
	const char *source;                      /* the JSON file's name; NULL: the command line */
	const char *description, *expires_at;
	const char *cluster, *account, *cluster_uuid;
	struct options_list permissions;         /* tags: TOKEND__V1__ACTION__READ, _WRITE */
	uint64_t deadline_ms;
};

/* Check and translate what was typed, and nothing else; now becomes issued_at. In the arena. Fails
 * (ERR_REFUSE) with a sentence: what the service would refuse for its form is told here, before
 * anything is sent. */
int wanted_message(const struct wanted *w, int64_t now, struct arena *a, Tokend__V1__CreateTokenRequest **ret_message,
    struct err *ret_err);

/* Add what the profile knows, so that it can be signed. Fails when description or permissions are
 * missing. */
int wanted_complete(Tokend__V1__CreateTokenRequest *message, const char *request_id, const struct profile *p,
    struct arena *a, struct err *ret_err);

#endif
