/* SPDX-License-Identifier: Apache-2.0 */
/* A limit for lines that somebody outside can cause without end. */
#ifndef TOKEND_BASE_LOG_LIMIT_H
#define TOKEND_BASE_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/base/log.h"

/* So many at once, and one more each second. */
#define LOG_LIMIT_BURST 50
#define LOG_LIMIT_EVERY_MS 1000

/* One for each kind of line. All zeros is ready. */
struct log_limit {
	_Atomic uint64_t booked_until_ms;       /* boot clock: the lines so far would last until then at one a second */
	_Atomic int64_t left_out;               /* since the last that passed */
};

/* May this line be written? If so, *ret_left_out is how many were not since the last one, and LOG_LEFT_OUT puts that
 * into the line. If not, it is counted (tokend_log_lines_left_out_total). Any thread. */
bool log_limit_passes(struct log_limit *l, const char *logger, uint64_t now_boot_ms, int64_t *ret_left_out);

/* A field, when there is anything to tell. */
#define LOG_LEFT_OUT(n) { "left_out", (n) > 0 ? LOG_FIELD_NUMBER : LOG_FIELD_TEXT, { NULL, 0 }, (n) }

#endif
