/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lists of permissions compared as sets: sorted, then walked side by side. A thousand of each take well under a
 * millisecond, where comparing each with each would hold up the thread's other calls.
 */
#include "workers/permission_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	const char *action, *resource;
};

struct permission_set {
	size_t n, most;
	struct pair pairs[];
};

struct permission_set *
permission_set_new(size_t most)
{
	struct permission_set *s = malloc(sizeof(*s) + most * sizeof(*s->pairs));

	if (s != NULL)
		*s = (struct permission_set){ .most = most };
	return s;
}

void
permission_set_free(struct permission_set *s)
{
	free(s);
}

void
permission_set_add(struct permission_set *s, const char *action, const char *resource)
{
	assert(s->n < s->most);
	s->pairs[s->n++] = (struct pair){ action, resource };
}

static int
compare(const void *a, const void *b)
{
	const struct pair *p = a, *q = b;
	int resources = strcmp(p->resource, q->resource);

	return resources != 0 ? resources : strcmp(p->action, q->action);
}

static void
sort_and_thin(struct permission_set *s)
{
	size_t kept = 0;

	qsort(s->pairs, s->n, sizeof(*s->pairs), compare);
	for (size_t i = 0; i < s->n; i++)
		if (kept == 0 || compare(&s->pairs[kept - 1], &s->pairs[i]) != 0)
			s->pairs[kept++] = s->pairs[i];
	s->n = kept;
}

bool
permission_set_equal(struct permission_set *a, struct permission_set *b)
{
	sort_and_thin(a);
	sort_and_thin(b);
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (compare(&a->pairs[i], &b->pairs[i]) != 0)
			return false;
	return true;
}
