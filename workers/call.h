/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTPS attempt, and whether it may have left. A call is a slot that serves one job after another; its
 * worker's thread only. */
#ifndef TOKEND_WORKERS_CALL_H
#define TOKEND_WORKERS_CALL_H

struct bodies;
struct call;                            /* opaque */
struct job;
struct upstream;

/* NULL: no memory. */
struct call *call_new(struct bodies *bodies);
void call_free(struct call *c);

/* Take the job on. 0: what call_easy gives may be added to a multi handle, and call_finish must follow. -1: it
 * is not to be started; the job is settled (NOT_SENT) and the slot free again. */
int call_begin(struct call *c, struct upstream *u, struct job *job);

/* There is no slot to be had for the job: settle it, NOT_SENT. */
void call_refuse(const struct upstream *u, struct job *job, const char *why);

/* libcurl's easy handle (CURL *), whose CURLOPT_PRIVATE is the call. */
void *call_easy(struct call *c);
/* The job at work; NULL: the slot is free. */
struct job *call_job(const struct call *c);

/* The transfer ended with this CURLcode and is out of its multi handle: settle the job and free the slot. */
struct job *call_finish(struct call *c, int curl_code);
/* The same for a transfer that was cut short: why says by what. */
struct job *call_cut(struct call *c, const char *why);

#endif
