/* SPDX-License-Identifier: Apache-2.0 */
/* What a cluster's list of tokens is asked for.
 *
 * A 404 may mean the database, or that the address, the account or the cluster is wrong; when the list works,
 * only the first is left. A 409 may be a conflict with a token of this very attempt, created by a POST that
 * something on the way sent twice; then the list holds its marker. And a breaker tries something harmless
 * before it lets a POST through.
 *
 * Tickets that ask while a list is under way wait for the next one: what was read before they were answered
 * proves nothing. All that ask about a 404 are served by the same list, since it need only work; of those
 * that ask about a 409 one at a time, since it is one marker that is looked for. */
#include "service/lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/ticket.h"
#include "workers/pool.h"

#define SPACING 10                      /* a list rests ten times as long as it took: it may be 100 MB */

struct list {
	struct job job;
	char marker[JOB_MARKER_MOST + 1];       /* what it looks for; tickets may go before it is back */
	bool under_way;
	bool probe, probe_served;       /* the breaker asks; the list under way is for it */
	uint64_t hold_boot_ms, spaced_boot_ms;  /* no list for tickets before either */
	struct ticket *waiting;         /* for the next list */
	struct ticket *served;          /* by the one under way */
};

struct lists {
	const struct config *config;
	struct pool *pool;
	struct list *lists;             /* by cluster */
};

struct lists *
lists_new(const struct config *c, struct pool *pool)
{
	struct lists *l = calloc(1, sizeof *l);

	if (l == NULL || (l->lists = calloc(c->n_clusters, sizeof *l->lists)) == NULL)
		abort();
	l->config = c;
	l->pool = pool;
	return l;
}

void
lists_free(struct lists *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->config->n_clusters; i++)
		pool_return(l->pool, &l->lists[i].job);
	free(l->lists);
	free(l);
}

void
lists_probe(struct lists *l, int cluster)
{
	l->lists[cluster].probe = true;
}

/* First come, first served. */
static void
append(struct ticket **onto, struct ticket *t)
{
	while (*onto != NULL)
		onto = &(*onto)->line_next;
	t->line_next = NULL;
	*onto = t;
}

static bool
take_out(struct ticket **from, const struct ticket *t)
{
	while (*from != NULL && *from != t)
		from = &(*from)->line_next;
	if (*from == NULL)
		return false;
	*from = t->line_next;
	return true;
}

void
lists_wait(struct lists *l, struct ticket *t)
{
	append(&l->lists[t->request.cluster].waiting, t);
}

void
lists_withdraw(struct lists *l, struct ticket *t)
{
	struct list *list = &l->lists[t->request.cluster];

	if (!take_out(&list->waiting, t))
		(void)take_out(&list->served, t);
	t->line_next = NULL;
}

/* The marker is the description's end: nothing in it, and nothing a requester may write, begins like it. */
static const char *
marker_of(const struct ticket *t)
{
	return strrchr(t->job.description, '[');
}

static void
begin(struct lists *l, size_t cluster)
{
	struct list *list = &l->lists[cluster];
	struct ticket *t, *later = NULL;

	list->marker[0] = '\0';
	while ((t = list->waiting) != NULL) {
		list->waiting = t->line_next;
		if (t->last_verdict == VERDICT_CONFLICT && list->marker[0] != '\0') {
			append(&later, t);
			continue;
		}
		if (t->last_verdict == VERDICT_CONFLICT)
			(void)snprintf(list->marker, sizeof list->marker, "%s", marker_of(t));
		append(&list->served, t);
	}
	list->waiting = later;
	list->probe_served = list->probe;
	list->probe = false;
	list->under_way = true;
	list->job = (struct job){ .verb = JOB_LIST, .cluster = (unsigned)cluster,
	    .looked_for = list->marker[0] != '\0' ? list->marker : NULL,
	    .not_after_boot_ms = clock_boot_ms() + duration_ms(DURATION_LIST) };
	pool_submit(l->pool, &list->job);
}

bool
lists_wanted(const struct lists *l, int cluster)
{
	return l->lists[cluster].waiting != NULL;
}

void
lists_hold(struct lists *l, int cluster, uint64_t until_boot_ms)
{
	l->lists[cluster].hold_boot_ms = until_boot_ms;
}

static uint64_t
not_before(const struct list *list)
{
	uint64_t tickets = list->hold_boot_ms > list->spaced_boot_ms ? list->hold_boot_ms : list->spaced_boot_ms;

	return list->probe ? 0 : tickets;
}

uint64_t
lists_flush(struct lists *l, uint64_t now_boot_ms)
{
	uint64_t earliest = UINT64_MAX;

	for (size_t i = 0; i < l->config->n_clusters; i++) {
		struct list *list = &l->lists[i];

		if (list->under_way || (!list->probe && list->waiting == NULL))
			continue;
		if (now_boot_ms >= not_before(list))
			begin(l, i);
		else if (not_before(list) < earliest)
			earliest = not_before(list);
	}
	return earliest;
}

bool
lists_returned(struct lists *l, struct job *job)
{
	struct list *list = &l->lists[job->cluster];
	uint64_t pause_ms = SPACING * (job->took_us / 1000), most_ms = duration_ms(DURATION_LIST);

	list->under_way = false;
	list->spaced_boot_ms = clock_boot_ms() + (pause_ms < most_ms ? pause_ms : most_ms);
	return list->probe_served;
}

struct ticket *
lists_served(struct lists *l, struct job *list)
{
	struct ticket **at = &l->lists[list->cluster].served, *t = *at;

	if (t != NULL) {
		*at = t->line_next;
		t->line_next = NULL;
	}
	return t;
}
