/* SPDX-License-Identifier: Apache-2.0 */
/* No cluster starves another.
 *
 * Requests for a cluster that does not answer wait, and while they wait they hold tickets. A partition has so
 * many and no more: full of them it is left unread, and whatever lies behind for clusters that do answer
 * waits along. So a cluster that has let nothing through for a while may hold half of a partition's tickets
 * (and of the bytes that all may hold), repeats included. What is beyond, the newest first, is answered: later,
 * with a new ID.
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
	struct share *s = &t->assignment->of_cluster[t->request.cluster];

	t->counted = true;
	s->tickets++;
	s->bytes += t->counted_bytes;
}

/* A repeat waits for whatever its holder waits for. */
void
backlog_count_waiter(struct ticket *t)
{
	if (!t->waits_for->counted)
		return;
	t->request.cluster = t->waits_for->request.cluster;
	backlog_count(t);
}

void
backlog_forget(struct ticket *t)
{
	struct share *s;

	if (!t->counted)
		return;
	s = &t->assignment->of_cluster[t->request.cluster];
	t->counted = false;
	s->tickets--;
	s->bytes -= t->counted_bytes;
}

/* The ticket whose end ends t's waiting: a repeat's is its holder's. NULL: it does not only wait, or for another
 * cluster. */
static struct ticket *
to_end(struct ticket *t, int cluster)
{
	struct ticket *first = t->state == TICKET_WAITING ? t->waits_for : t;

	if (!t->counted || t->request.cluster != cluster)
		return NULL;
	return first->state == TICKET_QUEUED || first->state == TICKET_BACKOFF ? first : NULL;
}

static void
shed(struct pipeline *p, struct ticket *t)
{
	pipeline_unwait(p, t);
	backlog_forget(t);
	for (struct ticket *w = t->waiters; w != NULL; w = w->line_next)
		backlog_forget(w);
	conclude_backlog(t, p->o.config->clusters[t->request.cluster].name);
	answer_status(p, t);
}

static size_t
bytes_of(const struct pipeline *p, size_t cluster)
{
	size_t bytes = 0;

	for (const struct assignment *a = p->assignments; a != NULL; a = a->next)
		bytes += a->of_cluster[cluster].bytes;
	return bytes;
}

/* An assignment's newest tickets stand first. */
static void
shed_beyond_half(struct pipeline *p, struct assignment *a, int cluster)
{
	const struct share *s = &a->of_cluster[cluster];
	size_t others = bytes_of(p, (size_t)cluster) - s->bytes;
	unsigned half = (p->o.config->max_pending + 1) / 2;
	struct ticket *t, *next, *end;

	for (t = a->tickets; t != NULL && (s->tickets > half || others + s->bytes > TICKETS_BYTES_MOST / 2); t = next) {
		next = t->next;
		if ((end = to_end(t, cluster)) != NULL)
			shed(p, end);
	}
}

void
backlog_shed(struct pipeline *p, uint64_t now_boot_ms)
{
	for (size_t cluster = 0; cluster < p->o.config->n_clusters; cluster++)
		if (dispatch_stalled(p->dispatch, (int)cluster, now_boot_ms))
			for (struct assignment *a = p->assignments; a != NULL; a = a->next)
				if (a->state == ASSIGNMENT_OPEN)
					shed_beyond_half(p, a, (int)cluster);
}
