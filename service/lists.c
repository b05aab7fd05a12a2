/* SPDX-License-Identifier: Apache-2.0 */
/* What a cluster's list of tokens is asked for.
 *
 * A 404 may mean the database, or that the address, the account or the cluster is wrong; when the list works,
 * only the first is left. A 409 may be a conflict with a token of this very attempt, created by a POST that
 * something on the way sent twice; then the list holds its marker. A breaker tries something harmless before it
 * lets a POST through. And the sweep looks for orphans.
 *
 * One list serves all that asked before it began; who asks while it is under way waits for the next one, since what was
 * read before the question proves nothing. The sweep alone knows itself whether the list under way was begun in time
 * for it: it asks each turn, and again after that one if it was not. Where somebody needs to know what is in it, all
 * tokens with our marker are kept that are young enough to be in the journal; for the others it is enough that it
 * works. */
#include "service/lists.h"

#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/marker.h"
#include "service/ticket.h"
#include "workers/pool.h"

#define SPACING 10                      /* a list rests ten times as long as it took: it may be 100 MB */

struct list {
	struct job job;
	bool under_way;
	enum lists_for on_account_of;   /* of the one under way */
	bool probe, sweep;              /* the breaker asks; the sweep does */
	uint64_t hold_boot_ms;          /* but for the breaker, no list before */
	uint64_t tickets_boot_ms, sweep_boot_ms;        /* none for tickets, none for the sweep: it rests */
	struct ticket *waiting;         /* for the next list */
	struct ticket *served;          /* by the one under way */
};

struct lists {
	const struct config *config;
	struct pool *pool;
	char prefix[MARKER_PREFIX_ROOM];
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
	(void)marker_prefix(c->service_id, l->prefix);
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

void
lists_sweep(struct lists *l, int cluster)
{
	struct list *list = &l->lists[cluster];

	if (!list->under_way || list->job.looked_for == NULL)
		list->sweep = true;
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

static bool
asks_about_its_marker(const struct ticket *waiting)
{
	while (waiting != NULL && waiting->last_verdict != VERDICT_CONFLICT)
		waiting = waiting->line_next;
	return waiting != NULL;
}

static void
begin(struct lists *l, size_t cluster)
{
	struct list *list = &l->lists[cluster];
	bool keeps = list->sweep || asks_about_its_marker(list->waiting);
	uint64_t remembered_ms = duration_ms(DURATION_WINDOW) + duration_ms(DURATION_SKEW);

	list->on_account_of = list->probe ? LISTS_BREAKER : list->waiting != NULL ? LISTS_TICKETS : LISTS_SWEEP;
	list->served = list->waiting;
	list->waiting = NULL;
	list->probe = list->sweep = false;
	list->under_way = true;
	list->job = (struct job){ .verb = JOB_LIST, .cluster = (unsigned)cluster,
	    .looked_for = keeps ? l->prefix : NULL,
	    .created_from = (clock_wall_ms() - (int64_t)remembered_ms) / 1000,
	    .not_after_boot_ms = clock_boot_ms() + duration_ms(DURATION_LIST) };
	pool_submit(l->pool, &list->job);
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When the next list may begin; UINT64_MAX: nobody asks for one. */
static uint64_t
begins_at(const struct list *list)
{
	uint64_t at = UINT64_MAX;

	if (list->probe)
		return 0;
	if (list->waiting != NULL)
		at = list->tickets_boot_ms;
	if (list->sweep && list->sweep_boot_ms < at)
		at = list->sweep_boot_ms;
	return later(at, list->hold_boot_ms);
}

bool
lists_wanted(const struct lists *l, int cluster, uint64_t now_boot_ms)
{
	const struct list *list = &l->lists[cluster];

	return (list->waiting != NULL && now_boot_ms >= list->tickets_boot_ms) ||
	    (list->sweep && now_boot_ms >= list->sweep_boot_ms);
}

void
lists_hold(struct lists *l, int cluster, uint64_t until_boot_ms)
{
	l->lists[cluster].hold_boot_ms = until_boot_ms;
}

uint64_t
lists_flush(struct lists *l, uint64_t now_boot_ms)
{
	uint64_t earliest = UINT64_MAX;

	for (size_t i = 0; i < l->config->n_clusters; i++) {
		struct list *list = &l->lists[i];

		if (list->under_way)
			continue;
		if (now_boot_ms >= begins_at(list))
			begin(l, i);
		else if (begins_at(list) < earliest)
			earliest = begins_at(list);
	}
	return earliest;
}

enum lists_for
lists_returned(struct lists *l, struct job *job)
{
	struct list *list = &l->lists[job->cluster];
	uint64_t rest_ms = SPACING * (job->took_us / 1000), most_ms = duration_ms(DURATION_LIST);

	list->under_way = false;
	list->tickets_boot_ms = clock_boot_ms() + (rest_ms < most_ms ? rest_ms : most_ms);
	list->sweep_boot_ms = clock_boot_ms() + later(rest_ms, duration_ms(DURATION_SWEEP_SLOT));
	return list->on_account_of;
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
