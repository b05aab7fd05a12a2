/* SPDX-License-Identifier: Apache-2.0 */
/* From a signed request, or the question what became of it, to a token in its owner's hands, by Kafka. */
#ifndef TOKEND_CTL_FETCH_H
#define TOKEND_CTL_FETCH_H

#include "service/ctl/command.h"
#include "service/ctl/request.h"

struct deliver_flags;
struct keys;
struct profile;

enum fetch_mode {
	FETCH_ASK,                      /* send the record, wait for the reply */
	FETCH_SEND,                     /* send it, and no more; the ID goes to stdout */
	FETCH_OUTCOME,                  /* ask what became of the request, wait for the answer */
	FETCH_READ                      /* wait for the reply of what was sent before, wherever it already stands */
};

/* All of it, what is said to the user too. request: what is sent, a CreateToken that is on disk already,
 * or a GetOutcome; box is the profile's. */
enum command_exit fetch_token(const struct invocation *v, enum fetch_mode mode, const struct profile *p,
    const struct keys *box, const struct signed_request *request, const struct deliver_flags *d);

#endif
