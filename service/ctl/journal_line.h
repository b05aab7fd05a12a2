/* SPDX-License-Identifier: Apache-2.0 */
/* One partition's journal at the brokers: judged as tokend judges it, and a record put behind its end. */
#ifndef TOKEND_CTL_JOURNAL_LINE_H
#define TOKEND_CTL_JOURNAL_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/err.h"
#include "service/base/span.h"
#include "service/journal.h"

struct config;

struct journal_view {
	bool trusted;                                   /* tokend would work on the partition, */
	struct err why_not;                             /* and this is why it would not */
	struct journal_past past;                       /* what a #loss would take the place of */
};

/* Read the committed offset and the whole journal partition, as at an assignment. Fails (ERR_RETRY) when the brokers
 * do not answer in time, (ERR_REFUSE) when they cannot be asked so. */
int journal_line_look(const struct config *c, int32_t partition, uint64_t timeout_ms, struct journal_view *ret_view,
    struct err *ret_err);

/* One record, acknowledged by all in-sync copies. Fails ERR_REFUSE: certainly not written; ERR_RETRY: perhaps. */
int journal_line_append(const struct config *c, int32_t partition, struct span key, struct span value,
    uint64_t timeout_ms, bool debug, int64_t *ret_offset, struct err *ret_err);

#endif
