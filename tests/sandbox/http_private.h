/* SPDX-License-Identifier: Apache-2.0 */
/* What http.c, http_wait.c and http_raw.c have in common. */
#ifndef SANDBOX_HTTP_PRIVATE_H
#define SANDBOX_HTTP_PRIVATE_H

#include "tests/sandbox/http.h"

/* A request and what the server knows about it. */
struct exchange {
	struct http_request request;    /* first */
	unsigned char *body;
	size_t bytes, room;
	bool planned, too_large, waited, told;
	struct raw *raw;                /* NULL: libmicrohttpd writes the answer */

	/* http_wait's, while suspended */
	uint64_t due_boot_ms;           /* held, or raw: when to look for its client again */
	struct exchange *next;
};

/* http_wait: suspend the connection until its plan is due, or released, or its raw answer is over. Its handler is then
 * called again. */
void http_wait_suspend(struct exchange *x);
/* Servers come and go: the first starts the thread, the last ends it; going resumes all that waits. */
void http_wait_begin(void);
void http_wait_resume_all(void);
void http_wait_end(void);

/* http_raw: does this plan need bytes written by hand? */
bool http_raw_wanted(const struct http_request *r);
void http_raw_begin(struct exchange *x);
/* Write what is due, never waiting. False: there is no more to come, and the connection may be closed. */
bool http_raw_step(struct exchange *x, uint64_t now_boot_ms);
void http_raw_free(struct exchange *x);

/* What of an answer both ways of writing it need. */
const char *http_body(const struct http_request *r);
const char *http_type(const struct http_request *r);
int http_socket(const struct exchange *x);
const char *http_phrase(int status);

#endif
