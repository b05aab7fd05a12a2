/* SPDX-License-Identifier: Apache-2.0 */
/* R4: a token is deleted on evidence alone that nobody has received it, or ever will.
 *
 * The evidence is one of four, and each is final: a committed record does not change, a call that ended does not
 * answer, an answer that was never begun is not committed by anybody. So it does not matter how old the evidence
 * is, nor whether its partition is still ours when the DELETE leaves. Absence is no evidence: an index that does
 * not know an attempt may be the one that is behind.
 *
 * The reverse mistake, to keep an orphan, is mended by the next list. What is not here: how the evidence is found
 * (pipeline_sweep.c), and when somebody looks (sweep.c). */
#include "service/evidence.h"

#include <string.h>

#include "service/base/chaos.h"
#include "service/base/durations.h"

static const struct {
	const char *label, *why;
	enum { KEEP, DELETE } effect;
} clauses[EVIDENCE_COUNT] = {
#define ROW(clause, effect, label, why) [EVIDENCE_##clause] = { label, why, effect },
	EVIDENCE_CLAUSES(ROW)
#undef ROW
};

const char *
evidence_label(enum evidence_clause c)
{
	return clauses[c].label;
}

const char *
evidence_why(enum evidence_clause c)
{
	return clauses[c].why;
}

bool
evidence_deletes(enum evidence_clause c)
{
	return clauses[c].effect == DELETE;
}

/* The index may be behind, or somebody's copy of a description may name what never was. */
static enum evidence_clause
nowhere(const struct evidence *e)
{
	if (RULE_OFF("R4"))
		return EVIDENCE_CLOSED;
	return e->created_at != 0 && e->created_at <= e->floor ? EVIDENCE_FORGOTTEN : EVIDENCE_UNKNOWN;
}

static enum evidence_clause
closed(const struct evidence *e)
{
	switch (e->closure) {
	case CLOSURE_COMMITTED:
		return EVIDENCE_CLOSED;
	case CLOSURE_ENDED:
		return EVIDENCE_ENDED;
	case CLOSURE_NONE:
		break;
	}
	/* It was open when we restored: its life may go on, and ours be the stale one, until a commit says
	 * otherwise. */
	return RULE_OFF("R4") ? EVIDENCE_CLOSED : EVIDENCE_UNCOMMITTED;
}

/* The API's clock and ours may differ by as much as was measured, and by the second to which both are cut; but a clock
 * that is far off tells nothing. */
static bool
inside_window(const struct evidence *e)
{
	int64_t most_ms = (int64_t)duration_ms(DURATION_SKEW), skew_ms = e->skew_ms < 0 ? -e->skew_ms : e->skew_ms;
	int64_t margin_ms = 1000 + (skew_ms < most_ms ? skew_ms : most_ms), created_ms = e->created_at * 1000;

	return created_ms >= e->not_before_ms - margin_ms &&
	    created_ms <= e->not_after_ms + margin_ms;
}

static enum evidence_clause
delivered(const struct evidence *e)
{
	if (e->delivered_id == NULL || strcmp(e->delivered_id, e->token_id) == 0)
		return EVIDENCE_DELIVERED;
	return inside_window(e) ? EVIDENCE_TWIN : EVIDENCE_OUTSIDE;
}

static enum evidence_clause
in_hand(const struct evidence *e)
{
	if (!e->lost)
		return EVIDENCE_UNDER_WAY;
	return e->uncommitted ? EVIDENCE_STRING : EVIDENCE_DOUBTFUL;
}

enum evidence_clause
evidence_may_delete(const struct evidence *e)
{
	if (e->revoked)
		return EVIDENCE_REVOKED;
	if (e->string)
		return in_hand(e);
	switch (e->found) {
	case FOUND_FOREIGN:
		return RULE_OFF("R4") ? EVIDENCE_CLOSED : EVIDENCE_FOREIGN;
	case FOUND_UNREAD:
		return EVIDENCE_UNREAD;
	case FOUND_NOWHERE:
		return nowhere(e);
	case FOUND_ELSEWHERE:
		return EVIDENCE_ELSEWHERE;
	case FOUND_OPEN:
		return EVIDENCE_UNDER_WAY;
	case FOUND_CLOSED:
		return closed(e);
	case FOUND_DELIVERED:
		return delivered(e);
	}
	return EVIDENCE_UNKNOWN;
}
