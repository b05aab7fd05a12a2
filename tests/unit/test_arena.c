/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: pieces are aligned, zeroed, apart from one another, and all given back (the address sanitizer's
 * build watches the last). */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdint.h>

#include "service/base/arena.h"

#define PIECES 3000

static bool
all_are(const unsigned char *p, size_t bytes, unsigned char value)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* Sizes on both sides of a block's and of what gets one of its own. */
static void
pieces_do_not_touch(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 400, 1023, 1024, 1025, 4095, 4096, 4097, 16384, 16385,
		70000 };
	static const size_t n_sizes = sizeof(sizes) / sizeof(sizes[0]);
	static unsigned char *pieces[PIECES];
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < PIECES; i++) {
		size_t bytes = sizes[(i * 7 + i / 50) % n_sizes];

		pieces[i] = arena_alloc(&a, bytes);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		assert_true(all_are(pieces[i], bytes, 0));
		memset(pieces[i], (int)(i % 251), bytes);
	}
	for (size_t i = 0; i < PIECES; i++)
		assert_true(all_are(pieces[i], sizes[(i * 7 + i / 50) % n_sizes], (unsigned char)(i % 251)));
	assert_true(a.used_bytes > PIECES * 1000);
	arena_free(&a);
	assert_null(a.blocks);
	assert_int_equal(a.used_bytes, 0);
	assert_non_null(arena_alloc(&a, 10));
	arena_free(&a);
	arena_free(&a);
}

static void
a_large_piece_does_not_waste_the_newest_block(void **state)
{
	struct arena a;
	unsigned char *before, *after;

	(void)state;
	arena_init(&a);
	before = arena_alloc(&a, 16);
	(void)arena_alloc(&a, 100000);
	after = arena_alloc(&a, 16);
	assert_ptr_equal(after, before + 16);
	arena_free(&a);
}

static void
copies_and_texts(void **state)
{
	struct arena a = { 0 };
	struct span copy = arena_copy(&a, span_of("a\0b", 3));
	char *text;

	(void)state;
	assert_true(span_equal(copy, span_of("a\0b", 3)));
	assert_int_equal(copy.data[3], '\0');
	copy = arena_copy(&a, span_of(NULL, 0));
	assert_int_equal(copy.bytes, 0);
	assert_non_null(copy.data);
	text = arena_text(&a, "%s/%d/%0*d", "x", 7, 9000, 1);
	assert_int_equal(strlen(text), 9004);
	assert_int_equal(strncmp(text, "x/7/000", 7), 0);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_do_not_touch),
		cmocka_unit_test(a_large_piece_does_not_waste_the_newest_block),
		cmocka_unit_test(copies_and_texts),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
