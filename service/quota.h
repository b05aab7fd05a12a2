/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests of a principal a partition has admitted in this minute and on this day (UTC). One thread's;
 * time is an argument.
 *
 * A limit holds for each partition by itself, and is forgotten when the partition moves to another instance: what a
 * principal may get in all is the limit times the partitions, and at worst that again for each move. Memory is
 * bounded by the policy: one counter for each of its principals that has limits, times the partitions. */
#ifndef TOKEND_QUOTA_H
#define TOKEND_QUOTA_H

#include <stdint.h>

struct quota;                           /* opaque */

enum quota_verdict { QUOTA_TAKEN, QUOTA_MINUTE_FULL, QUOTA_DAY_FULL };

struct quota *quota_new(void);
void quota_free(struct quota *q);

/* Count one, unless a limit (0: none) is reached; then nothing is counted. now: Unix seconds. principal is
 * copied. */
enum quota_verdict quota_take(struct quota *q, const char *principal, int32_t partition, uint32_t per_minute,
    uint32_t per_day, int64_t now);

#endif
