/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd, wrapped for a server that must be able to misbehave on purpose.
 *
 * A plan that waits suspends its connection; one thread for all servers resumes what is due. So a held call costs a connection and no thread.
 * Cutting is refusing to answer: libmicrohttpd then closes the connection. */
#include "tests/sandbox/http.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "service/base/clock.h"
#include "service/base/err.h"

#define BODY_MOST (4u * 1024 * 1024)
#define CONNECTIONS_MOST 4096
#define THREADS 2
#define LOOK_MS 50              /* how often a held call's client is looked for */

struct http_server {
	struct MHD_Daemon *daemon;
	http_handler handler;
	void *context;
};

/* A request and what the server knows about it. */
struct exchange {
	struct http_request request;    /* first */
	unsigned char *body;
	size_t bytes, room;
	bool planned, waited, suspended;
	uint64_t due_boot_ms;           /* of a held call: when to look for its client again */
	int fd;
	struct exchange *next;          /* in the list of those that wait */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	unsigned servers, count;
	bool over;
	struct exchange *first;
} waiting = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- plans that wait ----------------------------------------------------------------------------------------------- */

enum which { WHICH_DUE, WHICH_HELD, WHICH_ALL };

/* Has a held call's client closed? A suspended connection is not polled by libmicrohttpd, so nobody else would see it. */
static bool
gone(struct exchange *x, uint64_t now)
{
	char byte;
	ssize_t n;

	if (x->due_boot_ms > now)
		return false;
	x->due_boot_ms = now + LOOK_MS;
	n = recv(x->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* The lock is held. */
static unsigned
resume(enum which which)
{
	uint64_t now = clock_boot_ms();
	struct exchange **at = &waiting.first;
	unsigned n = 0;

	while (*at != NULL) {
		struct exchange *x = *at;

		bool now_it = which == WHICH_ALL || (which == WHICH_HELD && x->request.hold) ||
		    (which == WHICH_DUE && (x->request.hold ? gone(x, now) : x->due_boot_ms <= now));

		if (!now_it) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		waiting.count--;
		n++;
		MHD_resume_connection(x->request.connection);
	}
	return n;
}

static void *
resumer(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&waiting.lock);
	while (!waiting.over) {
		struct timespec until;

		resume(WHICH_DUE);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 5 * 1000 * 1000;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		if (waiting.first == NULL)
			pthread_cond_wait(&waiting.changed, &waiting.lock);
		else
			pthread_cond_timedwait(&waiting.changed, &waiting.lock, &until);
	}
	pthread_mutex_unlock(&waiting.lock);
	return NULL;
}

static void
suspend(struct exchange *x)
{
	pthread_mutex_lock(&waiting.lock);
	x->due_boot_ms = clock_boot_ms() + x->request.delay_ms;
	x->fd = MHD_get_connection_info(x->request.connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	x->next = waiting.first;
	waiting.first = x;
	waiting.count++;
	MHD_suspend_connection(x->request.connection);
	pthread_cond_signal(&waiting.changed);
	pthread_mutex_unlock(&waiting.lock);
}

unsigned
http_release(void)
{
	unsigned n;

	pthread_mutex_lock(&waiting.lock);
	n = resume(WHICH_HELD);
	pthread_mutex_unlock(&waiting.lock);
	return n;
}

unsigned
http_waiting(void)
{
	unsigned n;

	pthread_mutex_lock(&waiting.lock);
	n = waiting.count;
	pthread_mutex_unlock(&waiting.lock);
	return n;
}

/* ---- carrying a plan out ------------------------------------------------------------------------------------------- */

/* Half of the body, then an error. */
static ssize_t
half(void *cls, uint64_t at, char *to, size_t most)
{
	struct exchange *x = cls;
	size_t n = strlen(x->request.answer) / 2;

	if (at >= n)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n -= at;
	if (n > most)
		n = most;
	memcpy(to, x->request.answer + at, n);
	return (ssize_t)n;
}

static enum MHD_Result
carry_out(struct exchange *x)
{
	struct http_request *r = &x->request;
	const char *answer = r->answer != NULL ? r->answer : "";
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (r->how == HTTP_CUT)
		return MHD_NO;
	if (r->how == HTTP_CUT_MID_BODY)
		response = MHD_create_response_from_callback(strlen(answer), 1024, half, x, NULL);
	else
		response = MHD_create_response_from_buffer(strlen(answer), (void *)(uintptr_t)answer, MHD_RESPMEM_MUST_COPY);
	if (r->answer != NULL)
		MHD_add_response_header(response, "Content-Type", "application/json");
	if (r->answered != NULL && r->how == HTTP_SEND)
		r->answered(r->about, true);    /* before it leaves: whoever has the answer finds it in the truth */
	if (r->retry_after[0] != '\0')
		MHD_add_response_header(response, "Retry-After", r->retry_after);
	rc = MHD_queue_response(r->connection, (unsigned)r->status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result
take_body(struct exchange *x, const char *data, size_t bytes)
{
	if (x->bytes + bytes > BODY_MOST)
		return MHD_NO;
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
on_request(void *cls, struct MHD_Connection *connection, const char *path, const char *method, const char *version, const char *data,
    size_t *bytes, void **state)
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
		s->handler(&x->request, s->context);
	}
	if ((x->request.hold || x->request.delay_ms > 0) && !x->waited) {
		x->waited = true;
		suspend(x);
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
	if (x->request.answered != NULL && (how != MHD_REQUEST_TERMINATED_COMPLETED_OK || x->request.how != HTTP_SEND))
		x->request.answered(x->request.about, false);
	free(x->request.about);
	free(x->request.answer);
	free(x->body);
	free(x);
	*state = NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct http_server *
http_serve(const char *address, uint16_t port, http_handler handler, void *context, uint16_t *ret_port, struct err *ret_err)
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
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, on_request, s,
	    MHD_OPTION_SOCK_ADDR, &to, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_THREAD_POOL_SIZE, THREADS,
	    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MOST, MHD_OPTION_END);
	if (s->daemon == NULL) {
		err_set(ret_err, ERR_FATAL, "cannot listen on %s:%u: is it taken? Port 0 takes any free one", address, port);
		free(s);
		return NULL;
	}
	*ret_port = port != 0 ? port : MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	if (waiting.servers++ == 0 && pthread_create(&waiting.thread, NULL, resumer, NULL) != 0)
		abort();
	return s;
}

void
http_stop(struct http_server *s)
{
	if (s == NULL)
		return;
	MHD_quiesce_daemon(s->daemon);
	pthread_mutex_lock(&waiting.lock);
	(void)resume(WHICH_ALL);
	pthread_mutex_unlock(&waiting.lock);
	MHD_stop_daemon(s->daemon);
	free(s);
	if (--waiting.servers > 0)
		return;
	pthread_mutex_lock(&waiting.lock);
	waiting.over = true;
	pthread_cond_signal(&waiting.changed);
	pthread_mutex_unlock(&waiting.lock);
	pthread_join(waiting.thread, NULL);
}

/* ---- for handlers -------------------------------------------------------------------------------------------------- */

void
http_json(struct http_request *r, int status, char *answer)
{
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
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	cJSON_AddNumberToObject(e, "code", status);
	cJSON_AddStringToObject(e, "message", message);
	http_json(r, status, cJSON_PrintUnformatted(e));
	cJSON_Delete(e);
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
