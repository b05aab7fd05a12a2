/* SPDX-License-Identifier: Apache-2.0 */
/* Plans that wait. One suspends its connection, so that it costs a connection and no thread; one thread for all servers
 * looks every few milliseconds at what is due, writes what comes byte by byte, and resumes what is over. */
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "service/base/clock.h"
#include "tests/sandbox/http_private.h"

#define TICK_MS 5
#define LOOK_MS 50              /* how often the client of a call without an end in sight is looked for */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	unsigned servers, count;
	bool over;
	struct exchange *first;
} waiting = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

enum which { WHICH_DUE, WHICH_HELD, WHICH_ALL };

/* Has its client closed? libmicrohttpd does not poll a suspended connection, so nobody else would see it. */
static bool
gone(struct exchange *x, uint64_t now)
{
	char byte;
	ssize_t n;

	if (x->due_boot_ms > now)
		return false;
	x->due_boot_ms = now + LOOK_MS;
	n = recv(http_socket(x), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static bool
is_due(struct exchange *x, uint64_t now)
{
	if (x->raw != NULL)
		return !http_raw_step(x, now) || gone(x, now);
	return x->request.hold ? gone(x, now) : x->due_boot_ms <= now;
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
		bool held = x->raw == NULL && x->request.hold;

		if (which != WHICH_ALL && !(which == WHICH_HELD ? held : is_due(x, now))) {
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
		until.tv_nsec += TICK_MS * 1000000L;
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

void
http_wait_suspend(struct exchange *x)
{
	pthread_mutex_lock(&waiting.lock);
	x->due_boot_ms = clock_boot_ms() + (x->raw == NULL ? x->request.delay_ms : 0);
	x->next = waiting.first;
	waiting.first = x;
	waiting.count++;
	MHD_suspend_connection(x->request.connection);
	pthread_cond_signal(&waiting.changed);
	pthread_mutex_unlock(&waiting.lock);
}

static unsigned
resume_locked(enum which which)
{
	unsigned n;

	pthread_mutex_lock(&waiting.lock);
	n = resume(which);
	pthread_mutex_unlock(&waiting.lock);
	return n;
}

unsigned
http_release(void)
{
	return resume_locked(WHICH_HELD);
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

void
http_wait_begin(void)
{
	if (waiting.servers++ == 0 && pthread_create(&waiting.thread, NULL, resumer, NULL) != 0)
		abort();
}

void
http_wait_resume_all(void)
{
	(void)resume_locked(WHICH_ALL);
}

void
http_wait_end(void)
{
	if (--waiting.servers > 0)
		return;
	pthread_mutex_lock(&waiting.lock);
	waiting.over = true;
	pthread_cond_signal(&waiting.changed);
	pthread_mutex_unlock(&waiting.lock);
	pthread_join(waiting.thread, NULL);
}
