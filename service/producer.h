/* SPDX-License-Identifier: Apache-2.0 */
/* The one transactional producer of an instance: made, initialised, replaced. The publisher's thread. */
#ifndef TOKEND_PRODUCER_H
#define TOKEND_PRODUCER_H

#include <stdatomic.h>
#include <stdbool.h>

struct config;
struct err;
struct producer;
struct rd_kafka_s;

/* Asks no broker yet. A delivered record's offset goes into its outgoing, which is its opaque. */
struct producer *producer_new(const struct config *c, struct err *ret_err);
void producer_free(struct producer *p);

/* Fence every older producer of our transactional.id, and wait for its open transaction to end. Waits for a broker
 * that is away until *stop is set (ERR_RETRY); fails ERR_FATAL. */
int producer_init(struct producer *p, const atomic_bool *stop, struct err *ret_err);

struct rd_kafka_s *producer_handle(struct producer *p);
/* Has a broker's link dropped since it was asked last? Tells errors that came in meanwhile, too. */
bool producer_link_dropped(struct producer *p);

#endif
