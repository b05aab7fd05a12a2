/* SPDX-License-Identifier: Apache-2.0 */
/* One round of a cluster: a list is wanted, comes back, is gone through token by token, and what may be deleted is.
 *
 * Nothing here is urgent, and all of it may be large: a list has a hundred thousand tokens, each of which may need a
 * look into the journal. So whoever drives it takes as many tokens as there is time for, and no token is looked
 * at while DELETEs wait: what is remembered is one list and a few DELETEs a cluster, whatever was found. Evidence does
 * not go stale (evidence.c), so it does not matter how long a round takes.
 *
 * A list that failed is asked for again after a while. A DELETE that failed is not: the token is in the next list. */
#include "service/sweep.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/chaos.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/sweep_plan.h"
#include "workers/pool.h"

#define DELETES_AT_ONCE 4
#define AGAIN_SLOTS 6                   /* a list that failed: half a minute */

struct deletion {
	struct job job;                 /* first: it comes back as this */
	struct deletion *next;
	enum evidence_clause clause;
	char token_id[JOB_TOKEN_ID_ROOM], marker[JOB_MARKER_MOST + 1];
};

struct round {
	struct sweep_plan plan;
	/* the list that is being gone through; NULL: none */
	struct job_listed *listed;
	size_t n_listed, at, n_tokens;
	int64_t skew_ms;
	bool asked;                     /* about the one at `at` */
	unsigned found[EVIDENCE_COUNT];
	/* DELETEs */
	struct deletion *waiting, **last, *under_way;
	unsigned n_under_way;

	struct series *swept, *failed, *clauses[EVIDENCE_COUNT];
};

struct sweep {
	const struct config *config;
	struct pool *pool;
	struct round *rounds;           /* by cluster */
};

struct sweep *
sweep_new(const struct config *c, struct pool *pool)
{
	struct sweep *s = calloc(1, sizeof *s);

	if (s == NULL || (s->rounds = calloc(c->n_clusters, sizeof *s->rounds)) == NULL)
		abort();
	s->config = c;
	s->pool = pool;
	for (size_t i = 0; i < c->n_clusters; i++) {
		struct round *r = &s->rounds[i];
		const char *name = c->clusters[i].name;

		sweep_plan_init(&r->plan, duration_ms(DURATION_SWEEP_SLOT), c->sweep_interval_ms,
		    duration_ms(DURATION_SWEEP_FOR));
		r->last = &r->waiting;
		r->swept = metrics_at(METRIC_SWEEPS, name, "listed");
		r->failed = metrics_at(METRIC_SWEEPS, name, "failed");
		for (int clause = 0; clause < EVIDENCE_COUNT; clause++)
			r->clauses[clause] = metrics_at(evidence_deletes((enum evidence_clause)clause) ?
			    METRIC_ORPHANS_DELETED : METRIC_TOKENS_KEPT, name,
			    evidence_label((enum evidence_clause)clause));
	}
	return s;
}

static void
free_deletions(struct sweep *s, struct deletion *list)
{
	for (struct deletion *next; list != NULL; list = next) {
		next = list->next;
		pool_return(s->pool, &list->job);
		free(list);
	}
}

void
sweep_free(struct sweep *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->config->n_clusters; i++) {
		free(s->rounds[i].listed);
		free_deletions(s, s->rounds[i].waiting);
		free_deletions(s, s->rounds[i].under_way);
	}
	free(s->rounds);
	free(s);
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

void
sweep_after(struct sweep *s, int cluster, int64_t not_after_ms, bool unknown)
{
	int64_t now = (int64_t)clock_boot_ms();

	sweep_plan_attempt(&s->rounds[cluster].plan, (uint64_t)now, now + (not_after_ms - clock_wall_ms()), unknown);
}

void
sweep_soon(struct sweep *s, int cluster)
{
	uint64_t now = clock_boot_ms();

	sweep_plan_at(&s->rounds[cluster].plan, now, now);
}

uint64_t
sweep_wants(struct sweep *s, int cluster, uint64_t now_boot_ms)
{
	struct round *r = &s->rounds[cluster];

	return r->listed != NULL ? UINT64_MAX : sweep_plan_next(&r->plan, now_boot_ms);
}

/* ---- what a list found ------------------------------------------------------------------------------------------- */

/* One line a list. Tokens that should be known, and are not, are worth a warning. */
static void
tell(const struct sweep *s, const struct round *r, size_t cluster)
{
	struct log_field fields[3 + EVIDENCE_COUNT] = {
		LOG_S("cluster", s->config->clusters[cluster].name), LOG_N("tokens", r->n_tokens),
		LOG_N("marked", r->n_listed),
	};
	size_t n = 3;

	for (int clause = 0; clause < EVIDENCE_COUNT; clause++)
		if (r->found[clause] > 0)
			fields[n++] = (struct log_field)LOG_N(evidence_label((enum evidence_clause)clause),
			    r->found[clause]);
	log_event(r->found[EVIDENCE_UNKNOWN] > 0 ? LOG_WARN_ : LOG_INFO_, "sweep", "a cluster was swept", fields, n);
}

static void
end_round(struct sweep *s, struct round *r, size_t cluster)
{
	tell(s, r, cluster);
	for (int clause = 0; clause < EVIDENCE_COUNT; clause++)
		if (!evidence_deletes((enum evidence_clause)clause))
			metrics_set(r->clauses[clause], r->found[clause]);
	metrics_add(r->swept, 1);
	free(r->listed);
	r->listed = NULL;
}

static void
begin_round(struct sweep *s, struct round *r, struct job *list)
{
	CHAOS_POINT("sweeping");
	r->listed = list->listed;
	r->n_listed = list->n_listed;
	r->n_tokens = list->n_tokens;
	r->skew_ms = list->skew_ms;
	r->at = 0;
	memset(r->found, 0, sizeof r->found);
	list->listed = NULL;
	list->n_listed = 0;
	if (r->listed == NULL)
		end_round(s, r, list->cluster);
}

void
sweep_listed(struct sweep *s, struct job *list)
{
	struct round *r = &s->rounds[list->cluster];
	uint64_t now = clock_boot_ms();

	if (list->looked_for == NULL || r->listed != NULL)
		return;
	sweep_plan_served(&r->plan, now - list->took_us / 1000);
	if (list->verdict == VERDICT_LISTED) {
		begin_round(s, r, list);
		return;
	}
	metrics_add(r->failed, 1);
	sweep_plan_at(&r->plan, now, now + AGAIN_SLOTS * duration_ms(DURATION_SWEEP_SLOT));
	log_warn("sweep", "a cluster's tokens could not be listed; orphans are looked for later",
	    LOG_S("cluster", s->config->clusters[list->cluster].name), LOG_S("why", list->message));
}

/* They are ordered by marker. */
static bool
is_alone(const struct round *r)
{
	const struct job_listed *it = &r->listed[r->at];

	return (r->at == 0 || strcmp(it[-1].marker, it->marker) != 0) &&
	    (r->at + 1 == r->n_listed || strcmp(it[1].marker, it->marker) != 0);
}

static struct sweep_token
current(const struct round *r)
{
	return (struct sweep_token){ .listed = &r->listed[r->at], .alone = is_alone(r), .skew_ms = r->skew_ms };
}

bool
sweep_token(const struct sweep *s, int cluster, struct sweep_token *ret)
{
	const struct round *r = &s->rounds[cluster];

	if (r->listed == NULL || r->asked || r->waiting != NULL)
		return false;
	*ret = current(r);
	return true;
}

void
sweep_ask(struct sweep *s, int cluster)
{
	s->rounds[cluster].asked = true;
}

struct sweep_token
sweep_asked(const struct sweep *s, int cluster)
{
	assert(s->rounds[cluster].asked);
	return current(&s->rounds[cluster]);
}

void
sweep_judged(struct sweep *s, int cluster, enum evidence_clause clause)
{
	struct round *r = &s->rounds[cluster];
	const struct job_listed *it = &r->listed[r->at];

	r->asked = false;
	r->found[clause]++;
	if (evidence_deletes(clause))
		sweep_delete(s, cluster, it->token_id, it->marker, clause);
	if (++r->at == r->n_listed)
		end_round(s, r, (size_t)cluster);
}

/* ---- DELETEs ----------------------------------------------------------------------------------------------------- */

void
sweep_delete(struct sweep *s, int cluster, const char *token_id, const char *marker, enum evidence_clause clause)
{
	struct round *r = &s->rounds[cluster];
	struct deletion *d = calloc(1, sizeof *d);

	if (d == NULL)
		abort();
	d->clause = clause;
	d->job.verb = JOB_DELETE;
	d->job.cluster = (unsigned)cluster;
	(void)snprintf(d->token_id, sizeof d->token_id, "%s", token_id);
	(void)snprintf(d->marker, sizeof d->marker, "%s", marker);
	*r->last = d;
	r->last = &d->next;
}

bool
sweep_deletes(const struct sweep *s, int cluster)
{
	return s->rounds[cluster].waiting != NULL;
}

void
sweep_flush(struct sweep *s, int cluster)
{
	struct round *r = &s->rounds[cluster];
	struct deletion *d;

	while ((d = r->waiting) != NULL && r->n_under_way < DELETES_AT_ONCE) {
		if ((r->waiting = d->next) == NULL)
			r->last = &r->waiting;
		d->next = r->under_way;
		r->under_way = d;
		r->n_under_way++;
		d->job.token_id = d->token_id;
		d->job.not_after_boot_ms = clock_boot_ms() + duration_ms(DURATION_CALL);
		CHAOS_POINT("before-delete");
		pool_submit(s->pool, &d->job);
	}
}

void
sweep_deleted(struct sweep *s, struct job *job)
{
	struct deletion *d = (struct deletion *)job, **at;
	struct round *r = &s->rounds[job->cluster];
	const char *cluster = s->config->clusters[job->cluster].name;

	CHAOS_POINT("after-delete");
	for (at = &r->under_way; *at != d; at = &(*at)->next)
		;
	*at = d->next;
	r->n_under_way--;
	if (job->verdict == VERDICT_DELETED) {
		metrics_add(r->clauses[d->clause], 1);
		log_info("sweep", "an orphan was deleted", LOG_S("cluster", cluster), LOG_S("token_id", d->token_id),
		    LOG_S("clause", evidence_label(d->clause)), LOG_S("because", evidence_why(d->clause)),
		    LOG_S("marker", d->marker));
	} else
		log_warn("sweep", "an orphan could not be deleted; it is in the next list again",
		    LOG_S("cluster", cluster), LOG_S("token_id", d->token_id), LOG_S("why", job->message),
		    LOG_S("clause", evidence_label(d->clause)), LOG_S("marker", d->marker));
	pool_return(s->pool, job);
	free(d);
}
