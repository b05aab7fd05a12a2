/* SPDX-License-Identifier: Apache-2.0 */
/* What tests are told of the store: all of it, by its own clock. What has not happened yet is not told. */
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "tests/sandbox/store_private.h"

static const char *const operation_names[STORE_OPERATIONS] = { "create", "list", "get", "update", "delete" };

static void
add_text_or_null(cJSON *o, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		cJSON_AddStringToObject(o, name, text);
	else
		cJSON_AddNullToObject(o, name);
}

static void
add_number_or_null(cJSON *o, const char *name, int64_t n)
{
	if (n != 0)
		cJSON_AddNumberToObject(o, name, (double)n);
	else
		cJSON_AddNullToObject(o, name);
}

/* ---- posts ------------------------------------------------------------------------------------------------------- */

/* As it was received: as text where it is text, else in base64. */
static void
add_body(cJSON *o, const struct post *p)
{
	struct span body = span_of(p->body, p->body_bytes);
	char *base64;

	if (text_is_utf8(body)) {
		cJSON_AddStringToObject(o, "body", (const char *)p->body);
		return;
	}
	if ((base64 = malloc((p->body_bytes + 2) / 3 * 4 + 1)) == NULL)
		abort();
	cJSON_AddNullToObject(o, "body");
	cJSON_AddStringToObject(o, "body_base64", text_base64(body, base64));
	free(base64);
}

/* token_id is the first that it made, token_ids are all. */
static void
add_made(cJSON *o, const struct store *s, const struct post *p, int64_t now)
{
	cJSON *ids = cJSON_CreateArray();
	const char *first = NULL;
	int64_t committed_ms = 0;

	for (int i = 0; i < TOKENS_A_POST; i++) {
		const struct token *t = p->tokens[i] != 0 ? &s->tokens[p->tokens[i] - 1] : NULL;

		if (t == NULL || !token_exists(t, now))
			continue;
		cJSON_AddItemToArray(ids, cJSON_CreateString(t->id));
		if (first == NULL) {
			first = t->id;
			committed_ms = t->created_ms;
		}
	}
	add_text_or_null(o, "token_id", first);
	cJSON_AddItemToObject(o, "token_ids", ids);
	add_number_or_null(o, "committed_ms", committed_ms);
}

static cJSON *
post_truth(const struct store *s, size_t i, int64_t now)
{
	const struct post *p = &s->posts[i];
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "seq", (double)(s->forgotten + i + 1));
	cJSON_AddNumberToObject(o, "at_ms", (double)p->at_ms);
	cJSON_AddStringToObject(o, "path", p->path);
	cJSON_AddStringToObject(o, "product", p->account_id != NULL ? "dedicated" : "clustered");
	add_text_or_null(o, "account_id", p->account_id);
	add_text_or_null(o, "cluster_id", p->cluster_id);
	cJSON_AddStringToObject(o, "description", p->description);
	cJSON_AddItemToObject(o, "permissions", cJSON_Duplicate(p->permissions, 1));
	add_text_or_null(o, "expiresAt", p->expires_at);
	add_body(o, p);
	cJSON_AddNumberToObject(o, "status", p->status);
	add_made(o, s, p, now);
	cJSON_AddBoolToObject(o, "answered", p->answered);
	add_text_or_null(o, "fault", p->fault);
	add_text_or_null(o, "rule", p->rule);
	return o;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* deletedAt: its row is gone. revokedAt: it was deleted, in whichever way. */
static cJSON *
token_truth(const struct store *s, const struct token *t, int64_t now)
{
	const struct store_cluster *c = &s->options.clusters[t->cluster];
	cJSON *o = cJSON_CreateObject();
	char when[TEXT_RFC3339_ROOM];
	const char *deleted = token_deleted(t, now) ? store_time(t->deleted_ms, when) : NULL;
	char created[TEXT_RFC3339_ROOM];

	cJSON_AddStringToObject(o, "id", t->id);
	cJSON_AddStringToObject(o, "description", t->description);
	cJSON_AddItemToObject(o, "permissions", cJSON_Duplicate(t->permissions, 1));
	cJSON_AddStringToObject(o, "createdAt", store_time(t->created_ms, created));
	add_text_or_null(o, "expiresAt", t->expires_at);
	cJSON_AddStringToObject(o, "accessToken", t->access_token);
	add_text_or_null(o, "revokedAt", deleted);
	add_text_or_null(o, "deletedAt", s->options.keep_revoked ? NULL : deleted);
	cJSON_AddBoolToObject(o, "active", store_is_active(s, t, now));
	cJSON_AddStringToObject(o, "product", c->account_id != NULL ? "dedicated" : "clustered");
	add_text_or_null(o, "account_id", c->account_id);
	add_text_or_null(o, "cluster_id", c->cluster_id);
	add_number_or_null(o, "post", (int64_t)t->post);
	cJSON_AddNumberToObject(o, "created_ms", (double)t->created_ms);
	cJSON_AddNumberToObject(o, "listable_ms", (double)t->listable_ms);
	return o;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

struct sums { size_t tokens, alive, pending; };

/* cluster -1: all. */
static struct sums
sum(const struct store *s, int cluster, int64_t now)
{
	struct sums n = { 0 };

	for (size_t i = 0; i < s->n_tokens; i++) {
		const struct token *t = &s->tokens[i];

		if (cluster >= 0 && t->cluster != cluster)
			continue;
		n.pending += !token_exists(t, now) || t->deleted_ms > now;
		n.tokens += token_exists(t, now);
		n.alive += token_exists(t, now) && !token_deleted(t, now);
	}
	return n;
}

/* Row row alone, or, for -1, all of them. */
static void
add_counts(cJSON *o, const struct store *s, int row)
{
	cJSON *requests = cJSON_AddObjectToObject(o, "requests");

	for (int i = 0; i < STORE_OPERATIONS; i++) {
		uint64_t n = 0;

		for (int c = 0; c <= (int)s->options.n_clusters; c++)
			n += row < 0 || row == c ? s->counts[c * STORE_OPERATIONS + i] : 0;
		cJSON_AddNumberToObject(requests, operation_names[i], (double)n);
	}
}

static cJSON *
cluster_summary(const struct store *s, int cluster, int64_t now)
{
	const struct store_cluster *c = &s->options.clusters[cluster];
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "product", c->account_id != NULL ? "dedicated" : "clustered");
	add_text_or_null(o, "account_id", c->account_id);
	add_text_or_null(o, "cluster_id", c->cluster_id);
	add_counts(o, s, cluster);
	cJSON_AddNumberToObject(o, "n_alive", (double)sum(s, cluster, now).alive);
	return o;
}

/* The lock is held. */
static cJSON *
summary(const struct store *s, int64_t now)
{
	struct sums n = sum(s, -1, now);
	cJSON *o = cJSON_CreateObject(), *clusters;

	add_counts(o, s, -1);
	cJSON_AddNumberToObject(o, "n_posts", (double)s->n_posts);
	cJSON_AddNumberToObject(o, "n_tokens", (double)n.tokens);
	cJSON_AddNumberToObject(o, "n_alive", (double)n.alive);
	cJSON_AddNumberToObject(o, "n_pending", (double)n.pending);
	clusters = cJSON_AddArrayToObject(o, "clusters");
	for (int i = 0; i < (int)s->options.n_clusters; i++)
		cJSON_AddItemToArray(clusters, cluster_summary(s, i, now));
	return o;
}

cJSON *
store_summary(struct store *s)
{
	cJSON *o;

	pthread_mutex_lock(&s->lock);
	o = summary(s, clock_wall_ms());
	pthread_mutex_unlock(&s->lock);
	return o;
}

cJSON *
store_truth(struct store *s, bool alive_only)
{
	int64_t now = clock_wall_ms();
	cJSON *o, *posts, *tokens;

	pthread_mutex_lock(&s->lock);
	o = summary(s, now);
	posts = cJSON_AddArrayToObject(o, "posts");
	tokens = cJSON_AddArrayToObject(o, "tokens");
	for (size_t i = 0; i < s->n_posts; i++)
		cJSON_AddItemToArray(posts, post_truth(s, i, now));
	for (size_t i = 0; i < s->n_tokens; i++) {
		const struct token *t = &s->tokens[i];

		if (token_exists(t, now) && (!alive_only || !token_deleted(t, now)))
			cJSON_AddItemToArray(tokens, token_truth(s, t, now));
	}
	pthread_mutex_unlock(&s->lock);
	return o;
}
