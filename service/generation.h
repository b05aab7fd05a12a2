/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer group's metadata as it was when an assignment began: what fences our commits (R1).
 *
 * Fetched anew at commit time it would name the generation of today, and the broker would take a commit for a
 * partition that was lost and is somebody else's. So it is captured in the assignment callback and travels
 * with all that is written. Loop thread; the publisher reads the metadata of a transaction lent to it. */
#ifndef TOKEND_GENERATION_H
#define TOKEND_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

struct generation;
struct rd_kafka_s;
struct rd_kafka_consumer_group_metadata_s;

/* Capture it now; one owner. */
struct generation *generation_capture(struct rd_kafka_s *consumer);
struct generation *generation_hold(struct generation *g);
void generation_release(struct generation *g);

/* False: no generation or no member, so the assignment is lost already. */
bool generation_valid(const struct generation *g);
int32_t generation_number(const struct generation *g);
const struct rd_kafka_consumer_group_metadata_s *generation_metadata(const struct generation *g);

#endif
