/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: nothing that was copied stays in a vector register once they are told to forget, and how this thread computes
 * stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "service/base/registers.h"

#ifdef __x86_64__

#include <xmmintrin.h>

#define WIDEST 64

/* A register of each kind that this machine has is filled, then forgotten, then read. */
#define TRY(move, name, bytes) do { \
	unsigned char was[WIDEST], is[WIDEST]; \
	memset(was, 'S', sizeof(was)); \
	memset(is, 'S', sizeof(is)); \
	__asm__ volatile(move " %0, %%" name : : "m"(was)); \
	if (forget) \
		registers_forget(); \
	__asm__ volatile(move " %%" name ", %0" : "=m"(is)); \
	for (int i = 0; i < (bytes); i++) \
		assert_int_equal(is[i], forget ? 0 : 'S'); \
} while (0)

static void
try_all(bool forget)
{
	TRY("movdqu", "xmm0", 16);
	TRY("movdqu", "xmm15", 16);
	if (__builtin_cpu_supports("avx")) {
		TRY("vmovdqu", "ymm0", 32);
		TRY("vmovdqu", "ymm15", 32);
	}
	if (__builtin_cpu_supports("avx512f")) {
		TRY("vmovdqu64", "zmm7", 64);
		TRY("vmovdqu64", "zmm16", 64);
		TRY("vmovdqu64", "zmm31", 64);
	}
}

static void
what_was_copied_is_forgotten(void **state)
{
	(void)state;
	try_all(false);
	try_all(true);
}

static void
how_we_compute_stays(void **state)
{
	(void)state;
	_MM_SET_ROUNDING_MODE(_MM_ROUND_UP);
	registers_forget();
	assert_int_equal(_MM_GET_ROUNDING_MODE(), _MM_ROUND_UP);
	_MM_SET_ROUNDING_MODE(_MM_ROUND_NEAREST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_copied_is_forgotten),
		cmocka_unit_test(how_we_compute_stays),
	};

	return cmocka_run_group_tests_name("registers", tests, NULL, NULL);
}

#else

int
main(void)
{
	puts("1..0 # SKIP this processor's registers are left alone");
	return 0;
}

#endif
