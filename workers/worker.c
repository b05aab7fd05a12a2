/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread that calls the Management API: a curl multi handle over epoll, with connections of its own.
 *
 * It sleeps until a socket is ready, a letter lies in its inbox or libcurl's timer is due; all that ended in one
 * wake-up goes back as one chain, so the loop thread wakes once for a burst.
 *
 * There is no queue and no limit here: the gates decide how many calls there are at once, and a job that comes in is
 * begun. Slots, and the memory of their handles, are kept for the next job.
 *
 * To stop, it finds the last letter in its inbox, behind all jobs; what is in flight then is cut.
 */
#include "workers/worker.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/mailbox.h"
#include "service/base/registers.h"
#include "workers/bodies.h"
#include "workers/call.h"
#include "workers/job.h"
#include "workers/upstream.h"

#define EVENTS_AT_ONCE 64
#define SLOTS_FIRST 16
#define NEVER UINT64_MAX

struct worker {
	const struct workshop *shop;
	struct mailbox *inbox;
	struct mail reload, stop;       /* letters to be found in the inbox */
	atomic_bool reload_is_under_way;

	/* the owner's */
	pthread_t thread;
	bool running;                   /* there is a thread to wait for */

	/* the thread's own */
	int epoll;
	CURLM *multi;
	uint64_t timer_at_ms;           /* boot clock: when libcurl wants to be called */
	struct call **slots;            /* all there are */
	struct call **idle;             /* those without a job; as much room */
	size_t n_slots, n_idle, room;
	struct mail *done, **done_end;  /* this wake-up's */
	bool stopping;
};

/* ---- slots and outcomes ---- */

static void
job_done(struct worker *w, struct job *job)
{
	job->mail.next = NULL;
	*w->done_end = &job->mail;
	w->done_end = &job->mail.next;
}

static void
send_outcomes(struct worker *w)
{
	mailbox_push(w->shop->outcomes, w->done);
	w->done = NULL;
	w->done_end = &w->done;
}

static bool
add_slot(struct worker *w)
{
	if (w->n_slots == w->room) {
		size_t room = w->room > 0 ? 2 * w->room : SLOTS_FIRST;
		struct call **slots = realloc(w->slots, room * sizeof(*slots)), **idle;

		if (slots == NULL)
			return false;
		w->slots = slots;
		idle = realloc(w->idle, room * sizeof(*idle));
		if (idle == NULL)
			return false;
		w->idle = idle;
		w->room = room;
	}
	w->slots[w->n_slots] = call_new(w->shop->bodies);
	if (w->slots[w->n_slots] == NULL)
		return false;
	w->idle[w->n_idle++] = w->slots[w->n_slots++];
	return true;
}

static void
begin_job(struct worker *w, struct job *job)
{
	struct call *c;

	assert(job->cluster < w->shop->n_upstreams);
	if (w->n_idle == 0 && !add_slot(w)) {
		call_refuse(w->shop->upstreams[job->cluster], job, "there was no memory for a call");
		job_done(w, job);
		return;
	}
	c = w->idle[w->n_idle - 1];
	if (call_begin(c, w->shop->upstreams[job->cluster], job) != 0) {
		job_done(w, job);
		return;
	}
	if (curl_multi_add_handle(w->multi, call_easy(c)) != CURLM_OK) {
		job_done(w, call_cut(c, "libcurl does not take the call"));
		return;
	}
	w->n_idle--;
}

/* Whoever asks from here on is asking for another reading. */
static void
reload(struct worker *w)
{
	atomic_store(&w->reload_is_under_way, false);
	for (size_t i = 0; i < w->shop->n_upstreams; i++)
		upstream_reload(w->shop->upstreams[i]);
}

static void
read_inbox(struct worker *w)
{
	struct mail *m = mailbox_take(w->inbox), *next;

	for (; m != NULL; m = next) {
		next = m->next;
		if (m == &w->stop)
			w->stopping = true;
		else if (m == &w->reload)
			reload(w);
		else
			begin_job(w, (struct job *)m);
	}
}

/* ---- what libcurl asks us ---- */

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *userp, void *socketp)
{
	struct worker *w = userp;
	struct epoll_event event = { .data.fd = fd };

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(w->epoll, socketp != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
		return -1;
	(void)curl_multi_assign(w->multi, fd, w);        /* from now on socketp says that it is watched */
	return 0;
}

static int
set_timer(CURLM *multi, long timeout_ms, void *userp)
{
	struct worker *w = userp;

	(void)multi;
	w->timer_at_ms = timeout_ms < 0 ? NEVER : clock_boot_ms() + (uint64_t)timeout_ms;
	return 0;
}

/* ---- the thread's life ---- */

static void
drive_socket(struct worker *w, const struct epoll_event *event)
{
	int ready = (event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
	    (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (event->events & EPOLLERR ? CURL_CSELECT_ERR : 0);
	int running;

	(void)curl_multi_socket_action(w->multi, event->data.fd, ready, &running);
}

static void
drive_timer(struct worker *w)
{
	int running;

	if (clock_boot_ms() < w->timer_at_ms)
		return;
	w->timer_at_ms = NEVER;         /* libcurl sets it anew from inside */
	(void)curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void
free_slot(struct worker *w, struct call *c)
{
	w->idle[w->n_idle++] = c;
}

static void
collect_finished(struct worker *w)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(w->multi, &left)) != NULL) {
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;         /* m is gone once the handle is removed */
		struct call *c;

		(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &c);
		(void)curl_multi_remove_handle(w->multi, easy);
		job_done(w, call_finish(c, code));
		free_slot(w, c);
	}
}

static void
cut_the_rest(struct worker *w)
{
	for (size_t i = 0; i < w->n_slots; i++) {
		struct call *c = w->slots[i];

		if (call_job(c) == NULL)
			continue;
		(void)curl_multi_remove_handle(w->multi, call_easy(c));
		job_done(w, call_cut(c, "the service was stopped"));
		free_slot(w, c);
	}
}

static int
sleep_ms(const struct worker *w)
{
	uint64_t now = clock_boot_ms();

	if (w->timer_at_ms == NEVER)
		return -1;
	if (w->timer_at_ms <= now)
		return 0;
	return w->timer_at_ms - now < INT32_MAX ? (int)(w->timer_at_ms - now) : INT32_MAX;
}

static void *
work(void *userp)
{
	struct worker *w = userp;

	while (!w->stopping) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int n = epoll_wait(w->epoll, events, EVENTS_AT_ONCE, sleep_ms(w));

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == mailbox_fd(w->inbox))
				read_inbox(w);
			else
				drive_socket(w, &events[i]);
		}
		drive_timer(w);
		collect_finished(w);
		registers_forget();             /* an answer may have gone through them */
		send_outcomes(w);
	}
	cut_the_rest(w);
	send_outcomes(w);
	return NULL;
}

/* ---- making and ending ---- */

static int
open_worker(struct worker *w, struct err *ret_err)
{
	struct epoll_event event = { .events = EPOLLIN };
	long connections = 0;

	for (size_t i = 0; i < w->shop->n_upstreams; i++)
		connections += (long)upstream_cluster(w->shop->upstreams[i])->max_concurrency;

	w->inbox = mailbox_new(ret_err);
	if (w->inbox == NULL)
		return -1;
	w->multi = curl_multi_init();
	if (w->multi == NULL ||
	    curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, set_timer) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, connections) != CURLM_OK)
		return err_set(ret_err, ERR_FATAL, "libcurl has no multi handle for a worker");
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	event.data.fd = mailbox_fd(w->inbox);
	if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, event.data.fd, &event) != 0)
		return err_set(ret_err, ERR_FATAL, "no epoll for a worker: %s", strerror(errno));
	return 0;
}

/* Signals are the main thread's. That goes for SIGPIPE, too, which OpenSSL may raise: blocked, it does nothing. */
static int
start_worker(struct worker *w, size_t number, struct err *ret_err)
{
	char name[16];
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&w->thread, NULL, work, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_set(ret_err, ERR_FATAL, "no thread for a worker: %s", strerror(rc));
	w->running = true;
	(void)snprintf(name, sizeof(name), "worker-%zu", number);
	(void)pthread_setname_np(w->thread, name);
	return 0;
}

struct worker *
worker_new(const struct workshop *shop, size_t number, struct err *ret_err)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "no memory for a worker");
		return NULL;
	}
	w->shop = shop;
	w->epoll = -1;
	w->timer_at_ms = NEVER;
	w->done_end = &w->done;
	if (open_worker(w, ret_err) == 0 && start_worker(w, number, ret_err) == 0)
		return w;
	worker_free(w);
	return NULL;
}

void
worker_hand(struct worker *w, struct mail *jobs)
{
	mailbox_push(w->inbox, jobs);
}

void
worker_reload(struct worker *w)
{
	if (!atomic_exchange(&w->reload_is_under_way, true))
		mailbox_push(w->inbox, &w->reload);
}

void
worker_ask_to_stop(struct worker *w)
{
	if (w->running)
		mailbox_push(w->inbox, &w->stop);
}

void
worker_join(struct worker *w)
{
	if (w->running)
		(void)pthread_join(w->thread, NULL);
	w->running = false;
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	assert(!w->running);
	for (size_t i = 0; i < w->n_slots; i++)
		call_free(w->slots[i]);
	free(w->slots);
	free(w->idle);
	(void)curl_multi_cleanup(w->multi);
	if (w->epoll >= 0)
		(void)close(w->epoll);
	mailbox_free(w->inbox);
	free(w);
}
