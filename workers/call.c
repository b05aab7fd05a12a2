/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTPS attempt, and whether it may have left.
 *
 * libcurl asks us before each request that it is about to write on an established connection
 * (CURLOPT_PREREQFUNCTION). That is the moment the promise hangs on. Before it nothing can have left, whatever
 * fails. The first question spends the attempt, if its lease still holds: a process that slept must not send
 * what its successor has given up on. A second question means that a reused connection died and libcurl would
 * quietly send the same POST again; the first may have been executed, so the answer is no.
 *
 * A create's answer goes into guarded memory, for it may hold a token; a list's is taken apart while it streams.
 * Every option is set for every call, on a handle that was reset after the one before, so that no call inherits
 * anything but connections.
 */
#include "workers/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/durations.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "workers/bodies.h"
#include "workers/call_message.h"
#include "workers/call_options.h"
#include "workers/call_private.h"
#include "workers/credential.h"
#include "workers/list_scan.h"
#include "workers/management_api.h"
#include "workers/upstream.h"

/* Far above any answer, a gateway's page too: whoever sends more never ends. */
#define ANSWER_BYTES_MOST ((size_t)2 * 1024 * 1024)

struct call *
call_new(struct bodies *bodies)
{
	static char content_type[] = "Content-Type: application/json", accept_json[] = "Accept: application/json";
	static char no_expect[] = "Expect:";
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->easy = curl_easy_init();
	if (c->easy == NULL) {
		free(c);
		return NULL;
	}
	c->bodies = bodies;
	c->headers[0].next = &c->headers[1];
	c->headers[1] = (struct curl_slist){ content_type, &c->headers[2] };
	c->headers[2] = (struct curl_slist){ accept_json, &c->headers[3] };
	c->headers[3] = (struct curl_slist){ no_expect, NULL };
	return c;
}

void
call_free(struct call *c)
{
	if (c == NULL)
		return;
	assert(c->job == NULL);
	curl_easy_cleanup(c->easy);
	free(c);
}

void *
call_easy(struct call *c)
{
	return c->easy;
}

struct job *
call_job(const struct call *c)
{
	return c->job;
}

/* ---- what libcurl asks us ---- */

static int
before_request(void *userp, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct call *c = userp;
	struct job *job = c->job;

	(void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
	if (job->left && job->verb == JOB_CREATE && !RULE_OFF("R7")) {
		c->why = "the connection closed before an answer came; what may have arrived is not sent again";
		return CURL_PREREQFUNC_ABORT;
	}
	if (job->verb == JOB_CREATE && clock_boot_ms() > job->lease_until_boot_ms && !RULE_OFF("R3")) {
		c->why = "the lease was over before there was a connection";
		return CURL_PREREQFUNC_ABORT;
	}
	job->left = true;
	if (job->verb == JOB_CREATE)
		CHAOS_POINT("post-leaving");
	return CURL_PREREQFUNC_OK;
}

/* A list is taken apart as it comes, whatever its length; all else is short and kept. */
static bool
take_in(struct call *c, const void *data, size_t bytes)
{
	if (c->scan != NULL && call_outcome_status(c) == 200) {
		if (list_scan_feed(c->scan, data, bytes) == 0)
			return true;
		c->why = list_scan_why(c->scan);
		return false;
	}
	c->arrived_bytes += bytes;
	if (c->arrived_bytes > ANSWER_BYTES_MOST) {
		c->why = "the answer did not end where any answer does";
		return false;
	}
	if (c->body == NULL)
		c->body = bodies_take(c->bodies, c->job->verb == JOB_CREATE ? c->job->n_permissions : 0);
	if (c->body == NULL) {
		c->why = "there was no memory for the answer";
		return false;
	}
	bodies_append(c->body, data, bytes);
	return true;
}

static size_t
answer_arrived(char *data, size_t size, size_t count, void *userp)
{
	return take_in(userp, data, size * count) ? size * count : CURL_WRITEFUNC_ERROR;
}

/* ---- begin ---- */

static bool
set_callbacks(struct call *c)
{
	return curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->curl_says) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_PREREQFUNCTION, before_request) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_PREREQDATA, c) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, answer_arrived) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c) == CURLE_OK;
}

static bool
set_headers(struct call *c)
{
	c->headers[0].data = credential_header(c->credential);
	return curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK;
}

static bool
set_url(struct call *c, const char *url)
{
	return curl_easy_setopt(c->easy, CURLOPT_URL, url) == CURLE_OK;         /* libcurl keeps a copy */
}

static bool
set_create(struct call *c)
{
	c->post = management_api_create_body(c->job);
	return c->post != NULL && set_url(c, upstream_tokens_url(c->upstream)) &&
	    curl_easy_setopt(c->easy, CURLOPT_POST, 1L) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(c->post)) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->post) == CURLE_OK;
}

static bool
set_delete(struct call *c, const char *url)
{
	return set_url(c, url) && curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, "DELETE") == CURLE_OK;
}

static bool
set_list(struct call *c)
{
	c->scan = list_scan_new(upstream_cluster(c->upstream), c->job->looked_for, c->job->created_from);
	return c->scan != NULL && set_url(c, upstream_tokens_url(c->upstream)) &&
	    curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
}

static int
set_request(struct call *c, struct err *ret_err)
{
	char *url;
	bool ok;

	switch (c->job->verb) {
	case JOB_CREATE:
		ok = set_create(c);
		break;
	case JOB_DELETE:
		url = management_api_token_url(upstream_tokens_url(c->upstream), c->job->token_id, ret_err);
		if (url == NULL)
			return -1;
		ok = set_delete(c, url);
		free(url);
		break;
	case JOB_LIST:
		ok = set_list(c);
		break;
	default:
		assert(!"a verb that nobody knows");
		abort();
	}
	return ok ? 0 : err_set(ret_err, ERR_RETRY, "there was no memory for the request");
}

static int
prepare(struct call *c, struct err *ret_err)
{
	uint64_t timeout_ms = call_options_time_left_ms(c->job, clock_boot_ms());

	if (timeout_ms < duration_ms(DURATION_CALL_LEAST))
		return err_set(ret_err, ERR_RETRY, "too little time was left for a call");
	if (!call_options_set(c->easy, upstream_cluster(c->upstream), timeout_ms) || !set_callbacks(c) ||
	    !set_headers(c))
		return err_set(ret_err, ERR_RETRY, "libcurl does not take its options");
	return set_request(c, ret_err);
}

/* Nothing came of it so far, whatever a caller left in it. */
static void
empty(struct job *job)
{
	job->left = job->credential_renewed = false;
	job->http_status = 0;
	job->retry_after_ms = job->took_us = 0;
	job->access_token = span_of(NULL, 0);
	job->leased = NULL;
	job->listed = NULL;
	job->n_listed = job->n_tokens = 0;
	job->skew_ms = 0;
}

void
call_refuse(const struct upstream *u, struct job *job, const char *why)
{
	empty(job);
	job->verdict = VERDICT_NOT_SENT;
	call_message_failure(job, why);
	upstream_count(u, job->verb, job->verdict, job->took_us);
}

int
call_begin(struct call *c, struct upstream *u, struct job *job)
{
	struct err e;

	assert(c->job == NULL);
	c->job = job;
	c->upstream = u;
	c->credential = upstream_credential(u, clock_boot_ms());
	c->began_us = clock_boot_us();
	c->arrived_bytes = 0;
	empty(job);
	if (prepare(c, &e) == 0)
		return 0;
	(void)call_cut(c, e.text);
	return -1;
}

/* ---- finish ---- */

/* The token's memory goes with the job; everything else is wiped and forgotten. */
static struct job *
let_go(struct call *c)
{
	struct job *job = c->job;

	if (job->verdict == VERDICT_CREDENTIAL)
		job->credential_renewed = upstream_refused(c->upstream, c->credential, clock_boot_ms());
	if (job->verdict == VERDICT_CREATED && job->verb == JOB_CREATE)
		job->leased = c->body;
	else
		bodies_give_back(c->bodies, c->body);
	c->body = NULL;
	list_scan_free(c->scan);
	c->scan = NULL;
	secret_free(c->post);
	c->post = NULL;
	c->why = NULL;
	c->curl_says[0] = '\0';
	curl_easy_reset(c->easy);
	credential_release(c->credential);
	c->credential = NULL;
	c->job = NULL;
	return job;
}

struct job *
call_finish(struct call *c, int curl_code)
{
	c->job->took_us = clock_boot_us() - c->began_us;
	call_outcome_read(c, curl_code);
	upstream_count(c->upstream, c->job->verb, c->job->verdict, c->job->took_us);
	return let_go(c);
}

struct job *
call_cut(struct call *c, const char *why)
{
	c->why = why;
	return call_finish(c, CURLE_ABORTED_BY_CALLBACK);
}
