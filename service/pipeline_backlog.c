/* SPDX-License-Identifier: Apache-2.0 */
/* No cluster starves another.
 *
 * Requests for a cluster that does not answer wait, and while they wait they hold tickets. A partition has so
 * many and no more: full of them it is left unread, and whatever lies behind for clusters that do answer
 * waits along. So a cluster that has let nothing through for a while may hold half of a partition's tickets
 * (and of the bytes that all may hold). What is beyond, the newest first, is answered: later, with a new ID.
 *
 * A cluster that was only just left alone keeps all: most outages are short, and an answer that it did not
 * work is final. */
#include "service/base/config.h"
#include "service/conclude.h"
#include "service/dispatch.h"
#include "service/pipeline_private.h"
#include "service/timers.h"

void
backlog_count(struct ticket *t)
{
	t->counted = true;
	t->assignment->of_cluster[t->request.cluster]++;
}

void
backlog_forget(struct ticket *t)
{
	if (!t->counted)
		return;
	t->counted = false;
	t->assignment->of_cluster[t->request.cluster]--;
}

static bool
only_waits(const struct ticket *t, int cluster)
{
	return t->counted && t->request.cluster == cluster && (t->state == TICKET_QUEUED || t->state == TICKET_BACKOFF);
}

static void
shed(struct pipeline *p, struct ticket *t)
{
	timers_clear(p->timers, t);
	if (t->state == TICKET_QUEUED)
		dispatch_withdraw(p->dispatch, t);
	backlog_forget(t);
	conclude_backlog(t, p->o.config->clusters[t->request.cluster].name);
	answer_status(p, t);
}

/* An assignment's newest tickets stand first. */
static void
shed_beyond_half(struct pipeline *p, struct assignment *a, int cluster, size_t *bytes)
{
	unsigned half = (p->o.config->max_pending + 1) / 2;
	struct ticket *t, *next;

	for (t = a->tickets; t != NULL && (a->of_cluster[cluster] > half ||
	    *bytes > TICKETS_BYTES_MOST / 2); t = next) {
		next = t->next;
		if (!only_waits(t, cluster))
			continue;
		*bytes -= t->counted_bytes;
		shed(p, t);
	}
}

void
backlog_shed(struct pipeline *p, uint64_t now_boot_ms)
{
	size_t bytes = p->tickets_bytes;

	for (size_t cluster = 0; cluster < p->o.config->n_clusters; cluster++)
		if (dispatch_stalled(p->dispatch, (int)cluster, now_boot_ms))
			for (struct assignment *a = p->assignments; a != NULL; a = a->next)
				if (a->state == ASSIGNMENT_OPEN)
					shed_beyond_half(p, a, (int)cluster, &bytes);
}
