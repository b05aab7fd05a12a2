/* SPDX-License-Identifier: Apache-2.0 */
/* Faults by script: rules, of which the first that matches a call acts. Any thread. */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/sandbox/store.h"

struct err;
struct faults;

/* Add a fault: a row here, and what it does in api.c. The README's list is this one. */
#define FAULTS(ROW) \
	ROW(DELAY, "delay", "answers as it should, delay_ms later") \
	ROW(THROTTLE, "throttle", "answers status (429), with Retry-After: retry_after; with commit, it is done all the same") \
	ROW(ERROR, "error", "answers status (500); with commit, it is done before") \
	ROW(CUT, "cut", "closes the connection without a word, or with mid_body in the middle of the answer; with commit, it is done before") \
	ROW(HOLD, "hold", "never answers, until the control port's release cuts it or the client goes away; with commit, it is done before") \
	ROW(TRUNCATE_DESCRIPTION, "truncate_description", "does as asked, and answers with descriptions that lost their end") \
	ROW(WRONG_ACCOUNT, "wrong_account", "does as asked, and answers with another account's id") \
	ROW(BAD_JSON, "bad_json", "does as asked, and answers with JSON that is cut") \
	ROW(MISSING_TOKEN, "missing_token", "does as asked, and answers without the access token")

enum fault {
#define ROW(fault, name, what) FAULT_##fault,
	FAULTS(ROW)
#undef ROW
	FAULT_NONE
};

struct fault_action {
	enum fault fault;
	bool commit, mid_body;
	int status;                     /* 0: the fault's own */
	uint64_t delay_ms;
	char retry_after[64];
};

struct faults *faults_new(uint64_t seed);
void faults_free(struct faults *f);

/* Append the rules of a JSON array. All or none; the sentence names what is unknown. */
int faults_add(struct faults *f, const char *json, size_t bytes, struct err *ret_err);
void faults_clear(struct faults *f);
cJSON *faults_list(struct faults *f);

/* What shall happen to this call? description NULL where the call has none. */
struct fault_action faults_pick(struct faults *f, enum store_operation o, const char *description);
/* "cut"; NULL for FAULT_NONE. */
const char *faults_name(enum fault f);

#endif
