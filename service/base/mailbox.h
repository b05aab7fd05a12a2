/* SPDX-License-Identifier: Apache-2.0 */
/* Messages from any number of threads to one, in order of arrival, with an eventfd that wakes the receiver.
 *
 * A message is any struct whose first member is a struct mail; the mailbox owns it between push and
 * take.  Push and take move whole chains, so that a batch costs one lock and one wake-up. */
#ifndef TOKEND_BASE_MAILBOX_H
#define TOKEND_BASE_MAILBOX_H

struct err;
struct mailbox;                       /* opaque */

struct mail {
	struct mail *next;
};

/* NULL and *ret_err when there is no eventfd to be had. */
struct mailbox *mailbox_new(struct err *ret_err);
/* Whatever mail is left inside is not freed: the receiver takes it first. */
void mailbox_free(struct mailbox *m);

/* Readable while there is mail: for the receiver's epoll (level triggered). */
int mailbox_fd(const struct mailbox *m);

/* Hand over a chain (next-linked, NULL-ended). Any thread; never blocks for long. NULL does nothing. */
void mailbox_push(struct mailbox *m, struct mail *chain);

/* Take all there is, oldest first; NULL when empty. Receiver only; clears the eventfd. */
struct mail *mailbox_take(struct mailbox *m);

#endif
