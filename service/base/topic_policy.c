/* SPDX-License-Identifier: Apache-2.0 */
/* The table of topic_policy.h as rows, and how a broker's word is held against one of them. */
#include "service/base/topic_policy.h"

#include <stdlib.h>
#include <string.h>

#include "service/base/span.h"

static const struct topic_policy rows[] = {
#define ROW(role, setting, fit, value, weight, why) \
	{ TOPIC_##role, setting, TOPIC_FIT_##fit, value, TOPIC_##weight, why },
	TOPIC_POLICIES(ROW)
#undef ROW
};

const struct topic_policy *
topic_policies(size_t *ret_n)
{
	*ret_n = sizeof(rows) / sizeof(rows[0]);
	return rows;
}

/* The next word of a list, blanks around it taken off; moves *list past it. */
static struct span
word(const char **list)
{
	const char *at = *list + strspn(*list, " "), *end = at + strcspn(at, ",");
	size_t bytes = (size_t)(end - at);

	*list = *end == ',' ? end + 1 : end;
	while (bytes > 0 && at[bytes - 1] == ' ')
		bytes--;
	return span_of(at, bytes);
}

static bool
holds_all(const char *list, const char *of)
{
	while (*of != '\0') {
		struct span wanted = word(&of);
		const char *rest = list;
		bool found = false;

		while (*rest != '\0')
			found |= span_equal(word(&rest), wanted);
		if (!found)
			return false;
	}
	return true;
}

static bool
at_least(const struct topic_policy *p, const char *value)
{
	bool may_be_endless = strncmp(p->setting, "retention.", 10) == 0;
	char *end;
	long long n = strtoll(value, &end, 10);

	return end != value && *end == '\0' && ((may_be_endless && n == -1) || n >= strtoll(p->value, NULL, 10));
}

bool
topic_policy_fits(const struct topic_policy *p, const char *value)
{
	if (p->fit == TOPIC_FIT_AT_LEAST)
		return at_least(p, value);
	return holds_all(value, p->value) && holds_all(p->value, value);
}
