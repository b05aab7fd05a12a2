/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher: a thread with the one transactional producer of this instance. A transaction goes in whole
 * and comes back with its result. */
#ifndef TOKEND_PUBLISH_H
#define TOKEND_PUBLISH_H

struct config;
struct err;
struct mailbox;
struct publish;
struct transaction;

/* Make the producer and start the thread, which first fences whoever used our transactional.id before.
 * results is where transactions come back; one without items and with the result FATAL says that the producer
 * cannot work at all. After a FATAL one nothing more is begun. */
struct publish *publish_new(const struct config *c, struct mailbox *results, struct err *ret_err);

/* Lend it one; the next only after it came back. Loop thread. */
void publish_submit(struct publish *p, struct transaction *x);

/* End the thread after the transaction under way, and close the producer. One that was not begun goes back as
 * aborted. */
void publish_free(struct publish *p);

#endif
