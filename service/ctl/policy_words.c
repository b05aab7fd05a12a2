/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy means, said to the person who wrote it.
 *
 * Two things are easily read over in YAML and said aloud here: a grant without max_ttl lets tokens live
 * for ever, and all_databases means those of tomorrow, too.
 */
#include "service/ctl/policy_words.h"

#include <stddef.h>

#include "service/base/arena.h"
#include "service/base/text.h"
#include "service/policy_snapshot.h"

#define SOON_SECONDS (INT64_C(30) * 86400)

static const char *
list(const char *const *items, size_t n, struct arena *a)
{
	const char *text = n > 0 ? items[0] : "";

	for (size_t i = 1; i < n; i++)
		text = arena_text(a, "%s, %s", text, items[i]);
	return text;
}

/* In the largest unit that leaves no rest, as one would have written it. */
static const char *
duration(int64_t seconds, struct arena *a)
{
	static const struct { int64_t seconds; char unit; } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (seconds % units[i].seconds == 0)
			return arena_text(a, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
	return arena_text(a, "%llds", (long long)seconds);
}

const char *
policy_words_grant(const struct policy_grant *g, struct arena *a)
{
	const char *actions = g->may_read && g->may_write ? "read and write" : g->may_read ? "read" : "write";
	const char *databases = g->all_databases ? "every database" : list(g->databases, g->n_databases, a);
	const char *lifetime = g->has_max_ttl ? arena_text(a, "tokens live %s at most", duration(g->max_ttl, a)) :
	    "tokens may live for ever";

	return arena_text(a, "may %s %s on %s; %s", actions, databases, list(g->clusters, g->n_clusters, a), lifetime);
}

const char *
policy_words_limits(const struct policy_limits *l, struct arena *a)
{
	const char *minute = l->per_minute != 0 ? arena_text(a, "%u a minute, ", l->per_minute) : "";
	const char *day = l->per_day != 0 ? arena_text(a, "%u a day, ", l->per_day) : "";

	if (l->per_minute == 0 && l->per_day == 0)
		return "none";
	return arena_text(a, "%s%son each partition", minute, day);
}

enum policy_words_state
policy_words_state(int64_t not_before, int64_t not_after, int64_t now)
{
	if (now > not_after)
		return POLICY_WORDS_EXPIRED;
	if (now < not_before)
		return POLICY_WORDS_NOT_YET;
	return not_after != INT64_MAX && not_after - now <= SOON_SECONDS ? POLICY_WORDS_ENDS_SOON : POLICY_WORDS_VALID;
}

const char *
policy_words_validity(int64_t not_before, int64_t not_after, int64_t now, struct arena *a)
{
	char from[TEXT_RFC3339_ROOM], until[TEXT_RFC3339_ROOM];
	const char *end = not_after == INT64_MAX ? "" : text_time(not_after, -1, until);
	const char *begin = not_before == INT64_MIN ? "" : text_time(not_before, -1, from);

	switch (policy_words_state(not_before, not_after, now)) {
	case POLICY_WORDS_EXPIRED:
		return arena_text(a, "EXPIRED since %s", end);
	case POLICY_WORDS_NOT_YET:
		return arena_text(a, "not before %s%s%s", begin, end[0] != '\0' ? ", until " : "", end);
	case POLICY_WORDS_ENDS_SOON:
		return arena_text(a, "until %s, SOON", end);
	case POLICY_WORDS_VALID:
		break;
	}
	return end[0] != '\0' ? arena_text(a, "until %s", end) : "always";
}
