/* SPDX-License-Identifier: Apache-2.0 */
/* Faults by script: rules, of which the first that matches a call acts. Any thread.
 *
 * Two tables say all that a rule can be: what may go wrong (FAULTS), and what a rule may say (MEMBERS). Rules are read,
 * checked and shown by them, `tokend-sandbox --list-faults` prints them, and the README's tables are that print. */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/sandbox/store.h"

struct err;
struct faults;

#define CREATE (1u << STORE_CREATE)
#define LIST (1u << STORE_LIST)
#define DELETE (1u << STORE_DELETE)
#define ALL ((1u << STORE_OPERATIONS) - 1)

/* Add a fault: a row here, and what it does in plan.c or spoil.c. The columns: which operations can have it, whether it
 * is done all the same unless the rule says so with "commit", and the sentence. */
#define FAULTS(ROW) \
	ROW(DELAY, "delay", ALL, true, "answers as it should, `delay_ms` later") \
	ROW(THROTTLE, "throttle", ALL, false, "answers `status` (429), with `retry_after` or `retry_date_s`") \
	ROW(ERROR, "error", ALL, false, "answers `status` (500); 3xx with a `location`") \
	ROW(CUT, "cut", ALL, false, "closes the connection: without a word, or later, by `at`") \
	ROW(RESET, "reset", ALL, false, "as `cut`, but with a RST instead of a FIN") \
	ROW(HOLD, "hold", ALL, false, \
	    "never answers, until `/control/release` cuts it or the client goes away") \
	ROW(LATE, "late", CREATE | DELETE, false, \
	    "answers `status` (504) now, or is cut when there is an `at`, and does it `late_ms` later all the same") \
	ROW(TWICE, "twice", CREATE, true, \
	    "creates two tokens and answers with the first; the second comes `late_ms` later") \
	ROW(LAG, "lag", CREATE, true, "the token cannot be listed before `lag_ms`; everything else works") \
	ROW(DRIP, "drip", ALL, true, "answers as it should, but the body comes a byte every `drip_ms` (1000)") \
	ROW(ENDLESS, "endless", ALL, true, \
	    "the body does not end: blanks follow, for ever, before its last brace") \
	ROW(BAD_JSON, "bad_json", ALL, true, "JSON that is cut, with the right Content-Length") \
	ROW(TRAILING_GARBAGE, "trailing_garbage", ALL, true, "something follows after the JSON") \
	ROW(DUPLICATE_KEYS, "duplicate_keys", ALL, true, \
	    "`id`, and `accessToken` where there is one, stand twice; the first is wrong") \
	ROW(DEEP_JSON, "deep_json", ALL, true, "a member more, of 100,000 arrays in one another") \
	ROW(WRONG_TYPE, "wrong_type", ALL, true, \
	    "by `shape`: the token (or id) is a number or null, the answer is an array, a gateway's HTML, or empty") \
	ROW(MISSING_TOKEN, "missing_token", CREATE, true, "without the access token") \
	ROW(SHORT_TOKEN, "short_token", CREATE, true, \
	    "the access token has 63 characters, one below the minimum") \
	ROW(WRONG_ACCOUNT, "wrong_account", ALL, true, "with another account's id") \
	ROW(WRONG_CLUSTER, "wrong_cluster", ALL, true, "with another cluster's id") \
	ROW(WRONG_ID, "wrong_id", ALL, true, "with another token's id") \
	ROW(WRONG_PERMISSIONS, "wrong_permissions", ALL, true, "with the right to write everything, too") \
	ROW(WRONG_EXPIRY, "wrong_expiry", ALL, true, \
	    "with another `expiresAt`, also where none was asked for") \
	ROW(TRUNCATE_DESCRIPTION, "truncate_description", ALL, true, "with descriptions that lost their end") \
	ROW(LEAVE_OUT, "leave_out", LIST, true, "without the tokens whose description holds `omit` (all)") \
	ROW(PAD, "pad", LIST, true, "with `pad` foreign tokens more, half of them before the true ones")

/* Add a member: a row here. The columns: where it is kept (in struct rule), its name, its kind (with bounds for a
 * number, a list of words for a word), whether it is always shown, what it is when absent, and the sentence. */
#define MEMBERS(ROW) \
	ROW(action.name, "name", TEXT, 0, 0, NULL, false, "`#` and a number", "what the truth calls the rule") \
	ROW(action.fault, "fault", WORD, 0, 0, fault_words, false, "required", "see below") \
	ROW(operation, "operation", WORD, 0, 0, operation_words, true, "`create`", \
	    "`create` `list` `get` `update` `delete` `any`") \
	ROW(description, "description", TEXT, 0, 0, NULL, false, "any", \
	    "a part of the token's description; a list has none") \
	ROW(token_id, "token_id", TEXT, 0, 0, NULL, false, "any", "the token; a list and a POST have none") \
	ROW(account, "account", TEXT, 0, 0, NULL, false, "any", "the account's id") \
	ROW(cluster, "cluster", TEXT, 0, 0, NULL, false, "any", "the cluster's id, or `clustered`") \
	ROW(after, "after", NUMBER, 0, 1000000000, NULL, true, "0", "let so many matching calls pass first") \
	ROW(times, "times", NUMBER, -1, 1000000000, NULL, true, "1", "act so often; −1: for ever") \
	ROW(probability, "probability", SHARE, 0, 1, NULL, false, "1", \
	    "0 to 1; each rule has dice of its own, by `--seed`") \
	ROW(action.commit, "commit", FLAG, 0, 1, NULL, false, "by fault", \
	    "`true`: it is done before things go wrong; `false`: it is not, even if the answer says so") \
	ROW(action.at, "at", WORD, 0, 0, at_words, false, "`start` for a cut", \
	    "cut there, with any fault: `start`, without a word; after the `status` line or `headers`; mid-`body`") \
	ROW(action.mid_body, "mid_body", FLAG, 0, 1, NULL, false, "`false`", "`true`: as `at` `body`") \
	ROW(action.delay_ms, "delay_ms", NUMBER, 0, 3600000, NULL, false, "0", \
	    "answer so much later, with any fault") \
	ROW(action.drip_ms, "drip_ms", NUMBER, 0, 3600000, NULL, false, "0", \
	    "so long for each byte of the body, with any fault") \
	ROW(action.lag_ms, "lag_ms", NUMBER, 0, 86400000, NULL, false, "`--lag-ms`", \
	    "the token that is created can be listed so much later, with any fault") \
	ROW(action.late_ms, "late_ms", NUMBER, 0, 86400000, NULL, false, "0", "of `late` and `twice`") \
	ROW(action.status, "status", NUMBER, 200, 599, NULL, false, "by fault", \
	    "of the answer, with any fault") \
	ROW(action.retry_after, "retry_after", TEXT, 0, 0, NULL, false, "none", \
	    "the header `Retry-After`, as it stands") \
	ROW(action.retry_date_s, "retry_date_s", NUMBER, 0, 86400, NULL, false, "none", \
	    "`Retry-After` as an HTTP-date, so many seconds from now") \
	ROW(action.location, "location", TEXT, 0, 0, NULL, false, "none", "the header `Location`") \
	ROW(action.answer, "answer", TEXT, 0, 0, NULL, false, "none", \
	    "the body, as it stands, with any fault") \
	ROW(action.shape, "shape", WORD, 0, 0, shape_words, false, "`number`", \
	    "of `wrong_type`: `number` `null` `array` `html` `empty`") \
	ROW(action.omit, "omit", TEXT, 0, 0, NULL, false, "all", "of `leave_out`") \
	ROW(action.pad, "pad", NUMBER, 0, 1000000, NULL, false, "1000", "of `pad`; about 280 bytes each")

enum fault {
#define ROW(fault, ...) FAULT_##fault,
	FAULTS(ROW)
#undef ROW
	FAULT_NONE
};

enum fault_shape { SHAPE_NUMBER, SHAPE_NULL, SHAPE_ARRAY, SHAPE_HTML, SHAPE_EMPTY };

/* What shall happen to a call. Words are int, with -1 for absent. */
struct fault_action {
	int fault;                      /* enum fault */
	int commit;                     /* 0 or 1 */
	int at, mid_body;               /* at: enum http_at, or -1 */
	int shape;                      /* enum fault_shape */
	int64_t status;                 /* 0: the fault's own */
	int64_t delay_ms, drip_ms, late_ms, retry_date_s, pad;
	int64_t lag_ms;                 /* -1: the store's own */
	char name[64], retry_after[64], location[256], omit[128], answer[4096];
};

struct faults *faults_new(uint64_t seed);
void faults_free(struct faults *f);

/* Append the rules of a JSON array. All or none; the sentence names what is unknown. */
int faults_add(struct faults *f, const char *json, size_t bytes, struct err *ret_err);
void faults_clear(struct faults *f);
/* What is left of them, as they were given, and how often each acted. */
cJSON *faults_list(struct faults *f);

struct faults_call {
	enum store_operation operation;
	const char *account, *cluster;          /* account NULL: Clustered */
	const char *token_id, *description;     /* NULL where the call has none */
};

/* What shall happen to this call? Its fault is FAULT_NONE when all goes well. */
void faults_pick(struct faults *f, const struct faults_call *c, struct fault_action *ret_action);
/* "cut"; NULL for FAULT_NONE. */
const char *faults_name(int fault);
/* Both tables in Markdown, for the README. */
void faults_print_tables(void);

#endif
