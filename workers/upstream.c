/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster made ready to be called, once, so that a call copies no secret and looks up no metric.
 *
 * Management tokens are replaced while we run: the old one is revoked, and sooner or later the file holds the new
 * one. So a refusal sends us back to the file, on the thread that saw it, at once. When the file has not changed yet
 * the token stays under suspicion and the file is read before its next use, or the breaker's next probe would be
 * spent on a token that is known to be dead. Once a second at most, however many calls are refused.
 *
 * Two locks: one for who may read the file, held for as long as that takes, and one for the pointer, which is all that
 * a call that begins ever waits for.
 */
#include "workers/upstream.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "workers/credential.h"
#include "workers/management_api.h"

#define REREAD_MS 1000

struct upstream {
	const struct cluster *cluster;
	char *tokens_url;
	struct series *requests[JOB_VERBS][VERDICT_COUNT], *seconds[JOB_VERBS];
	struct series *changed, *unchanged, *failed, *in_use_since;

	pthread_mutex_t lock;                   /* of the next two */
	struct credential *credential;
	bool suspect;                           /* it was refused */

	pthread_mutex_t reading;                /* of the rest, and of the file */
	uint64_t reread_from_ms;                /* boot clock: not before this because of a refusal */
	bool file_is_bad;                       /* and that has been said */
};

static const char *
verb_label(int verb)
{
	static const char *const labels[JOB_VERBS] = {
		[JOB_CREATE] = "create", [JOB_DELETE] = "delete", [JOB_LIST] = "list",
	};

	return labels[verb];
}

/* A success of another verb's cannot happen: no series says how often it did not. */
static bool
can_come_to(int verb, int v)
{
	static const int successes[JOB_VERBS] = {
		[JOB_CREATE] = VERDICT_CREATED, [JOB_DELETE] = VERDICT_DELETED, [JOB_LIST] = VERDICT_LISTED,
	};

	for (int other = 0; other < JOB_VERBS; other++)
		if (v == successes[other])
			return other == verb;
	return true;
}

static void
find_metrics(struct upstream *u)
{
	const char *name = u->cluster->name;
	char secret[128];

	for (int verb = 0; verb < JOB_VERBS; verb++) {
		for (int v = 0; v < VERDICT_COUNT; v++)
			if (can_come_to(verb, v))
				u->requests[verb][v] = metrics_at3(METRIC_API_REQUESTS, name, verb_label(verb),
				    verdict_label((enum verdict)v));
		u->seconds[verb] = metrics_at(METRIC_API_SECONDS, name, verb_label(verb));
	}
	u->changed = metrics_at(METRIC_RELOADS, "management_token", "changed");
	u->unchanged = metrics_at(METRIC_RELOADS, "management_token", "unchanged");
	u->failed = metrics_at(METRIC_RELOADS, "management_token", "failed");
	(void)snprintf(secret, sizeof(secret), "management_token/%s", name);
	u->in_use_since = metrics_at(METRIC_SECRET_LOADED, secret, NULL);
}

struct upstream *
upstream_new(const struct cluster *c, struct err *ret_err)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "cluster %s: out of memory", c->name);
		return NULL;
	}
	u->cluster = c;
	(void)pthread_mutex_init(&u->lock, NULL);
	(void)pthread_mutex_init(&u->reading, NULL);
	u->tokens_url = management_api_tokens_url(c, ret_err);
	if (u->tokens_url == NULL || (u->credential = credential_read(c->management_token_file, ret_err)) == NULL) {
		(void)err_prefix(ret_err, "cluster %s", c->name);
		upstream_free(u);
		return NULL;
	}
	find_metrics(u);
	metrics_set(u->in_use_since, clock_wall_ms() / 1000);
	return u;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	free(u->tokens_url);
	credential_release(u->credential);
	(void)pthread_mutex_destroy(&u->lock);
	(void)pthread_mutex_destroy(&u->reading);
	free(u);
}

const struct cluster *
upstream_cluster(const struct upstream *u)
{
	return u->cluster;
}

const char *
upstream_tokens_url(const struct upstream *u)
{
	return u->tokens_url;
}

/* ---- the file, read again; `reading` is held ---- */

static void
keep_the_last(struct upstream *u, const struct err *e)
{
	metrics_add(u->failed, 1);
	if (u->file_is_bad)
		return;
	u->file_is_bad = true;
	log_warn("upstream", "the management token's file cannot be used; the token read before stays in use",
	    LOG_S("cluster", u->cluster->name), LOG_S("file", u->cluster->management_token_file),
	    LOG_S("error", e->text));
}

/* Takes fresh; gives back whichever of the two is not in use. */
static struct credential *
use_if_other(struct upstream *u, struct credential *fresh)
{
	struct credential *old;

	(void)pthread_mutex_lock(&u->lock);
	old = u->credential;
	if (span_equal(credential_token(old), credential_token(fresh))) {
		old = fresh;
	} else {
		u->credential = fresh;
		u->suspect = false;
	}
	(void)pthread_mutex_unlock(&u->lock);
	return old;
}

static void
read_again(struct upstream *u)
{
	struct err e;
	struct credential *fresh = credential_read(u->cluster->management_token_file, &e), *unused;

	if (fresh == NULL) {
		keep_the_last(u, &e);
		return;
	}
	u->file_is_bad = false;
	unused = use_if_other(u, fresh);
	metrics_add(unused == fresh ? u->unchanged : u->changed, 1);
	if (unused != fresh) {
		metrics_set(u->in_use_since, clock_wall_ms() / 1000);
		log_info("upstream", "another management token is in use", LOG_S("cluster", u->cluster->name),
		    LOG_S("file", u->cluster->management_token_file));
	}
	credential_release(unused);
}

/* ---- who asks for that ---- */

/* Whoever comes while another reads, or too soon, is served by what that reading found. */
static void
read_again_soon(struct upstream *u, uint64_t now_ms)
{
	if (pthread_mutex_trylock(&u->reading) != 0)
		return;
	if (now_ms >= u->reread_from_ms) {
		u->reread_from_ms = now_ms + REREAD_MS;
		read_again(u);
	}
	(void)pthread_mutex_unlock(&u->reading);
}

void
upstream_reload(struct upstream *u)
{
	(void)pthread_mutex_lock(&u->reading);
	read_again(u);
	(void)pthread_mutex_unlock(&u->reading);
}

/* Is it the one in use? Then it is under suspicion. */
static bool
accuse(struct upstream *u, const struct credential *refused)
{
	bool in_use;

	(void)pthread_mutex_lock(&u->lock);
	in_use = u->credential == refused;
	u->suspect |= in_use;
	(void)pthread_mutex_unlock(&u->lock);
	return in_use;
}

bool
upstream_refused(struct upstream *u, const struct credential *refused, uint64_t now_ms)
{
	if (!accuse(u, refused))
		return true;
	read_again_soon(u, now_ms);
	return !accuse(u, refused);
}

struct credential *
upstream_credential(struct upstream *u, uint64_t now_ms)
{
	struct credential *c;
	bool suspect;

	(void)pthread_mutex_lock(&u->lock);
	suspect = u->suspect;
	(void)pthread_mutex_unlock(&u->lock);
	if (suspect)
		read_again_soon(u, now_ms);
	(void)pthread_mutex_lock(&u->lock);
	c = credential_hold(u->credential);
	(void)pthread_mutex_unlock(&u->lock);
	return c;
}

void
upstream_count(const struct upstream *u, enum job_verb verb, enum verdict v, uint64_t took_us)
{
	metrics_add(u->requests[verb][v], 1);
	metrics_observe(u->seconds[verb], took_us);
}
