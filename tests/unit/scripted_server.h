/* SPDX-License-Identifier: Apache-2.0 */
/* A server on loopback that does to each request what its script says, however rude: raw bytes, one thread, many
 * connections. A whole program in a header, because a unit test is one file. */
#ifndef TOKEND_TESTS_UNIT_SCRIPTED_SERVER_H
#define TOKEND_TESTS_UNIT_SCRIPTED_SERVER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SERVER_CONNECTIONS 512
#define SERVER_REQUEST_BYTES 16384
#define SERVER_PATIENCE_S 10

/* What becomes of one request, once it is wholly read. */
struct step {
	const char *answer;             /* raw, but that "Content-Length: @" is told truly; NULL: none */
	bool close;                     /* and then the connection is closed */
};

struct server_connection {
	int fd;
	size_t bytes;
	char request[SERVER_REQUEST_BYTES];     /* so far */
};

struct server {
	int listener, stop[2];
	uint16_t port;
	pthread_t thread;
	struct server_connection *connections;
	size_t n_connections;

	pthread_mutex_t lock;
	pthread_cond_t arrived;
	const struct step *steps; size_t n_steps;       /* the last one serves all that follow */
	unsigned requests;                              /* since the script began */
	char latest[SERVER_REQUEST_BYTES];
};

/* The next requests, on whatever connection. Counting begins anew. */
static inline void
server_script(struct server *s, const struct step *steps, size_t n_steps)
{
	(void)pthread_mutex_lock(&s->lock);
	s->steps = steps;
	s->n_steps = n_steps;
	s->requests = 0;
	(void)pthread_mutex_unlock(&s->lock);
}

/* A barrier: true when so many requests have been read since the script began. */
static inline bool
server_wait(struct server *s, unsigned requests)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SERVER_PATIENCE_S;
	(void)pthread_mutex_lock(&s->lock);
	while (s->requests < requests && rc == 0)
		rc = pthread_cond_timedwait(&s->arrived, &s->lock, &until);
	(void)pthread_mutex_unlock(&s->lock);
	return rc == 0;
}

static inline unsigned
server_requests(struct server *s)
{
	unsigned n;

	(void)pthread_mutex_lock(&s->lock);
	n = s->requests;
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

/* The latest request, head and body, as a string. */
static inline void
server_latest(struct server *s, char room[SERVER_REQUEST_BYTES])
{
	(void)pthread_mutex_lock(&s->lock);
	memcpy(room, s->latest, sizeof(s->latest));
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- the thread's ---- */

static inline bool
server_request_is_whole(const struct server_connection *c)
{
	const char *end = strstr(c->request, "\r\n\r\n"), *length = strcasestr(c->request, "\r\ncontent-length:");

	if (end == NULL)
		return false;
	if (length == NULL || length > end)
		return true;
	return c->bytes >= (size_t)(end + 4 - c->request) + strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
}

static inline struct step
server_next_step(struct server *s, const char *request)
{
	struct step step;

	(void)pthread_mutex_lock(&s->lock);
	step = s->steps[s->requests < s->n_steps ? s->requests : s->n_steps - 1];
	s->requests++;
	memcpy(s->latest, request, sizeof(s->latest));
	(void)pthread_cond_broadcast(&s->arrived);
	(void)pthread_mutex_unlock(&s->lock);
	return step;
}

static inline void
server_answer(int fd, const char *answer)
{
	const char *at = strstr(answer, "Content-Length: @");

	if (at != NULL) {
		at += strlen("Content-Length: ");
		(void)dprintf(fd, "%.*s%zu%s", (int)(at - answer), answer, strlen(strstr(at, "\r\n\r\n") + 4), at + 1);
	} else {
		(void)dprintf(fd, "%s", answer);
	}
}

/* False: the connection is to be closed. */
static inline bool
server_serve(struct server *s, struct server_connection *c)
{
	ssize_t n = recv(c->fd, c->request + c->bytes, sizeof(c->request) - 1 - c->bytes, 0);
	struct step step;

	if (n <= 0)
		return false;
	c->bytes += (size_t)n;
	c->request[c->bytes] = '\0';
	if (c->request[0] == 0x16)      /* somebody speaks TLS */
		return false;
	if (!server_request_is_whole(c))
		return true;
	step = server_next_step(s, c->request);
	if (step.answer != NULL)
		server_answer(c->fd, step.answer);
	explicit_bzero(c->request, sizeof(c->request));
	c->bytes = 0;
	return !step.close;
}

static inline void
server_accept(struct server *s)
{
	struct server_connection *c = &s->connections[s->n_connections];

	c->fd = accept(s->listener, NULL, NULL);
	c->bytes = 0;
	if (c->fd >= 0)
		s->n_connections++;
}

static inline void *
server_run(void *userp)
{
	struct server *s = userp;
	struct pollfd *fds = calloc(SERVER_CONNECTIONS + 2, sizeof(*fds));
	sigset_t pipes;

	(void)sigemptyset(&pipes);
	(void)sigaddset(&pipes, SIGPIPE);       /* a client that hung up is no accident here */
	(void)pthread_sigmask(SIG_BLOCK, &pipes, NULL);
	for (;;) {
		size_t n = s->n_connections;

		fds[0] = (struct pollfd){ .fd = s->stop[0], .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = n < SERVER_CONNECTIONS ? s->listener : -1, .events = POLLIN };
		for (size_t i = 0; i < n; i++)
			fds[i + 2] = (struct pollfd){ .fd = s->connections[i].fd, .events = POLLIN };
		(void)poll(fds, n + 2, -1);
		if (fds[0].revents != 0)
			break;
		for (size_t i = n; i-- > 0;) {
			if (fds[i + 2].revents == 0 || server_serve(s, &s->connections[i]))
				continue;
			(void)close(s->connections[i].fd);
			s->connections[i] = s->connections[--s->n_connections];
		}
		if (fds[1].revents != 0)
			server_accept(s);
	}
	while (s->n_connections > 0)
		(void)close(s->connections[--s->n_connections].fd);
	free(fds);
	return NULL;
}

/* ---- made and ended by the test ---- */

static inline struct server *
server_new(void)
{
	static const struct step silent = { NULL, false };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	struct server *s = calloc(1, sizeof(*s));

	s->connections = calloc(SERVER_CONNECTIONS, sizeof(*s->connections));
	s->steps = &silent;
	s->n_steps = 1;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->arrived, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pipe(s->stop) != 0 || bind(s->listener, (struct sockaddr *)&address, bytes) != 0 ||
	    listen(s->listener, SERVER_CONNECTIONS) != 0 ||
	    getsockname(s->listener, (struct sockaddr *)&address, &bytes) != 0 ||
	    pthread_create(&s->thread, NULL, server_run, s) != 0)
		abort();
	s->port = ntohs(address.sin_port);
	return s;
}

static inline void
server_free(struct server *s)
{
	(void)close(s->stop[1]);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->stop[0]);
	(void)close(s->listener);
	(void)pthread_cond_destroy(&s->arrived);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->connections);
	free(s);
}

#endif
