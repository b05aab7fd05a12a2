/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP port: a request comes in whole, its handler makes a plan for the answer, and the plan is carried out: at once, later, or badly.
 * Handlers run on the server's threads and never wait; a thousand answers may be outstanding. */
#ifndef SANDBOX_HTTP_H
#define SANDBOX_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

struct err;
struct http_server;
struct MHD_Connection;

enum http_how {
	HTTP_SEND,              /* as it should be */
	HTTP_CUT,               /* close the connection without a word */
	HTTP_CUT_MID_BODY       /* headers and half of the body, then close */
};

struct http_request {
	struct MHD_Connection *connection;
	const char *method, *path;      /* path without its query */
	struct span body;

	/* the plan: made by the handler */
	int status;
	char *answer;                   /* JSON, malloced; NULL: no body */
	char retry_after[64];           /* "": no such header */
	enum http_how how;
	uint64_t delay_ms;
	bool hold;                      /* until http_release, or until the client goes away */
	void (*answered)(void *about, bool whole);      /* the answer leaves now; and once more, false, when it did not get there. May be NULL */
	void *about;                    /* malloced; freed with the request */
};

typedef void (*http_handler)(struct http_request *r, void *context);

/* Serve on address:port (0: any; *ret_port says which). */
struct http_server *http_serve(const char *address, uint16_t port, http_handler handler, void *context, uint16_t *ret_port,
    struct err *ret_err);
/* Carry out every plan that is held (not those that are only delayed), on all servers. Returns how many there were. */
unsigned http_release(void);
/* How many plans wait: held or delayed. */
unsigned http_waiting(void);
void http_stop(struct http_server *s);

/* Plans. The message is put into {"code", "message"}. */
void http_json(struct http_request *r, int status, char *answer);
void http_error(struct http_request *r, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A header's or a query parameter's value; NULL when absent. */
const char *http_header(const struct http_request *r, const char *name);
const char *http_query(const struct http_request *r, const char *name);

#endif
