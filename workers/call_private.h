/* SPDX-License-Identifier: Apache-2.0 */
/* A call's insides, for the two files that make it: call.c sends it, call_outcome.c reads what came of it. */
#ifndef TOKEND_WORKERS_CALL_PRIVATE_H
#define TOKEND_WORKERS_CALL_PRIVATE_H

#include <curl/curl.h>
#include <stdint.h>

struct bodies;
struct body;
struct credential;
struct job;
struct list_scan;
struct upstream;

struct call {
	CURL *easy;
	struct bodies *bodies;
	struct curl_slist headers[4];           /* the first one's data is the credential's */

	/* of the job at work */
	struct job *job;
	struct upstream *upstream;
	struct credential *credential;          /* held until the job is settled */
	struct body *body;                      /* leased at the answer's first byte; NULL: none yet */
	struct list_scan *scan;                 /* LIST: reads a 200 while it streams */
	char *post;
	uint64_t began_us;
	size_t arrived_bytes;                   /* of the answer, dropped ones too */
	const char *why;                        /* we ended it ourselves: the reason; NULL: we did not */
	char curl_says[CURL_ERROR_SIZE];
};

/* The answer's status; 0: there is none. */
int call_outcome_status(const struct call *c);

/* Fill in the job's out part, all but what was begun with it: the transfer ended with this CURLcode. */
void call_outcome_read(struct call *c, int curl_code);

#endif
