/* SPDX-License-Identifier: Apache-2.0 */
/* The question what became of an ID: a GetOutcome, signed. */
#ifndef TOKEND_CTL_OUTCOME_H
#define TOKEND_CTL_OUTCOME_H

#include <stdint.h>

#include "service/ctl/request.h"

struct profile;

/* How long the service may wait for what is in flight, when we wait that long for its answer. Whole seconds, >= 1. */
int64_t outcome_life_s(uint64_t timeout_ms);

/* Made and signed for that profile, in the arena. create: the CreateToken under that ID as it is stored, NULL: its
 * bytes are lost. now in Unix seconds. */
void outcome_sign(const char *request_id, const struct signed_request *create, const struct profile *p,
    const unsigned char secret[DSSE_SECRET_BYTES], int64_t now, int64_t life_s, struct arena *a,
    struct signed_request *ret_request);

#endif
