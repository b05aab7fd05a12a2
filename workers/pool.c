/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that call the Management API, and the handing out of jobs among them.
 *
 * Nothing is shared between threads but the stock of guarded memory and the clusters' credentials, so a thread more
 * is a core more. Jobs are dealt like cards: calls wait for the network far longer than they compute, so
 * there is nothing to balance.
 */
#include "workers/pool.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/mailbox.h"
#include "service/base/secret.h"
#include "workers/bodies.h"
#include "workers/job.h"
#include "workers/management_api.h"
#include "workers/upstream.h"
#include "workers/worker.h"

/* A worker, and what of the chain that is being handed out falls to it; empty in between. */
struct share {
	struct worker *worker;
	struct mail *first, **end;
};

struct pool {
	struct workshop shop;
	struct share *shares; size_t n_shares;
	size_t next;                    /* the submitter's: whose turn it is */
};

static int
fill_pool(struct pool *p, const struct pool_options *o, struct err *ret_err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t threads = o->threads > 0 ? o->threads : cpus > 0 ? (size_t)cpus : 1;
	struct workshop *shop = &p->shop;

	shop->outcomes = o->outcomes;
	shop->upstreams = calloc(o->n_clusters, sizeof(struct upstream *));
	shop->bodies = bodies_new();
	p->shares = calloc(threads, sizeof(*p->shares));
	if (shop->upstreams == NULL || shop->bodies == NULL || p->shares == NULL)
		return err_set(ret_err, ERR_FATAL, "no memory for %zu workers", threads);
	for (; shop->n_upstreams < o->n_clusters; shop->n_upstreams++) {
		struct upstream *u = upstream_new(&o->clusters[shop->n_upstreams], ret_err);

		if (u == NULL)
			return -1;
		shop->upstreams[shop->n_upstreams] = u;
	}
	for (; p->n_shares < threads; p->n_shares++) {
		struct share *s = &p->shares[p->n_shares];

		s->end = &s->first;
		if ((s->worker = worker_new(shop, p->n_shares, ret_err)) == NULL)
			return -1;
	}
	return 0;
}

struct pool *
pool_new(const struct pool_options *o, struct err *ret_err)
{
	struct pool *p;

	assert(o->n_clusters > 0);
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_malloc, secret_free, secret_realloc, secret_strdup,
	    secret_calloc) != CURLE_OK) {
		(void)err_set(ret_err, ERR_FATAL, "libcurl does not start");
		return NULL;
	}
	management_api_setup();
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "no memory for the pool");
		curl_global_cleanup();
		return NULL;
	}
	if (fill_pool(p, o, ret_err) == 0)
		return p;
	pool_free(p);
	return NULL;
}

void
pool_submit(struct pool *p, struct job *chain)
{
	struct mail *m = chain != NULL ? &chain->mail : NULL, *next;

	for (; m != NULL; m = next) {
		struct share *s = &p->shares[p->next];

		next = m->next;
		m->next = NULL;
		*s->end = m;
		s->end = &m->next;
		p->next = (p->next + 1) % p->n_shares;
	}
	for (size_t i = 0; i < p->n_shares; i++) {
		struct share *s = &p->shares[i];

		worker_hand(s->worker, s->first);
		s->first = NULL;
		s->end = &s->first;
	}
}

void
pool_return(struct pool *p, struct job *job)
{
	bodies_give_back(p->shop.bodies, job->leased);
	job->leased = NULL;
	job->access_token = span_of(NULL, 0);
	free(job->listed);
	job->listed = NULL;
	job->n_listed = 0;
}

/* One of them is enough: what it reads, all use. */
void
pool_reload(struct pool *p)
{
	worker_reload(p->shares[0].worker);
}

/* All are asked before one is waited for. */
void
pool_stop(struct pool *p)
{
	for (size_t i = 0; i < p->n_shares; i++)
		worker_ask_to_stop(p->shares[i].worker);
	for (size_t i = 0; i < p->n_shares; i++)
		worker_join(p->shares[i].worker);
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pool_stop(p);
	for (size_t i = 0; i < p->n_shares; i++)
		worker_free(p->shares[i].worker);
	free(p->shares);
	for (size_t i = 0; i < p->shop.n_upstreams; i++)
		upstream_free(p->shop.upstreams[i]);
	free(p->shop.upstreams);
	bodies_free(p->shop.bodies);
	free(p);
	curl_global_cleanup();
}
