/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three reasons to leave a cluster alone for a while, in one place: too many calls at once, the API's own
 * word, and failures in a row.
 *
 * The window is TCP's: it grows by one call per window of answers and halves when the API shows strain. All
 * calls that are in flight at that moment feel the same strain, so the window does not halve again until as
 * many calls have come back.
 *
 * The breaker opens when calls fail one after another, whatever the reason. When its time is over, and the
 * last call of the old days is back, a list is tried, which can do no harm; a POST into a sick API is one more
 * attempt whose fate nobody knows. When the list is fine one call goes through, because an API may read and
 * not write, and on that call alone depends whether the breaker closes or stays open twice as long. So a call
 * in flight is never mistaken for that one, and the gate needs no names for its permits.
 *
 * It knows nothing of tickets or threads: the loop owns one per cluster and passes the time in.
 */
#include "workers/gate.h"

#include <assert.h>

#define IDLE_MS 30000

void
gate_init(struct gate *g, const struct gate_options *o)
{
	assert(o->start >= 1 && o->most >= 1 && o->breaker_failures >= 1);
	*g = (struct gate){
		.options = *o,
		.limit = o->start < o->most ? o->start : o->most,
		.breaker = GATE_CLOSED,
		.open_for_ms = o->breaker_first_ms,
	};
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When the cluster may be asked anything again, as far as the clock decides that. */
static uint64_t
quiet_until(const struct gate *g)
{
	return g->breaker == GATE_OPEN ? later(g->not_before_ms, g->open_until_ms) : g->not_before_ms;
}

/* Somebody asks. If nobody did for a while, though he could have, what was known of the cluster is old. */
static void
note_asked(struct gate *g, uint64_t now_ms)
{
	if (now_ms > later(quiet_until(g), g->asked_ms) + IDLE_MS)
		g->open_since_ms = now_ms;
	g->asked_ms = now_ms;
}

bool
gate_acquire(struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms)
{
	unsigned limit = g->breaker == GATE_CLOSED ? (unsigned)g->limit : g->breaker == GATE_HALF_OPEN ? 1 : 0;

	if (g->in_flight < limit && now_ms >= quiet_until(g)) {
		note_asked(g, now_ms);
		g->in_flight++;
		return true;
	}
	if (now_ms < quiet_until(g))
		*ret_retry_ms = quiet_until(g);
	else
		*ret_retry_ms = g->breaker == GATE_OPEN && g->in_flight == 0 ? now_ms : UINT64_MAX;
	return false;
}

bool
gate_probe(struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms)
{
	if (g->breaker == GATE_OPEN && now_ms >= quiet_until(g) && g->in_flight == 0) {
		note_asked(g, now_ms);
		g->breaker = GATE_PROBING;
		return true;
	}
	*ret_retry_ms = g->breaker == GATE_OPEN && now_ms < quiet_until(g) ? quiet_until(g) : UINT64_MAX;
	return false;
}

static void
give_back(struct gate *g)
{
	assert(g->in_flight > 0);
	g->in_flight--;
	if (g->strained > 0)
		g->strained--;
}

void
gate_cancel(struct gate *g)
{
	give_back(g);
}

/* Does this come of too much load? Then fewer calls at once will help. */
static bool
is_strain(enum verdict v)
{
	return v == VERDICT_THROTTLED || v == VERDICT_AMBIGUOUS;
}

/* Would the next call, whatever it asks for, very likely come to the same? */
static bool
is_failure(enum verdict v)
{
	return v == VERDICT_AMBIGUOUS || v == VERDICT_NOT_SENT || v == VERDICT_CREDENTIAL || v == VERDICT_REDIRECTED;
}

static void
adapt_window(struct gate *g, enum verdict v, bool spared)
{
	if (is_strain(v)) {
		if (spared)
			return;
		g->limit = g->limit > 2 ? g->limit / 2 : 1;
		g->strained = g->in_flight;
	} else if (!is_failure(v)) {
		g->limit += 1 / g->limit;
		if (g->limit > g->options.most)
			g->limit = g->options.most;
	}
}

static void
open_breaker(struct gate *g, uint64_t now_ms)
{
	if (g->breaker == GATE_CLOSED)
		g->open_since_ms = now_ms;
	g->breaker = GATE_OPEN;
	g->open_until_ms = now_ms + g->open_for_ms;
	g->open_for_ms *= 2;
	if (g->open_for_ms > g->options.breaker_most_ms)
		g->open_for_ms = g->options.breaker_most_ms;
}

/* Whether it came from the API itself, or from a gateway that lost it, a list will tell: gate_listed. */
static bool
is_looked_up(enum verdict v)
{
	return v == VERDICT_NOT_FOUND || v == VERDICT_CONFLICT;
}

static void
drive_breaker(struct gate *g, uint64_t now_ms, enum verdict v)
{
	if (g->breaker == GATE_OPEN)            /* a call from before it opened: it tells nothing new */
		return;
	if (g->breaker == GATE_CLOSED && is_looked_up(v))
		return;
	if (!is_failure(v)) {
		g->breaker = GATE_CLOSED;
		g->failures = 0;
		g->open_for_ms = g->options.breaker_first_ms;
	} else if (++g->failures >= g->options.breaker_failures) {
		open_breaker(g, now_ms);
	}
}

void
gate_patience(struct gate *g, uint64_t now_ms, uint64_t retry_after_ms)
{
	if (retry_after_ms > 0)
		g->not_before_ms = later(g->not_before_ms, now_ms + retry_after_ms);
}

void
gate_release(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms)
{
	bool spared = g->strained > 0;          /* this one was in flight when the window was halved */

	give_back(g);
	adapt_window(g, v, spared);
	drive_breaker(g, now_ms, v);
	gate_patience(g, now_ms, retry_after_ms);
}

void
gate_probed(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms)
{
	assert(g->breaker == GATE_PROBING);
	g->asked_ms = now_ms;                   /* a long list is no silence */
	if (v == VERDICT_LISTED)
		g->breaker = GATE_HALF_OPEN;
	else
		open_breaker(g, now_ms);
	gate_patience(g, now_ms, retry_after_ms);
}

void
gate_probe_cancel(struct gate *g)
{
	assert(g->breaker == GATE_PROBING);
	g->breaker = GATE_OPEN;
}

bool
gate_stalled(const struct gate *g, uint64_t now_ms, uint64_t for_ms)
{
	bool next_may_go = g->breaker == GATE_CLOSED || (g->breaker == GATE_HALF_OPEN && g->in_flight == 0);

	return !next_may_go && now_ms > g->open_since_ms + for_ms;
}

bool
gate_may_list(const struct gate *g, uint64_t now_ms, uint64_t *ret_retry_ms)
{
	*ret_retry_ms = g->breaker == GATE_CLOSED || g->breaker == GATE_HALF_OPEN ? g->not_before_ms : UINT64_MAX;
	return now_ms >= *ret_retry_ms;
}

void
gate_listed(struct gate *g, uint64_t now_ms, enum verdict v, uint64_t retry_after_ms)
{
	if (g->breaker == GATE_CLOSED && v == VERDICT_LISTED)
		g->failures = 0;
	else if (g->breaker == GATE_CLOSED && v != VERDICT_THROTTLED && ++g->failures >= g->options.breaker_failures)
		open_breaker(g, now_ms);
	gate_patience(g, now_ms, retry_after_ms);
}
