/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector registers, emptied.
 *
 * memcpy moves 32 or 64 bytes at a time through registers that nothing else uses, so the last piece of a token that
 * went through stays there, for as long as its thread sleeps, and whatever is shown of the thread shows it: a core
 * file holds every thread's registers in its notes. Wiping memory does not reach them.
 *
 * They are many (32 of 64 bytes, on a processor that has them all), and which of them there are depends on the
 * machine. One instruction knows: XRSTOR, told that there is nothing to restore, puts all that it is asked for into
 * the state in which a process begins. All of them are the caller's to save, so nobody misses what was in them.
 *
 * On a processor of another kind than x86-64 this does nothing.
 */
#include "service/base/registers.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <xmmintrin.h>

/* What it may empty: SSE, AVX, and of AVX-512 the masks and both parts of the registers. */
#define VECTORS ((uint64_t)(1 << 1 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 7))
#define LEGACY_BYTES 512
#define HEADER_BYTES 64
#define AT_MXCSR 24

/* The operating system saves such state, so the instruction may be used. */
static bool
has_xsave(void)
{
	unsigned a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_OSXSAVE) != 0;
}

/* How we compute, which lies in the same area, stays as it is. */
__attribute__((noinline)) void
registers_forget(void)
{
	_Alignas(64) unsigned char area[LEGACY_BYTES + HEADER_BYTES] = { 0 };
	unsigned mxcsr = _mm_getcsr();

	if (!has_xsave())
		return;
	__builtin_memcpy(area + AT_MXCSR, &mxcsr, sizeof(mxcsr));
	__asm__ volatile("xrstor64 %0"
	    :
	    : "m"(area), "a"((unsigned)VECTORS), "d"(0)
	    : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
	      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

#else

void
registers_forget(void)
{
}

#endif
