/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's window: /livez, /readyz, /metrics.
 *
 * It runs on libmicrohttpd's own thread and reads nothing but atomics and the metrics, so that it
 * answers when the loop does not: that is what /livez is for. Alive means that the loop turns, and no
 * more; a broker or an API that is away makes no restart useful. Ready means that requests sent now
 * would be worked on.
 *
 * There is no authentication and no TLS: it tells no secret, and listens where the configuration says
 * (loopback unless told otherwise). Connections are few and short-lived by decree, so a neighbour
 * cannot use up our descriptors here.
 */
#include "service/ops.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/durations.h"
#include "service/base/err.h"
#include "service/base/metrics.h"

#define CONNECTIONS_MOST 16
#define IDLE_SECONDS 10

struct ops {
	struct MHD_Daemon *daemon;
	const struct health *health;
};

static enum MHD_Result
respond(struct MHD_Connection *connection, unsigned code, const char *type, char *text, size_t bytes,
    enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(bytes, text, mode);
	enum MHD_Result result;

	if (response == NULL) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, "Content-Type", type);
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, "Allow", "GET, HEAD");
	result = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
respond_line(struct MHD_Connection *connection, unsigned code, const char *line)
{
	char text[128];
	int length = snprintf(text, sizeof(text), "%s\n", line);

	return respond(connection, code, "text/plain; charset=utf-8", text, (size_t)length, MHD_RESPMEM_MUST_COPY);
}

/* NULL, or why not. */
static const char *
why_not_alive(const struct health *h)
{
	uint64_t beat_ms = atomic_load(&h->heartbeat_boot_ms), now_ms = clock_boot_ms();

	if (now_ms > beat_ms && now_ms - beat_ms > duration_ms(DURATION_LOOP_STALL))
		return "the loop has stopped turning";
	return NULL;
}

static const char *
why_not_ready(const struct health *h)
{
	const char *why = why_not_alive(h);

	if (why != NULL)
		return why;
	if (atomic_load(&h->draining))
		return "draining";
	if (atomic_load(&h->journal_closed) > 0)
		return "a partition is closed because its journal cannot be trusted";
	if (!atomic_load(&h->joined))
		return "not in the consumer group yet";
	return NULL;
}

static enum MHD_Result
respond_health(struct MHD_Connection *connection, const char *why_not)
{
	if (why_not == NULL)
		return respond_line(connection, MHD_HTTP_OK, "ok");
	return respond_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why_not);
}

static enum MHD_Result
respond_metrics(struct MHD_Connection *connection)
{
	size_t bytes;
	char *text = metrics_text(&bytes);

	return respond(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, bytes,
	    MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result
answer(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *upload, size_t *upload_bytes, void **state)
{
	const struct ops *o = context;

	(void)version;
	(void)upload;
	(void)upload_bytes;
	(void)state;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return respond_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	if (strcmp(url, "/livez") == 0)
		return respond_health(connection, why_not_alive(o->health));
	if (strcmp(url, "/readyz") == 0)
		return respond_health(connection, why_not_ready(o->health));
	if (strcmp(url, "/metrics") == 0)
		return respond_metrics(connection);
	return respond_line(connection, MHD_HTTP_NOT_FOUND, "only /livez, /readyz and /metrics");
}

/* An IPv4 or IPv6 address as the sockets have it; false when it is neither. */
static bool
parse_address(const char *address, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return true;
	}
	return false;
}

struct ops *
ops_start(const char *address, uint16_t port, const struct health *h, struct err *ret_err)
{
	struct sockaddr_storage at;
	unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD;
	struct ops *o;

	assert(port != 0);
	if (!parse_address(address, port, &at)) {
		(void)err_set(ret_err, ERR_REFUSE, "ops: \"%s\" is not an IP address", address);
		return NULL;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	o->health = h;
	if (at.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	errno = 0;
	o->daemon = MHD_start_daemon(flags, port, NULL, NULL, answer, o,
	    MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MOST,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_END);
	if (o->daemon == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "ops: cannot listen on %s port %u: %s", address, port,
		    errno != 0 ? strerror(errno) : "no reason given");
		free(o);
		return NULL;
	}
	return o;
}

void
ops_stop(struct ops *o)
{
	if (o == NULL)
		return;
	MHD_stop_daemon(o->daemon);
	free(o);
}
