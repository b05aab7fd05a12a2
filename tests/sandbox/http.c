/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd, wrapped for a server that must be able to misbehave on purpose. What is as it should be, libmicrohttpd
 * answers; a plan that waits goes to http_wait.c first, and one that it could not carry out to http_raw.c. */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "service/base/clock.h"
#include "service/base/err.h"
#include "tests/sandbox/http_private.h"

#define BODY_MOST (4u * 1024 * 1024)
#define CONNECTIONS_MOST 4096
#define THREADS 2

struct http_server {
	struct MHD_Daemon *daemon;
	http_handler handler;
	void *context;
};

/* ---- carrying a plan out ----------------------------------------------------------------------------------------- */

const char *
http_body(const struct http_request *r)
{
	return r->answer != NULL ? r->answer : "";
}

const char *
http_type(const struct http_request *r)
{
	return r->content_type != NULL ? r->content_type : "application/json";
}

int
http_socket(const struct exchange *x)
{
	return MHD_get_connection_info(x->request.connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* By hand: as much as goes now; the rest while it is suspended, and then there is nothing more to say. */
static enum MHD_Result
write_raw(struct exchange *x)
{
	if (x->raw != NULL)
		return MHD_NO;
	http_raw_begin(x);
	if (!http_raw_step(x, clock_boot_ms()))
		return MHD_NO;
	http_wait_suspend(x);
	return MHD_YES;
}

static enum MHD_Result
carry_out(struct exchange *x)
{
	struct http_request *r = &x->request;
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (http_raw_wanted(r))
		return write_raw(x);
	/* The answer lives as long as the exchange, which is longer than the response. */
	response = MHD_create_response_from_buffer(strlen(http_body(r)), (void *)(uintptr_t)http_body(r),
	    MHD_RESPMEM_PERSISTENT);
	if (r->answer != NULL)
		MHD_add_response_header(response, "Content-Type", http_type(r));
	if (r->retry_after[0] != '\0')
		MHD_add_response_header(response, "Retry-After", r->retry_after);
	if (r->location[0] != '\0')
		MHD_add_response_header(response, "Location", r->location);
	if (r->answered != NULL)
		r->answered(r->about, true);    /* before it leaves: whoever has the answer finds it in the truth */
	x->told = true;
	rc = MHD_queue_response(r->connection, (unsigned)r->status, response);
	MHD_destroy_response(response);
	return rc;
}

/* What is too large is read to its end all the same, or its sender would not hear why. */
static enum MHD_Result
take_body(struct exchange *x, const char *data, size_t bytes)
{
	if (x->bytes + bytes > BODY_MOST)
		x->too_large = true;
	if (x->too_large)
		return MHD_YES;
	if (x->bytes + bytes > x->room) {
		x->room = 2 * (x->bytes + bytes);
		if ((x->body = realloc(x->body, x->room)) == NULL)
			abort();
	}
	memcpy(x->body + x->bytes, data, bytes);
	x->bytes += bytes;
	return MHD_YES;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
    const char *data, size_t *bytes, void **state)
{
	struct http_server *s = cls;
	struct exchange *x = *state;

	(void)version;
	if (x == NULL) {
		if ((*state = x = calloc(1, sizeof *x)) == NULL)
			abort();
		x->request = (struct http_request){ .connection = connection, .method = method, .path = path };
		return MHD_YES;
	}
	if (*bytes > 0) {
		enum MHD_Result rc = take_body(x, data, *bytes);

		*bytes = 0;
		return rc;
	}
	if (!x->planned) {
		x->planned = true;
		x->request.body = span_of(x->body, x->bytes);
		x->request.path = path;
		x->request.method = method;
		if (x->too_large)
			http_status(&x->request, 413);
		else
			s->handler(&x->request, s->context);
	}
	if ((x->request.hold || x->request.delay_ms > 0) && !x->waited) {
		x->waited = true;
		http_wait_suspend(x);
		return MHD_YES;
	}
	return carry_out(x);
}

static void
on_completed(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *state;

	(void)cls;
	(void)connection;
	if (x == NULL)
		return;
	/* Written by hand, it ends badly for libmicrohttpd in any case. */
	if (x->request.answered != NULL && (!x->told || (x->raw == NULL && how != MHD_REQUEST_TERMINATED_COMPLETED_OK)))
		x->request.answered(x->request.about, false);
	http_raw_free(x);
	free(x->request.about);
	free(x->request.answer);
	free(x->body);
	free(x);
	*state = NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct http_server *
http_serve(const char *address, uint16_t port, http_handler handler, void *context, uint16_t *ret_port,
    struct err *ret_err)
{
	struct http_server *s = calloc(1, sizeof *s);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (s == NULL)
		abort();
	s->handler = handler;
	s->context = context;
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
		err_set(ret_err, ERR_FATAL, "\"%s\" is no IPv4 address", address);
		free(s);
		return NULL;
	}
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL,
	    on_request, s, MHD_OPTION_SOCK_ADDR, &to, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MOST, MHD_OPTION_END);
	if (s->daemon == NULL) {
		err_set(ret_err, ERR_FATAL, "cannot listen on %s:%u: %s (port 0 takes any free one)", address, port,
		    strerror(errno));
		free(s);
		return NULL;
	}
	*ret_port = port != 0 ? port : MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	http_wait_begin();
	return s;
}

void
http_stop(struct http_server *s)
{
	if (s == NULL)
		return;
	MHD_quiesce_daemon(s->daemon);
	http_wait_resume_all();
	MHD_stop_daemon(s->daemon);
	free(s);
	http_wait_end();
}

/* ---- for handlers ------------------------------------------------------------------------------------------------ */

void
http_json(struct http_request *r, int status, char *answer)
{
	free(r->answer);
	r->status = status;
	r->answer = answer;
}

void
http_error(struct http_request *r, int status, const char *format, ...)
{
	cJSON *e = cJSON_CreateObject();
	char message[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof message, format, args);
	va_end(args);
	cJSON_AddNumberToObject(e, "code", status);
	cJSON_AddStringToObject(e, "message", message);
	http_json(r, status, cJSON_PrintUnformatted(e));
	cJSON_Delete(e);
}

const char *
http_phrase(int status)
{
	return MHD_get_reason_phrase_for((unsigned)status);
}

void
http_status(struct http_request *r, int status)
{
	char phrase[64];

	(void)snprintf(phrase, sizeof phrase, "%s", http_phrase(status));
	for (char *p = phrase; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	http_error(r, status, "%s", phrase);
}

const char *
http_header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *
http_query(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}
