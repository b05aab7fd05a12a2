/* SPDX-License-Identifier: Apache-2.0 */
/* A dead owner's pending transaction, ended at once instead of by the broker's clock. The restorer's thread, but for
 * the two pure functions at the end. */
#ifndef TOKEND_TAKEOVER_H
#define TOKEND_TAKEOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/ticket.h"

struct config;
struct err;
struct takeover;

struct takeover *takeover_new(const struct config *c, struct err *ret_err);
void takeover_free(struct takeover *o);

/* The committed offset of a partition that was given to us is held back by a pending transaction. End it, if who it
 * belongs to has left the group; else leave it to its owner, or to the broker's clock. Nothing is ended once
 * *unwanted is set. still_pending is asked at the last moment. Takes seconds at most; says in the log what it did. */
void takeover_try(struct takeover *o, int32_t partition, const atomic_bool *unwanted,
    bool (*still_pending)(void *arg, int32_t partition), void *arg);

/* An assignment has come: does another member of the group have this instance's name? Says so in the log. Both commit
 * as one producer, so whichever writes ends the other; till then they share the partitions as if all were well. */
void takeover_look_for_namesakes(struct takeover *o);

/* The transactional.id that an offset's metadata was committed under; NULL: none of service_id's. In the metadata. */
const char *takeover_owner(const char *metadata, const char *service_id);
/* The same metadata in transactional_id's name. False: it stands there already, or the metadata is not ours. */
bool takeover_claim(const char *metadata, const char *service_id, const char *transactional_id,
    char ret_text[OFFSET_METADATA_ROOM]);

#endif
