/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limit for lines that somebody outside can cause without end: whoever can write to the request topic, or a broker
 * that comes and goes.
 *
 * Disks fill, and what matters drowns. So the first of a kind are written as they come, then one a second, which says
 * how many were left out before it. Nothing is left out without being counted.
 *
 * Each line books a second of the future; one that would have to book too far ahead is left out. That is all there is
 * to remember, in one number, so that no thread waits for another to log.
 *
 * It is no filter: what a line says plays no part. Lines about requests that verified never come here.
 */
#include "service/base/log_limit.h"

#include "service/base/metrics.h"

bool
log_limit_passes(struct log_limit *l, const char *logger, uint64_t now_boot_ms, int64_t *ret_left_out)
{
	uint64_t booked = atomic_load(&l->booked_until_ms), from;

	do {
		from = booked > now_boot_ms ? booked : now_boot_ms;
		if (from - now_boot_ms > (uint64_t)(LOG_LIMIT_BURST - 1) * LOG_LIMIT_EVERY_MS) {
			atomic_fetch_add(&l->left_out, 1);
			metrics_add(metrics_at(METRIC_LOG_LEFT_OUT, logger, NULL), 1);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&l->booked_until_ms, &booked, from + LOG_LIMIT_EVERY_MS));
	*ret_left_out = atomic_exchange(&l->left_out, 0);
	return true;
}
