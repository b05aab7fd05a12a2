/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list under a mutex and an eventfd beside it.
 *
 * The eventfd is written only when the list goes from empty to filled, and read only when it goes from
 * filled to empty, both under the lock: so it is readable exactly while there is mail, a burst costs
 * one wake-up, and none can be lost between a look and a sleep. A lock-free queue would save the lock
 * and bring back that last question; at some thousand batches a second the lock does not show.
 */
#include "service/base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/base/err.h"

struct mailbox {
	int fd;
	pthread_mutex_t lock;
	struct mail *first, *last;      /* under lock */
};

struct mailbox *
mailbox_new(struct err *ret_err)
{
	struct mailbox *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "no memory for a mailbox");
		return NULL;
	}
	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->fd < 0) {
		(void)err_set(ret_err, ERR_FATAL, "no eventfd for a mailbox: %s", strerror(errno));
		free(m);
		return NULL;
	}
	(void)pthread_mutex_init(&m->lock, NULL);
	return m;
}

void
mailbox_free(struct mailbox *m)
{
	if (m == NULL)
		return;
	(void)close(m->fd);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

int
mailbox_fd(const struct mailbox *m)
{
	return m->fd;
}

void
mailbox_push(struct mailbox *m, struct mail *chain)
{
	const uint64_t one = 1;
	struct mail *last = chain;

	if (chain == NULL)
		return;
	while (last->next != NULL)
		last = last->next;

	(void)pthread_mutex_lock(&m->lock);
	if (m->first == NULL) {
		m->first = chain;
		(void)!write(m->fd, &one, sizeof(one));      /* the counter is 0: cannot fail */
	} else {
		m->last->next = chain;
	}
	m->last = last;
	(void)pthread_mutex_unlock(&m->lock);
}

struct mail *
mailbox_take(struct mailbox *m)
{
	struct mail *chain;
	uint64_t count;

	(void)pthread_mutex_lock(&m->lock);
	chain = m->first;
	if (chain != NULL)
		(void)!read(m->fd, &count, sizeof(count));   /* the counter is 1: cannot fail */
	m->first = m->last = NULL;
	(void)pthread_mutex_unlock(&m->lock);
	return chain;
}
