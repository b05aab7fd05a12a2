/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of durations, as numbers. In a test build the rows that wait for the API alone can be
 * shortened, so that a chaos run sees a hundred breaker cycles and not two; whoever ships the program
 * ships it without that code.
 */
#include "service/base/durations.h"

#include <assert.h>

#ifdef TOKEND_SCALED_TIME
#include <pthread.h>
#include <stdlib.h>

static double scale;

static void
read_scale(void)
{
	const char *text = getenv("TOKEND_TIME_SCALE");
	double asked = text != NULL ? strtod(text, NULL) : 1.0;

	scale = asked > 0.0 && asked <= 1.0 ? asked : 1.0;
}

static uint64_t
scaled(uint64_t ms)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t less;

	(void)pthread_once(&once, read_scale);
	less = (uint64_t)((double)ms * scale);
	return less > 0 ? less : 1;
}
#else
static uint64_t
scaled(uint64_t ms)
{
	return ms;
}
#endif

static const struct {
	uint64_t ms;
	enum { FIXED, API } kind;
} table[DURATION_COUNT] = {
#define ROW(name, ms, kind, meaning) [DURATION_##name] = { ms, kind },
	DURATIONS(ROW)
#undef ROW
};

uint64_t
duration_ms(enum duration which)
{
	assert(which < DURATION_COUNT);
	return table[which].kind == API ? scaled(table[which].ms) : table[which].ms;
}
