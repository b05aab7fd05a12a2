/* SPDX-License-Identifier: Apache-2.0 */
/* What a request or a record is told: one table of causes, from which code, reason, about and retry come.
 *
 * Add a cause: add a row here; WHAT it means for a requester stands in the README's table, made from this
 * one. The numbers of codes are google.rpc.Code's. Pure; any thread. */
#ifndef TOKEND_STATUS_H
#define TOKEND_STATUS_H

#include <stdint.h>

#include "service/base/span.h"

enum status_code {
	CODE_OK = 0, CODE_INVALID_ARGUMENT = 3, CODE_DEADLINE_EXCEEDED = 4, CODE_NOT_FOUND = 5, CODE_ALREADY_EXISTS = 6,
	CODE_PERMISSION_DENIED = 7, CODE_RESOURCE_EXHAUSTED = 8, CODE_FAILED_PRECONDITION = 9, CODE_ABORTED = 10,
	CODE_UNIMPLEMENTED = 12, CODE_INTERNAL = 13, CODE_UNAVAILABLE = 14, CODE_UNAUTHENTICATED = 16
};
/* The same numbers as the contract's enums About and Retry. */
enum status_about { ABOUT_OUTCOME = 1, ABOUT_RECORD = 2 };
enum status_retry { RETRY_NONE = 0, RETRY_NEVER = 1, RETRY_SAME_RECORD = 2, RETRY_NEW_ID = 3, RETRY_LATER = 4 };

/* ROW(cause, code, reason, about, retry, when) */
#define STATUSES(ROW) \
	ROW(CREATED,              OK,                  "",                     OUTCOME, NONE,        "the token was created") \
	ROW(REVOKED,              OK,                  "",                     OUTCOME, NONE,        "RevokeToken: the token is deleted") \
	ROW(UNDECODABLE,          INVALID_ARGUMENT,    "INVALID_REQUEST",      RECORD,  NEW_ID,      "the value cannot be decoded, is too large, has an unknown or a duplicate field, or names another service") \
	ROW(INVALID_FIELD,        INVALID_ARGUMENT,    "INVALID_REQUEST",      OUTCOME, NEW_ID,      "a field's value is invalid, or the cluster is unknown") \
	ROW(INVALID_RECORD,       INVALID_ARGUMENT,    "INVALID_RECORD",       RECORD,  SAME_RECORD, "a header of ours stands twice or is malformed, or the record's key is not the request_id") \
	ROW(WRONG_PARTITION,      INVALID_ARGUMENT,    "WRONG_PARTITION",      RECORD,  SAME_RECORD, "the record lies in a partition that is not its ID's home") \
	ROW(WRONG_REPLY_TOPIC,    INVALID_ARGUMENT,    "WRONG_REPLY_TOPIC",    RECORD,  SAME_RECORD, "a reply topic or partition is asked for that is not ours") \
	ROW(CLOCK_SKEW,           INVALID_ARGUMENT,    "CLOCK_SKEW",           RECORD,  LATER,       "issued in the future") \
	ROW(BAD_SIGNATURE,        UNAUTHENTICATED,     "BAD_SIGNATURE",        RECORD,  SAME_RECORD, "no signature, or one that does not verify") \
	ROW(UNKNOWN_KEY,          UNAUTHENTICATED,     "UNKNOWN_KEY",          RECORD,  SAME_RECORD, "no key id, or one that the policy does not know") \
	ROW(KEY_EXPIRED,          UNAUTHENTICATED,     "KEY_EXPIRED",          RECORD,  SAME_RECORD, "the key is not valid now") \
	ROW(WRONG_PRINCIPAL,      PERMISSION_DENIED,   "WRONG_PRINCIPAL",      RECORD,  NEW_ID,      "the principal is not the key's owner") \
	ROW(UNKNOWN_METHOD,       UNIMPLEMENTED,       "UNKNOWN_METHOD",       RECORD,  NEVER,       "the method is unknown") \
	ROW(POLICY_DENIED,        PERMISSION_DENIED,   "POLICY_DENIED",        OUTCOME, NEVER,       "the policy says no") \
	ROW(QUOTA,                RESOURCE_EXHAUSTED,  "QUOTA",                OUTCOME, LATER,       "the principal's limit is reached") \
	ROW(REQUEST_ID_REUSED,    ALREADY_EXISTS,      "REQUEST_ID_REUSED",    RECORD,  NEW_ID,      "the ID was used before, with other bytes") \
	ROW(NO_OUTCOME,           NOT_FOUND,           "NO_OUTCOME",           RECORD,  NEVER,       "GetOutcome, RevokeToken: nothing is known of that ID, or (RevokeToken) it brought no token") \
	ROW(STILL_IN_FLIGHT,      DEADLINE_EXCEEDED,   "IN_FLIGHT",            RECORD,  LATER,       "GetOutcome, RevokeToken: still in flight, or not deleted, at this request's deadline") \
	ROW(TARGET_GONE,          FAILED_PRECONDITION, "TARGET_GONE",          RECORD,  NEVER,       "RevokeToken: the token's cluster is not configured any more, or its name means another one") \
	ROW(PAST_WINDOW,          DEADLINE_EXCEEDED,   "PAST_WINDOW",          RECORD,  NEVER,       "too old to know; an earlier reply may exist") \
	ROW(UPSTREAM_REJECTED,    INVALID_ARGUMENT,    "UPSTREAM_REJECTED",    OUTCOME, NEW_ID,      "InfluxDB refused the request itself") \
	ROW(TARGET_NOT_FOUND,     FAILED_PRECONDITION, "TARGET_NOT_FOUND",     OUTCOME, NEVER,       "InfluxDB does not know the database, account or cluster") \
	ROW(TARGET_RETIRED,       FAILED_PRECONDITION, "TARGET_RETIRED",       OUTCOME, NEVER,       "the cluster takes no new tokens") \
	ROW(UPSTREAM_CONFLICT,    ABORTED,             "UPSTREAM_CONFLICT",    OUTCOME, NEW_ID,      "InfluxDB answered 409, again and again") \
	ROW(UPSTREAM_BACKLOG,     UNAVAILABLE,         "UPSTREAM_BACKLOG",     OUTCOME, LATER,       "the cluster does not answer and too many requests wait for it") \
	ROW(UPSTREAM_AUTH,        UNAVAILABLE,         "UPSTREAM_AUTH",        OUTCOME, LATER,       "the deadline passed while InfluxDB refused the service's own credential") \
	ROW(UPSTREAM_THROTTLED,   RESOURCE_EXHAUSTED,  "UPSTREAM_THROTTLED",   OUTCOME, LATER,       "the deadline passed while InfluxDB asked to slow down") \
	ROW(UPSTREAM_UNREACHABLE, DEADLINE_EXCEEDED,   "UPSTREAM_UNREACHABLE", OUTCOME, LATER,       "the deadline passed while InfluxDB could not be reached or failed") \
	ROW(NOT_STARTED,          DEADLINE_EXCEEDED,   "NOT_STARTED",          OUTCOME, LATER,       "the deadline passed before anything was begun") \
	ROW(UPSTREAM_AMBIGUOUS,   UNAVAILABLE,         "UPSTREAM_AMBIGUOUS",   OUTCOME, LATER,       "too many attempts whose fate is unknown") \
	ROW(INTERNAL,             INTERNAL,            "INTERNAL",             OUTCOME, NEVER,       "sealing failed, or an invariant is broken")

enum status_cause {
#define ROW(cause, code, reason, about, retry, when) STATUS_##cause,
	STATUSES(ROW)
#undef ROW
	STATUS_COUNT
};

#define STATUS_DETAILS_MOST 4
#define STATUS_MESSAGE_BYTES 768

struct status {
	enum status_cause cause;
	char message[STATUS_MESSAGE_BYTES];      /* UTF-8; values in it were made fit by text_shown */
	unsigned n_details;
	struct { const char *key; char value[80]; } details[STATUS_DETAILS_MOST];    /* key is a constant */
};

struct status_row {
	const char *cause;                       /* "POLICY_DENIED"-like name of the row */
	enum status_code code;
	const char *code_name;                   /* "PERMISSION_DENIED" */
	const char *reason, *when;
	enum status_about about;
	enum status_retry retry;
};

const struct status_row *status_row(enum status_cause cause);
const char *status_code_name(int32_t code);      /* of any google.rpc.Code; "UNKNOWN" otherwise */

/* Set cause and message, with no details. Returns -1, so that a room can end with: return
 * status_set(ret_status, ...). */
int status_set(struct status *ret_status, enum status_cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__       /* it looks at one file at a time, and would not know that */
#define status_set(...) ((status_set)(__VA_ARGS__), -1)
#endif
/* Add one; a value that does not fit is cut, a fifth detail is a bug. */
void status_detail(struct status *s, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
