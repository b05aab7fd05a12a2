/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: no message is lost, doubled or overtaken by its sender's next one, and the eventfd is readable
 * exactly while there is mail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "service/base/err.h"
#include "service/base/mailbox.h"

#define SENDERS 4
#define EACH 20000
#define CHAIN 7

struct letter {
	struct mail mail;
	int sender, number;
};

struct sender {
	struct mailbox *mailbox;
	struct letter *letters;
};

static int
readable(struct mailbox *m, int timeout_ms)
{
	struct pollfd p = { .fd = mailbox_fd(m), .events = POLLIN };

	return poll(&p, 1, timeout_ms);
}

static void
keeps_order_and_wakes(void **state)
{
	struct err e;
	struct mailbox *m = mailbox_new(&e);
	struct letter a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
	struct mail *got;

	(void)state;
	assert_null(mailbox_take(m));
	assert_int_equal(readable(m, 0), 0);
	mailbox_push(m, NULL);
	assert_int_equal(readable(m, 0), 0);

	a.mail.next = &b.mail;
	mailbox_push(m, &a.mail);
	mailbox_push(m, &c.mail);
	assert_int_equal(readable(m, 0), 1);
	assert_int_equal(readable(m, 0), 1);    /* level triggered: until it is taken */

	got = mailbox_take(m);
	assert_ptr_equal(got, &a);
	assert_ptr_equal(got->next, &b);
	assert_ptr_equal(got->next->next, &c);
	assert_null(c.mail.next);
	assert_int_equal(readable(m, 0), 0);
	assert_null(mailbox_take(m));

	c.mail.next = NULL;
	mailbox_push(m, &c.mail);
	assert_int_equal(readable(m, 0), 1);
	assert_ptr_equal(mailbox_take(m), &c);
	mailbox_free(m);
	mailbox_free(NULL);
}

static void *
send_all(void *context)
{
	struct sender *s = context;

	for (int i = 0; i < EACH; i += CHAIN) {
		int end = i + CHAIN < EACH ? i + CHAIN : EACH;

		for (int j = i; j + 1 < end; j++)
			s->letters[j].mail.next = &s->letters[j + 1].mail;
		mailbox_push(s->mailbox, &s->letters[i].mail);
	}
	return NULL;
}

/* The receiver sleeps on the eventfd alone: one lost wake-up and the poll runs into its timeout. */
static void
many_senders_lose_nothing(void **state)
{
	struct err e;
	struct mailbox *m = mailbox_new(&e);
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	int next[SENDERS] = { 0 }, left = SENDERS * EACH;

	(void)state;
	for (int s = 0; s < SENDERS; s++) {
		senders[s] = (struct sender){ m, calloc(EACH, sizeof(struct letter)) };
		for (int i = 0; i < EACH; i++)
			senders[s].letters[i] = (struct letter){ .sender = s, .number = i };
	}
	for (int s = 0; s < SENDERS; s++)
		assert_int_equal(pthread_create(&threads[s], NULL, send_all, &senders[s]), 0);
	while (left > 0) {
		assert_int_equal(readable(m, 30000), 1);
		for (struct mail *at = mailbox_take(m); at != NULL; at = at->next, left--) {
			struct letter *l = (struct letter *)at;

			assert_int_equal(l->number, next[l->sender]++);
		}
	}
	assert_int_equal(readable(m, 0), 0);
	for (int s = 0; s < SENDERS; s++) {
		assert_int_equal(pthread_join(threads[s], NULL), 0);
		free(senders[s].letters);
	}
	mailbox_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_and_wakes),
		cmocka_unit_test(many_senders_lose_nothing),
	};

	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
