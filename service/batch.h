/* SPDX-License-Identifier: Apache-2.0 */
/* Group commit: what was queued while the last transaction ran makes the next one, intents and outcomes
 * mixed. No timer: idle means at once. Loop thread only. */
#ifndef TOKEND_BATCH_H
#define TOKEND_BATCH_H

#include <stdbool.h>
#include <stddef.h>

struct assignment;
struct batch;
struct item;
struct transaction;

struct batch *batch_new(const char *transactional_id);
void batch_free(struct batch *b);

/* Queue an item; it stays its ticket's. */
void batch_add(struct batch *b, struct item *it);
/* Take one out again that is still queued (it->queued). */
void batch_withdraw(struct batch *b, struct item *it);

/* When none is under way and something is queued: the next transaction, watermarks staged; NULL otherwise. */
struct transaction *batch_next(struct batch *b);
bool batch_busy(const struct batch *b);
bool batch_empty(const struct batch *b);

/* A transaction came back: settles watermarks and journals by its result. After a certain abort the items of
 * partitions that go on are queued once more, in front; all others are the caller's again (x->items). Then
 * batch_done. */
void batch_settle(struct batch *b, struct transaction *x);
void batch_done(struct transaction *x);

#endif
