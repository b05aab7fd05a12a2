/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP port: a request comes in whole, its handler makes a plan for the answer, and the plan is carried out: at
 * once, later, or badly. Handlers run on the server's threads and never wait; a thousand answers may be outstanding. */
#ifndef SANDBOX_HTTP_H
#define SANDBOX_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

struct err;
struct http_server;
struct MHD_Connection;

enum http_end {
	HTTP_WHOLE,             /* as it should be */
	HTTP_CUT,               /* closed, with a FIN */
	HTTP_RESET              /* closed, with a RST */
};

/* How much of the answer goes out before it is cut. */
enum http_at { HTTP_AT_START, HTTP_AT_STATUS, HTTP_AT_HEADERS, HTTP_AT_BODY };

struct http_request {
	struct MHD_Connection *connection;
	const char *method, *path;      /* path without its query */
	struct span body;

	/* the plan: made by the handler */
	int status;
	char *answer;                   /* malloced; NULL: no body */
	const char *content_type;       /* a constant; NULL: JSON */
	char retry_after[64], location[256];    /* "": no such header */
	enum http_end end;
	enum http_at at;                /* of an end that is not whole */
	uint64_t delay_ms;              /* before the first byte */
	uint64_t drip_ms;               /* between the bytes of the body; 0: all at once */
	bool endless;                   /* blanks follow before the body's last byte, for ever */
	bool hold;                      /* until http_release, or until the client goes away */
	/* The answer leaves now; and once more, false, when it did not get there. May be NULL. */
	void (*answered)(void *about, bool whole);
	void *about;                    /* malloced; freed with the request */
};

typedef void (*http_handler)(struct http_request *r, void *context);

/* Serve on address:port (0: any; *ret_port says which). */
struct http_server *http_serve(const char *address, uint16_t port, http_handler handler, void *context,
    uint16_t *ret_port, struct err *ret_err);
/* Carry out every plan that is held (not those that are only delayed), on all servers. Returns how many there were. */
unsigned http_release(void);
/* How many plans wait: held, delayed, or under way byte by byte. */
unsigned http_waiting(void);
void http_stop(struct http_server *s);

/* Plans; one that was made before is forgotten. The message is put into {"code", "message"}. */
void http_json(struct http_request *r, int status, char *answer);
void http_error(struct http_request *r, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, with the status's own phrase in small letters: "not found". */
void http_status(struct http_request *r, int status);

/* A header's or a query parameter's value; NULL when absent. */
const char *http_header(const struct http_request *r, const char *name);
const char *http_query(const struct http_request *r, const char *name);

#endif
