/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two clocks. BOOTTIME rather than MONOTONIC for lengths: a lease must have run out after the machine
 * slept, and MONOTONIC stands still meanwhile. Neither call can fail for these clocks.
 */
#include "service/base/clock.h"

#include <time.h>

uint64_t
clock_boot_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t
clock_boot_ms(void)
{
	return clock_boot_us() / 1000;
}

int64_t
clock_wall_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}
