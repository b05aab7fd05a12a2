/* SPDX-License-Identifier: Apache-2.0 */
/* Posts: what came, and what became of it. Numbers go on over a reset, so that a call which was under way when it came
 * finds its post gone and not another one. */
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "tests/sandbox/store_private.h"

uint64_t
store_post(struct store *s, const struct store_seen *seen)
{
	struct post p = { .at_ms = clock_wall_ms(), .cluster = seen->cluster, .path = store_copy(seen->path),
		.account_id = store_copy(seen->account_id), .cluster_id = store_copy(seen->cluster_id),
		.description = store_copy(seen->description), .expires_at = store_copy(seen->expires_at),
		.permissions = store_copy_permissions(seen->permissions),
		.body = malloc(seen->body.bytes + 1), .body_bytes = seen->body.bytes };
	uint64_t number;

	if (p.body == NULL)
		abort();
	if (seen->body.bytes > 0)
		memcpy(p.body, seen->body.data, seen->body.bytes);
	p.body[p.body_bytes] = '\0';
	pthread_mutex_lock(&s->lock);
	s->posts = store_grown(s->posts, s->n_posts, &s->posts_room, sizeof *s->posts);
	s->posts[s->n_posts++] = p;
	number = s->forgotten + s->n_posts;
	pthread_mutex_unlock(&s->lock);
	return number;
}

struct post *
store_find_post(const struct store *s, uint64_t number)
{
	if (number <= s->forgotten || number > s->forgotten + s->n_posts)
		return NULL;
	return &s->posts[number - s->forgotten - 1];
}

void
store_planned(struct store *s, uint64_t number, int status, const char *fault, const char *rule)
{
	struct post *p;

	pthread_mutex_lock(&s->lock);
	if ((p = store_find_post(s, number)) != NULL) {
		p->status = status;
		p->fault = fault;
		p->rule = store_copy(rule);
	}
	pthread_mutex_unlock(&s->lock);
}

void
store_answered(struct store *s, uint64_t number, bool whole)
{
	struct post *p;

	pthread_mutex_lock(&s->lock);
	if ((p = store_find_post(s, number)) != NULL)
		p->answered = whole;
	pthread_mutex_unlock(&s->lock);
}

void
store_forget_post(struct post *p)
{
	free(p->path);
	free(p->account_id);
	free(p->cluster_id);
	free(p->body);
	free(p->description);
	free(p->expires_at);
	free(p->rule);
	cJSON_Delete(p->permissions);
}
