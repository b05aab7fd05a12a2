/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of tickets before each cluster's gate, and what leaves through it.
 *
 * An attempt's uuid begins with 8 bytes of the request's key hash, so that the marker in a token's
 * description leads to its journal entry; the other 8 are random. Its window, not_before to not_after, is
 * written down in the intent: after not_after its call has certainly ended, whatever became of this process. */
#include "service/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/random.h"
#include "service/marker.h"
#include "service/ticket.h"
#include "workers/gate.h"
#include "workers/pool.h"

#define GATE_START 4
#define BREAKER_FAILURES 5

struct line {
	struct ticket *first, **last;
	struct gate gate;
	bool shut;
	struct series *in_flight, *limit, *breaker, *shut_gauge;
};

struct dispatch {
	const struct config *config;
	struct pool *pool;
	struct line *lines;             /* by cluster */
	struct job *jobs, **last_job;   /* of this turn */
};

static void
show(struct line *l)
{
	metrics_set(l->in_flight, l->gate.in_flight);
	metrics_set(l->limit, (int64_t)l->gate.limit);
	metrics_set(l->breaker, l->gate.breaker != GATE_CLOSED);
}

struct dispatch *
dispatch_new(const struct config *c, struct pool *pool)
{
	struct dispatch *d = calloc(1, sizeof *d);

	if (d == NULL || (d->lines = calloc(c->n_clusters, sizeof *d->lines)) == NULL)
		abort();
	d->config = c;
	d->pool = pool;
	d->last_job = &d->jobs;
	for (size_t i = 0; i < c->n_clusters; i++) {
		struct line *l = &d->lines[i];

		l->last = &l->first;
		gate_init(&l->gate, &(struct gate_options){
		    .start = c->clusters[i].max_concurrency < GATE_START ? c->clusters[i].max_concurrency : GATE_START,
		    .most = c->clusters[i].max_concurrency, .breaker_first_ms = duration_ms(DURATION_BREAKER_FIRST),
		    .breaker_most_ms = duration_ms(DURATION_BREAKER_MOST), .breaker_failures = BREAKER_FAILURES });
		l->in_flight = metrics_at(METRIC_INFLIGHT, c->clusters[i].name, NULL);
		l->limit = metrics_at(METRIC_CONCURRENCY, c->clusters[i].name, NULL);
		l->breaker = metrics_at(METRIC_BREAKER_OPEN, c->clusters[i].name, NULL);
		l->shut_gauge = metrics_at(METRIC_CLUSTER_SHUT, c->clusters[i].name, NULL);
		show(l);
	}
	return d;
}

void
dispatch_free(struct dispatch *d)
{
	if (d == NULL)
		return;
	free(d->lines);
	free(d);
}

static struct line *
line_of(struct dispatch *d, const struct ticket *t)
{
	return &d->lines[t->request.cluster];
}

void
dispatch_queue(struct dispatch *d, struct ticket *t)
{
	struct line *l = line_of(d, t);

	t->line_next = NULL;
	*l->last = t;
	l->last = &t->line_next;
}

void
dispatch_withdraw(struct dispatch *d, struct ticket *t)
{
	struct line *l = line_of(d, t);

	for (struct ticket **at = &l->first; *at != NULL; at = &(*at)->line_next) {
		if (*at != t)
			continue;
		*at = t->line_next;
		if (*at == NULL)
			l->last = at;
		t->line_next = NULL;
		return;
	}
}

/* The first that may go: a cluster that is shut makes no more tokens, and deletes those it made. */
static struct ticket *
first_of(const struct line *l)
{
	struct ticket *t = l->first;

	while (l->shut && t != NULL && t->request.method != METHOD_REVOKE_TOKEN)
		t = t->line_next;
	return t;
}

bool
dispatch_probe(struct dispatch *d, int cluster, bool wanted, uint64_t now_boot_ms)
{
	struct line *l = &d->lines[cluster];
	uint64_t retry;

	return (first_of(l) != NULL || wanted) && gate_probe(&l->gate, now_boot_ms, &retry);
}

uint64_t
dispatch_list_at(const struct dispatch *d, int cluster, uint64_t now_boot_ms)
{
	uint64_t retry;

	return gate_may_list(&d->lines[cluster].gate, now_boot_ms, &retry) ? now_boot_ms : retry;
}

bool
dispatch_stalled(const struct dispatch *d, int cluster, uint64_t now_boot_ms)
{
	const struct line *l = &d->lines[cluster];

	return l->shut || gate_stalled(&l->gate, now_boot_ms, duration_ms(DURATION_BACKLOG));
}

bool
dispatch_is_shut(const struct dispatch *d, int cluster)
{
	return d->lines[cluster].shut;
}

struct ticket *
dispatch_next(struct dispatch *d, uint64_t now_boot_ms, uint64_t *ret_retry_boot_ms)
{
	uint64_t earliest = UINT64_MAX;

	for (size_t i = 0; i < d->config->n_clusters; i++) {
		struct line *l = &d->lines[i];
		struct ticket *t = first_of(l);
		uint64_t retry;

		if (t == NULL)
			continue;
		if (!gate_acquire(&l->gate, now_boot_ms, &retry)) {
			show(l);
			if (retry < earliest)
				earliest = retry;
			continue;
		}
		dispatch_withdraw(d, t);
		show(l);
		return t;
	}
	*ret_retry_boot_ms = earliest;
	return NULL;
}

void
dispatch_begin(struct dispatch *d, struct ticket *t)
{
	const struct cluster *c = &d->config->clusters[t->request.cluster];
	struct attempts *a = &t->attempts;
	int64_t now = clock_wall_ms();

	memset(&a->current, 0, sizeof a->current);
	memcpy(a->current.uuid, &t->key_hash, 8);
	random_bytes(a->current.uuid + 8, 8);
	memcpy(a->current.cluster_digest, c->digest, sizeof a->current.cluster_digest);
	a->current.cluster = c->name;
	a->current.number = ++a->begun;
	a->current.not_before_ms = now;
	a->current.not_after_ms = now + (int64_t)duration_ms(DURATION_INTENT_LIFE);
	a->open = true;
	t->job = (struct job){ .owner = t, .verb = JOB_CREATE, .cluster = (unsigned)t->request.cluster,
	    .not_after_boot_ms = clock_boot_ms() + duration_ms(DURATION_INTENT_LIFE) };
}

static void
hand(struct dispatch *d, struct job *job)
{
	job->mail.next = NULL;
	*d->last_job = job;
	d->last_job = (struct job **)&job->mail.next;
}

void
dispatch_delete(struct dispatch *d, struct ticket *t)
{
	t->attempts.begun++;
	t->attempts.current.cluster = d->config->clusters[t->request.cluster].name;
	t->job = (struct job){ .owner = t, .verb = JOB_DELETE, .cluster = (unsigned)t->request.cluster,
	    .token_id = t->token_id, .not_after_boot_ms = clock_boot_ms() + duration_ms(DURATION_CALL) };
	hand(d, &t->job);
}

void
dispatch_call(struct dispatch *d, struct ticket *t, uint64_t commit_began_boot_ms)
{
	const struct request *r = &t->request;
	struct marker m = { .partition = t->record.partition };

	memcpy(m.uuid, t->attempts.current.uuid, sizeof m.uuid);
	t->job.lease_until_boot_ms = commit_began_boot_ms + duration_ms(DURATION_LEASE);
	t->job.description = marker_describe(&t->arena, r->description, d->config->service_id, r->principal, &m);
	t->job.permissions = r->permissions;
	t->job.n_permissions = r->n_permissions;
	t->job.has_expires_at = r->has_expires_at;
	t->job.expires_at = r->expires_at;
	hand(d, &t->job);
}

void
dispatch_flush(struct dispatch *d)
{
	struct job *jobs = d->jobs;

	d->jobs = NULL;
	d->last_job = &d->jobs;
	if (jobs != NULL)
		pool_submit(d->pool, jobs);
}

void
dispatch_unused(struct dispatch *d, struct ticket *t)
{
	gate_cancel(&line_of(d, t)->gate);
	show(line_of(d, t));
}

/* The breaker's moves are news; job is what moved it. */
static void
tell(const struct dispatch *d, const struct line *l, bool was_closed, const struct job *job)
{
	bool closed = l->gate.breaker == GATE_CLOSED;
	const char *cluster = d->config->clusters[job->cluster].name;

	if (was_closed && !closed)
		log_warn("dispatch", "calls failed one after another: the cluster is left alone for a while",
		    LOG_S("cluster", cluster), LOG_S("why", job->message));
	else if (!was_closed && closed)
		log_info("dispatch", "the cluster answers again", LOG_S("cluster", cluster));
	else if (!closed && job->verb == JOB_LIST)
		log_info("dispatch", "the cluster was tried", LOG_S("cluster", cluster), LOG_S("result", job->message));
}

/* Our credential was refused, and has been replaced since the call began: that tells nothing of the next call. */
static bool
tells_nothing(const struct job *job)
{
	return job->verdict == VERDICT_CREDENTIAL && job->credential_renewed;
}

void
dispatch_returned(struct dispatch *d, struct ticket *t, uint64_t now_boot_ms)
{
	struct line *l = line_of(d, t);
	bool was_closed = l->gate.breaker == GATE_CLOSED;

	if (tells_nothing(&t->job))
		gate_cancel(&l->gate);
	else
		gate_release(&l->gate, now_boot_ms, t->job.verdict, t->job.retry_after_ms);
	tell(d, l, was_closed, &t->job);
	show(l);
}

void
dispatch_probed(struct dispatch *d, const struct job *list, uint64_t now_boot_ms)
{
	struct line *l = &d->lines[list->cluster];

	if (tells_nothing(list))
		gate_probe_cancel(&l->gate);
	else
		gate_probed(&l->gate, now_boot_ms, list->verdict, list->retry_after_ms);
	tell(d, l, false, list);
	show(l);
}

void
dispatch_listed(struct dispatch *d, const struct job *list, uint64_t now_boot_ms)
{
	struct line *l = &d->lines[list->cluster];
	bool was_closed = l->gate.breaker == GATE_CLOSED;

	if (!tells_nothing(list))
		gate_listed(&l->gate, now_boot_ms, list->verdict, list->retry_after_ms);
	tell(d, l, was_closed, list);
	show(l);
}

void
dispatch_patience(struct dispatch *d, const struct job *job, uint64_t now_boot_ms)
{
	gate_patience(&d->lines[job->cluster].gate, now_boot_ms, job->retry_after_ms);
}

void
dispatch_shut(struct dispatch *d, int cluster)
{
	struct line *l = &d->lines[cluster];

	if (l->shut)
		return;
	l->shut = true;
	metrics_set(l->shut_gauge, 1);
	log_error("dispatch",
	    "a token's description did not come back as it was sent: the cluster takes no further requests",
	    LOG_S("cluster", d->config->clusters[cluster].name));
}
