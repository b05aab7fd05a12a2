/* SPDX-License-Identifier: Apache-2.0 */
/* Every duration that the protocol knows, in one table. To change one, change it here, and read
 * "Durations" in service/PROTOCOL.md first: it says how they hang together.
 *
 * A row is (name, milliseconds, kind, meaning). Rows of kind API may be scaled down by test builds
 * alone: compiled with TOKEND_SCALED_TIME, the program multiplies them by the environment's
 * TOKEND_TIME_SCALE (0 < x <= 1), read at first use. Rows of kind FIXED are bound to what the broker
 * does, or to people's clocks, and are never scaled. */
#ifndef TOKEND_BASE_DURATIONS_H
#define TOKEND_BASE_DURATIONS_H

#include <stdint.h>

#define DURATIONS(ROW) \
	ROW(SKEW,                  120000, FIXED, "what two clocks may differ by") \
	ROW(WINDOW,             604800000, FIXED, "idempotency window W: how long an outcome is remembered") \
	ROW(DEADLINE_DEFAULT,      900000, FIXED, "a request's life when it names no deadline") \
	ROW(DEADLINE_MOST,        3600000, FIXED, "the longest deadline a request may ask for, unless configured") \
	ROW(TRANSACTION,            10000, FIXED, "transaction.timeout.ms; also what an intent allows for its commit") \
	ROW(SESSION,                 6000, FIXED, "session.timeout.ms of the consumer group; the least that brokers take by default") \
	ROW(HEARTBEAT,                500, FIXED, "heartbeat.interval.ms") \
	ROW(MAX_POLL,               60000, FIXED, "max.poll.interval.ms; above the drain") \
	ROW(COMMIT_SUSPECT,          5000, FIXED, "a commit that took longer makes its producer doubtful") \
	ROW(LEASE,                   5000, FIXED, "from the start of an intent's commit: the latest a POST may start") \
	ROW(INTENT_LIFE,            30000, FIXED, "not_after: transaction + lease + call") \
	ROW(CALL,                   15000, FIXED, "the longest a call of the Management API may take") \
	ROW(LIST,                   60000, FIXED, "the longest a list of a cluster's tokens may take") \
	ROW(CALL_LEAST,              1000, FIXED, "with less than this left, a call is not started") \
	ROW(CONNECT,                 5000, FIXED, "the longest a connection may take to open") \
	ROW(DRAIN,                  20000, FIXED, "drain_timeout: what calls in flight are waited for") \
	ROW(BACKOFF_BASE,             500, API,   "the first window of the full jitter") \
	ROW(BACKOFF_CAP,            60000, API,   "the widest window") \
	ROW(BREAKER_FIRST,           5000, API,   "how long the breaker stays open at first") \
	ROW(BREAKER_MOST,           60000, API,   "and at most") \
	ROW(BACKLOG,                30000, API,   "a cluster that does not answer for so long may hold half of a partition's tickets") \
	ROW(RETRY_AFTER_MOST,      600000, API,   "a longer Retry-After is cut to this") \
	ROW(SWEEP_SLOT,              5000, API,   "sweeps of a cluster lie at least so far apart; 1, 6, 24 and 60 of them after an attempt of unknown fate") \
	ROW(SWEEP_FOR,           86400000, API,   "for how long after an attempt its cluster is swept every `sweep_interval`") \
	ROW(RESTORE_RETRY,           1000, FIXED, "a restore that failed is tried again after this") \
	ROW(CLOSED_RETRY,            5000, FIXED, "a closed partition's journal is looked at again after this") \
	ROW(LOOP_STALL,             10000, FIXED, "a loop that has not turned for this long is not alive")

enum duration {
#define ROW(name, ms, kind, meaning) DURATION_##name,
	DURATIONS(ROW)
#undef ROW
	DURATION_COUNT
};

/* Milliseconds. Any thread. */
uint64_t duration_ms(enum duration which);

#endif
