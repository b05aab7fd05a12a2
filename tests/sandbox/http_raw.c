/* SPDX-License-Identifier: Apache-2.0 */
/* Answers written by hand, past libmicrohttpd: it would never end after a status line, send a RST, or one byte a
 * second. The connection is closed afterwards, always. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tests/sandbox/http_private.h"

#define BLANKS_A_STEP (1024u * 1024)

struct raw {
	char *bytes;
	size_t n, at;                   /* what goes out at all, what is gone */
	size_t head;                    /* so much at once, drip or not */
	uint64_t began_boot_ms;         /* 0: not yet */
};

bool
http_raw_wanted(const struct http_request *r)
{
	return r->end != HTTP_WHOLE || r->drip_ms > 0 || r->endless;
}

void
http_raw_begin(struct exchange *x)
{
	const struct http_request *r = &x->request;
	size_t body_bytes = strlen(http_body(r)), status_line;
	struct raw *raw = calloc(1, sizeof *raw);
	FILE *f = raw != NULL ? open_memstream(&raw->bytes, &raw->n) : NULL;

	if (f == NULL)
		abort();
	(void)fprintf(f, "HTTP/1.1 %d %s\r\n", r->status, http_phrase(r->status));
	(void)fflush(f);
	status_line = raw->n;
	if (r->retry_after[0] != '\0')
		(void)fprintf(f, "Retry-After: %s\r\n", r->retry_after);
	if (r->location[0] != '\0')
		(void)fprintf(f, "Location: %s\r\n", r->location);
	if (!r->endless)
		(void)fprintf(f, "Content-Length: %zu\r\n", body_bytes);
	(void)fprintf(f, "Content-Type: %s\r\nConnection: close\r\n\r\n", http_type(r));
	(void)fflush(f);
	raw->head = raw->n;
	(void)fputs(http_body(r), f);
	if (fclose(f) != 0)
		abort();
	if (r->endless && body_bytes > 0)
		raw->n--;
	if (r->end != HTTP_WHOLE) {
		const size_t until[] = { [HTTP_AT_START] = 0, [HTTP_AT_STATUS] = status_line,
			[HTTP_AT_HEADERS] = raw->head, [HTTP_AT_BODY] = raw->head + body_bytes / 2 };

		raw->n = until[r->at];
	}
	if (raw->head > raw->n)
		raw->head = raw->n;
	x->raw = raw;
}

void
http_raw_free(struct exchange *x)
{
	if (x->raw == NULL)
		return;
	free(x->raw->bytes);
	free(x->raw);
}

/* False: the client is gone. *ret_sent may be less than all: then the socket is full for now. */
static bool
put(const struct exchange *x, const char *bytes, size_t n, size_t *ret_sent)
{
	ssize_t sent = n > 0 ? send(http_socket(x), bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	*ret_sent = sent > 0 ? (size_t)sent : 0;
	return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Never over before the client is gone. */
static bool
put_blanks(const struct exchange *x)
{
	static char blanks[64 * 1024];
	size_t sent = sizeof blanks;

	if (blanks[0] == '\0')
		memset(blanks, ' ', sizeof blanks);
	for (size_t n = 0; n < BLANKS_A_STEP && sent == sizeof blanks; n += sent)
		if (!put(x, blanks, sizeof blanks, &sent))
			return false;
	return true;
}

static size_t
due(const struct raw *raw, uint64_t drip_ms, uint64_t now)
{
	size_t n = drip_ms == 0 ? raw->n : raw->head + (size_t)((now - raw->began_boot_ms) / drip_ms);

	return n < raw->n ? n : raw->n;
}

/* A connected socket that is connected to nothing sends a RST, at once. libmicrohttpd, closing it, would send a FIN
 * before, and its reader would not know the difference. */
static void
reset(const struct exchange *x)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	(void)connect(http_socket(x), &nowhere, sizeof nowhere);
}

bool
http_raw_step(struct exchange *x, uint64_t now)
{
	struct raw *raw = x->raw;
	struct http_request *r = &x->request;
	size_t until, sent;

	if (raw->began_boot_ms == 0)
		raw->began_boot_ms = now;
	until = due(raw, r->drip_ms, now);
	if (until == raw->n && r->end == HTTP_WHOLE && !r->endless && !x->told && r->answered != NULL) {
		x->told = true;
		r->answered(r->about, true);    /* before it leaves: whoever has the answer finds it in the truth */
	}
	if (!put(x, raw->bytes + raw->at, until - raw->at, &sent)) {
		x->told = false;
		return false;
	}
	raw->at += sent;
	if (raw->at < raw->n)
		return true;
	if (r->endless && r->end == HTTP_WHOLE)
		return put_blanks(x);
	if (r->end == HTTP_RESET)
		reset(x);
	return false;
}
