/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a transaction holds what it may and no more, in order and of one generation, and its end leaves
 * neither an offset too far nor an item lost. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "service/base/config.h"
#include "service/batch.h"
#include "service/generation.h"
#include "service/journal.h"
#include "service/ticket.h"
#include "service/watermark.h"

#define START 10
#define JOURNAL_HIGH 50

static const struct config config = { .max_remembered = 1000 };
static rd_kafka_t *consumer;            /* without brokers: generations are told apart by who captured them */
static struct batch *batch;

static int
setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	(void)state;
	rd_kafka_conf_set(conf, "group.id", "test", NULL, 0);
	consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	batch = batch_new("tokend/test/0");
	return consumer == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	batch_free(batch);
	rd_kafka_destroy(consumer);
	return 0;
}

static void
open_assignment(struct assignment *a, int32_t partition, struct generation *g)
{
	const struct journal_found found = { .request_high = 2000, .request_low = START, .journal_high = JOURNAL_HIGH,
	    .marker_offsets = 1 };
	struct err e;
	int64_t start;

	*a = (struct assignment){ .partition = partition, .state = ASSIGNMENT_OPEN, .generation = generation_hold(g) };
	a->journal = journal_new(partition, &config, 0);
	assert_int_equal(journal_open(a->journal, &found, &start, &e), 0);
	a->watermark = watermark_new(start);
}

static void
close_assignment(struct assignment *a)
{
	assert_int_equal(a->in_transactions, 0);
	journal_free(a->journal);
	watermark_free(a->watermark);
	generation_release(a->generation);
}

/* An item that answers that offset (-1: none), queued. */
static void
queue(struct item *it, struct assignment *a, int64_t answers, uint64_t seq, size_t bytes)
{
	*it = (struct item){ .assignment = a, .answers = answers, .seq = seq, .bytes = bytes };
	batch_add(batch, it);
}

static struct transaction *
next(void)
{
	struct transaction *x = batch_next(batch);

	assert_non_null(x);
	assert_true(batch_busy(batch));
	assert_null(batch_next(batch));          /* one at a time */
	return x;
}

static void
end(struct transaction *x, enum transaction_result result)
{
	x->result = result;
	batch_settle(batch, x);
	assert_false(batch_busy(batch));
}

static size_t
count(const struct item *it)
{
	size_t n = 0;

	for (; it != NULL; it = it->next) {
		assert_false(it->queued);
		n++;
	}
	return n;
}

static void
test_order_and_offsets(void **state)
{
	struct generation *g = generation_capture(consumer);
	struct assignment a, b;
	struct item items[4];
	struct transaction *x;

	(void)state;
	open_assignment(&a, 0, g);
	open_assignment(&b, 1, g);
	assert_null(batch_next(batch));
	for (int64_t o = START; o < START + 3; o++)
		assert_true(watermark_take(a.watermark, o));
	assert_true(watermark_take(b.watermark, START));
	queue(&items[0], &a, START, 1, 1);
	queue(&items[1], &b, -1, 7, 1);         /* an intent answers nothing */
	queue(&items[2], &a, START + 2, 2, 1);
	x = next();
	queue(&items[3], &a, START + 1, 3, 1);  /* comes while the first is under way */

	assert_ptr_equal(x->items, &items[0]);
	assert_ptr_equal(x->items->next, &items[1]);
	assert_int_equal(count(x->items), 3);
	assert_int_equal(x->n_touched, 2);
	assert_int_equal(x->touched[0].offset, START + 1);
	assert_int_equal(x->touched[0].journal_least, JOURNAL_HIGH);
	assert_non_null(strstr(x->touched[0].metadata, " 2 "));
	assert_int_equal(x->touched[1].offset, START);
	assert_non_null(strstr(x->touched[1].metadata, " 7 "));
	x->touched[0].journal_last = 60;
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);

	x = next();
	assert_int_equal(count(x->items), 1);
	assert_int_equal(x->touched[0].offset, START + 3);
	assert_int_equal(x->touched[0].journal_least, 62);      /* behind the last record and the marker */
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);
	assert_int_equal(watermark_lowest(a.watermark), START + 3);
	assert_int_equal(watermark_lowest(b.watermark), START);
	close_assignment(&a);
	close_assignment(&b);
	generation_release(g);
}

static void
test_generations_are_not_mixed(void **state)
{
	struct generation *g[2] = { generation_capture(consumer), generation_capture(consumer) };
	struct assignment a, b;
	struct item items[3];

	(void)state;
	open_assignment(&a, 0, g[0]);
	open_assignment(&b, 1, g[1]);
	queue(&items[0], &a, -1, 1, 1);
	queue(&items[1], &b, -1, 1, 1);
	queue(&items[2], &a, -1, 2, 1);
	for (int i = 0; i < 3; i++) {
		struct transaction *x = next();

		assert_ptr_equal(x->items, &items[i]);
		assert_int_equal(count(x->items), 1);
		assert_ptr_equal(x->generation, g[i % 2]);
		end(x, TRANSACTION_COMMITTED);
		batch_done(x);
	}
	assert_true(batch_empty(batch));
	close_assignment(&a);
	close_assignment(&b);
	generation_release(g[0]);
	generation_release(g[1]);
}

static void
test_bounds(void **state)
{
	static struct item items[TRANSACTION_ITEMS_MOST + 1];
	struct generation *g = generation_capture(consumer);
	struct assignment a;
	struct transaction *x;

	(void)state;
	open_assignment(&a, 0, g);
	for (size_t i = 0; i <= TRANSACTION_ITEMS_MOST; i++)
		queue(&items[i], &a, -1, i + 1, 1);
	x = next();
	assert_int_equal(count(x->items), TRANSACTION_ITEMS_MOST);
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);
	x = next();
	assert_int_equal(count(x->items), 1);
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);

	/* What is too large alone goes alone; what fits exactly goes together. */
	queue(&items[0], &a, -1, 2001, TRANSACTION_BYTES_MOST + 1);
	queue(&items[1], &a, -1, 2002, TRANSACTION_BYTES_MOST - 1);
	queue(&items[2], &a, -1, 2003, 1);
	queue(&items[3], &a, -1, 2004, 1);
	for (size_t expected = 1; !batch_empty(batch); expected = expected == 1 ? 2 : 1) {
		x = next();
		assert_int_equal(count(x->items), expected);
		end(x, TRANSACTION_COMMITTED);
		batch_done(x);
	}
	close_assignment(&a);
	generation_release(g);
}

static void
test_abort_queues_again_in_front(void **state)
{
	struct generation *g = generation_capture(consumer);
	struct assignment a, lost;
	struct item items[5];
	struct transaction *x;

	(void)state;
	open_assignment(&a, 0, g);
	open_assignment(&lost, 1, g);
	assert_true(watermark_take(a.watermark, START));
	assert_true(watermark_take(a.watermark, START + 1));
	queue(&items[0], &a, START, 1, 1);
	queue(&items[1], &lost, -1, 1, 1);
	queue(&items[2], &a, -1, 2, 1);
	x = next();
	queue(&items[3], &a, START + 1, 3, 1);
	lost.state = ASSIGNMENT_LOST;
	x->touched[0].journal_last = 55;        /* delivered, and aborted: it counts */
	end(x, TRANSACTION_ABORTED);
	assert_ptr_equal(x->items, &items[1]);  /* the caller's again */
	assert_null(items[1].next);
	assert_false(items[1].queued);
	batch_done(x);
	assert_true(items[0].queued && items[2].queued && items[3].queued);
	assert_int_equal(watermark_staged(a.watermark), START);

	batch_withdraw(batch, &items[2]);
	queue(&items[4], &a, -1, 4, 1);         /* the queue's end is where it was */
	x = next();
	assert_ptr_equal(x->items, &items[0]);
	assert_ptr_equal(items[0].next, &items[3]);
	assert_ptr_equal(items[3].next, &items[4]);
	assert_int_equal(x->touched[0].offset, START + 2);
	assert_int_equal(x->touched[0].journal_least, 57);
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);

	queue(&items[0], &a, -1, 5, 1);         /* nothing else is queued meanwhile */
	x = next();
	end(x, TRANSACTION_ABORTED);
	assert_null(x->items);
	batch_done(x);
	queue(&items[1], &a, -1, 6, 1);
	x = next();
	assert_ptr_equal(x->items, &items[0]);
	assert_ptr_equal(items[0].next, &items[1]);
	assert_int_equal(count(x->items), 2);
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);
	close_assignment(&a);
	close_assignment(&lost);
	generation_release(g);
}

static void
test_what_does_not_go_on_is_not_queued_again(void **state)
{
	static const struct { enum transaction_result result; bool unreported, too_low; } ends[] = {
		{ TRANSACTION_STALE, false, false }, { TRANSACTION_FATAL, false, false },
		{ TRANSACTION_ABORTED, true, false }, { TRANSACTION_ABORTED, false, true },
	};
	struct generation *g = generation_capture(consumer);
	struct assignment a;
	struct item it;

	(void)state;
	open_assignment(&a, 0, g);
	assert_true(watermark_take(a.watermark, START));
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct transaction *x;

		queue(&it, &a, START, i + 1, 1);
		x = next();
		assert_int_equal(x->touched[0].offset, START + 1);
		x->touched[0].unreported = ends[i].unreported;
		x->touched[0].too_low = ends[i].too_low;
		end(x, ends[i].result);
		assert_ptr_equal(x->items, &it);
		assert_true(batch_empty(batch));
		assert_int_equal(watermark_lowest(a.watermark), START);
		assert_int_equal(watermark_staged(a.watermark), START);
		batch_done(x);
	}
	close_assignment(&a);
	generation_release(g);
}

static void
test_a_claim_is_due_until_something_is_committed(void **state)
{
	struct generation *g = generation_capture(consumer);
	struct assignment a, b;
	struct item items[2];
	struct transaction *x;

	(void)state;
	open_assignment(&a, 0, g);
	open_assignment(&b, 1, g);
	a.claim = (struct claim){ .offset = START, .metadata = "whose it is" };
	queue(&items[0], &a, -1, 1, 1);
	queue(&items[1], &b, -1, 1, 1);
	x = next();
	assert_ptr_equal(x->touched[0].claim, &a.claim);
	assert_null(x->touched[1].claim);
	end(x, TRANSACTION_ABORTED);
	batch_done(x);
	x = next();
	assert_ptr_equal(x->touched[0].claim, &a.claim);
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);
	queue(&items[0], &a, -1, 2, 1);
	x = next();
	assert_null(x->touched[0].claim);
	end(x, TRANSACTION_COMMITTED);
	batch_done(x);
	close_assignment(&a);
	close_assignment(&b);
	generation_release(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_offsets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations_are_not_mixed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_queues_again_in_front, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_does_not_go_on_is_not_queued_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_claim_is_due_until_something_is_committed, setup, teardown),
	};

	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
