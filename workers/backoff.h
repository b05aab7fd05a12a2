/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next try. Pure: time and randomness are arguments. */
#ifndef TOKEND_WORKERS_BACKOFF_H
#define TOKEND_WORKERS_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

struct backoff {
	uint64_t base_ms, cap_ms;     /* the first window, the widest one */
};

/* Full jitter: uniform in [0, min(cap, base * 2^attempt)), on top of what the server asked for. attempt counts
 * from 0. */
uint64_t backoff_ms(const struct backoff *b, unsigned attempt, uint64_t retry_after_ms, uint32_t dice);

/* Retry-After, seconds or an HTTP-date (all three forms of RFC 9110), at wall time now (Unix seconds); 0 when
 * malformed or in the past; cut to most_ms. */
uint64_t backoff_retry_after_ms(struct span value, int64_t now, uint64_t most_ms);

/* An HTTP-date -> Unix seconds; now, since one of the forms has a year of two digits. False: it is none. */
bool backoff_http_date(struct span value, int64_t now, int64_t *ret_seconds);

#endif
