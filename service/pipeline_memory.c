/* SPDX-License-Identifier: Apache-2.0 */
/* How full the memories of partitions are: who is left unread for it, and who is told.
 *
 * A partition remembers up to max_remembered requests. That one may always be forgotten is not a matter of course:
 * an attempt's tokens may come to light for a day, and until a deadline has passed a repeat may come that must not
 * be taken for a new request. So a partition that is full of such is left unread. Nothing is dropped and nothing is
 * refused: its records wait in Kafka until enough of what it remembers has aged, or until it is restarted with a
 * larger bound. From 80 % on somebody is told: what is remembered then no longer reaches as far back as the
 * journal does before long. */
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/journal.h"
#include "service/pipeline_private.h"

#define ALARM_PERCENT 80

/* Said once each way. */
static void
say_full(struct assignment *a)
{
	if (a->full)
		log_error("journal", "left unread: all that the partition remembers is still needed",
		    LOG_N("partition", a->partition), LOG_N("entries", journal_entries(a->journal)));
	else
		log_info("journal", "read again: what it remembers has aged", LOG_N("partition", a->partition),
		    LOG_N("entries", journal_entries(a->journal)));
}

bool
memory_room(struct assignment *a)
{
	bool full = !journal_room(a->journal, pipeline_now());

	if (full != a->full) {
		a->full = full;
		say_full(a);
	}
	return !full;
}

static void
watch(struct assignment *a)
{
	unsigned fill;

	journal_age(a->journal, pipeline_now());
	fill = journal_fill(a->journal);
	metrics_set(a->fill, fill);
	if (fill >= ALARM_PERCENT && !a->alarmed)
		log_warn("journal", "the memory of the partition is nearly full: the oldest requests will be forgotten "
		    "before their time, and repeats of them refused", LOG_N("partition", a->partition),
		    LOG_N("percent", fill), LOG_N("entries", journal_entries(a->journal)));
	a->alarmed = fill >= ALARM_PERCENT;
}

void
memory_turn(struct pipeline *p)
{
	int64_t entries = 0, full = 0;

	for (struct assignment *a = p->assignments; a != NULL; a = a->next) {
		if (a->state != ASSIGNMENT_OPEN)
			continue;
		watch(a);
		entries += (int64_t)journal_entries(a->journal);
		full += a->full;
	}
	metrics_set(p->entries, entries);
	metrics_set(p->full, full);
}
