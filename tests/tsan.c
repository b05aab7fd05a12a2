/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program and test of the thread sanitizer's flavour is linked with: its settings, and C11's threads
 * in pthread's words.
 *
 * librdkafka uses <threads.h>, of which gcc 12's thread sanitizer knows nothing: a thread that thrd_create
 * has started crashes in its first malloc, and a lock that mtx_lock has taken orders nothing. A program's own
 * functions come before the C library's, so these here are what librdkafka calls. Each does what glibc's
 * does; glibc's types are pthread's under other names, as far as can be asserted below.
 *
 * Races in our own code do not belong among the suppressions.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "thrd_t is pthread_t");
_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t has pthread_mutex_t in it");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t has pthread_cond_t in it");

const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

/* The first race ends the process, so that no test can pass over it. */
const char *
__tsan_default_options(void)
{
	return "halt_on_error=1:exitcode=66:second_deadlock_stack=1";
}

/* librdkafka is Debian's, and not instrumented. Its reference counts are atomics that the sanitizer does not see: a
 * broker thread's free of a message would look like a race with our reading of it, which ended before. */
const char *
__tsan_default_suppressions(void)
{
	return "called_from_lib:librdkafka.so.1\n";
}

struct start {
	thrd_start_t function;
	void *argument;
};

static int
told(int error)
{
	switch (error) {
	case 0:
		return thrd_success;
	case ETIMEDOUT:
		return thrd_timedout;
	case ENOMEM:
		return thrd_nomem;
	default:
		return thrd_error;
	}
}

static void *
run(void *start)
{
	struct start s = *(struct start *)start;

	free(start);
	return (void *)(intptr_t)s.function(s.argument);
}

int
thrd_create(thrd_t *ret_thread, thrd_start_t function, void *argument)
{
	struct start *s = malloc(sizeof(*s));
	int error;

	if (s == NULL)
		return thrd_nomem;
	*s = (struct start){ function, argument };
	error = pthread_create(ret_thread, NULL, run, s);
	if (error != 0)
		free(s);
	return told(error);
}

int
thrd_join(thrd_t thread, int *ret_result)
{
	void *result;
	int error = pthread_join(thread, &result);

	if (error == 0 && ret_result != NULL)
		*ret_result = (int)(intptr_t)result;
	return told(error);
}

int
mtx_init(mtx_t *m, int type)
{
	pthread_mutexattr_t attributes;
	int error;

	(void)pthread_mutexattr_init(&attributes);
	(void)pthread_mutexattr_settype(&attributes,
	    (type & mtx_recursive) != 0 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
	error = pthread_mutex_init((pthread_mutex_t *)m, &attributes);
	(void)pthread_mutexattr_destroy(&attributes);
	return told(error);
}

void
mtx_destroy(mtx_t *m)
{
	(void)pthread_mutex_destroy((pthread_mutex_t *)m);
}

int
mtx_lock(mtx_t *m)
{
	return told(pthread_mutex_lock((pthread_mutex_t *)m));
}

int
mtx_unlock(mtx_t *m)
{
	return told(pthread_mutex_unlock((pthread_mutex_t *)m));
}

int
cnd_init(cnd_t *c)
{
	return told(pthread_cond_init((pthread_cond_t *)c, NULL));
}

void
cnd_destroy(cnd_t *c)
{
	(void)pthread_cond_destroy((pthread_cond_t *)c);
}

int
cnd_signal(cnd_t *c)
{
	return told(pthread_cond_signal((pthread_cond_t *)c));
}

int
cnd_broadcast(cnd_t *c)
{
	return told(pthread_cond_broadcast((pthread_cond_t *)c));
}

int
cnd_wait(cnd_t *c, mtx_t *m)
{
	return told(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int
cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
	return told(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}
