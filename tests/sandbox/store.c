/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens in a growing array, as posts are (posts.c), behind one lock: plain enough to be believed, since tests hold
 * everything else against it. What of it is told to tests stands in truth.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/random.h"
#include "tests/sandbox/store_private.h"

struct store *
store_new(const struct store_options *o)
{
	struct store *s = calloc(1, sizeof *s);

	if (s == NULL || (s->counts = calloc((o->n_clusters + 1) * STORE_OPERATIONS, sizeof *s->counts)) == NULL)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	s->options = *o;
	return s;
}

const struct store_cluster *
store_cluster(const struct store *s, int cluster)
{
	return &s->options.clusters[cluster];
}

void
store_reset(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_tokens; i++) {
		free(s->tokens[i].description);
		free(s->tokens[i].expires_at);
		cJSON_Delete(s->tokens[i].permissions);
	}
	for (size_t i = 0; i < s->n_posts; i++)
		store_forget_post(&s->posts[i]);
	s->forgotten += s->n_posts;
	s->n_tokens = s->n_posts = 0;
	memset(s->counts, 0, (s->options.n_clusters + 1) * STORE_OPERATIONS * sizeof *s->counts);
	pthread_mutex_unlock(&s->lock);
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	store_reset(s);
	pthread_mutex_destroy(&s->lock);
	free(s->counts);
	free(s->tokens);
	free(s->posts);
	free(s);
}

void *
store_grown(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return array;
	*room = *room != 0 ? 2 * *room : 256;
	if ((array = realloc(array, *room * size)) == NULL)
		abort();
	return array;
}

char *
store_copy(const char *text)
{
	char *c = text != NULL ? strdup(text) : NULL;

	if (text != NULL && c == NULL)
		abort();
	return c;
}

cJSON *
store_copy_permissions(const cJSON *permissions)
{
	return permissions != NULL ? cJSON_Duplicate(permissions, 1) : cJSON_CreateArray();
}

void
store_count(struct store *s, int cluster, enum store_operation o)
{
	size_t row = cluster >= 0 ? (size_t)cluster : s->options.n_clusters;

	pthread_mutex_lock(&s->lock);
	s->counts[row * STORE_OPERATIONS + o]++;
	pthread_mutex_unlock(&s->lock);
}

/* ---- making tokens ----------------------------------------------------------------------------------------------- */

const char *
store_time(int64_t ms, char room[TEXT_RFC3339_ROOM])
{
	char seconds[TEXT_RFC3339_ROOM];

	text_time(ms / 1000, -1, seconds);
	seconds[strlen(seconds) - 1] = '\0';            /* the Z comes behind the milliseconds */
	(void)snprintf(room, TEXT_RFC3339_ROOM, "%.30s.%03dZ", seconds, (int)(ms % 1000));
	return room;
}

static cJSON *
token_json(const struct store *s, const struct token *t, int64_t now)
{
	const struct store_cluster *c = &s->options.clusters[t->cluster];
	cJSON *o = cJSON_CreateObject();
	char when[TEXT_RFC3339_ROOM];

	if (c->account_id != NULL) {
		cJSON_AddStringToObject(o, "accountId", c->account_id);
		cJSON_AddStringToObject(o, "clusterId", c->cluster_id);
	}
	cJSON_AddStringToObject(o, "id", t->id);
	cJSON_AddStringToObject(o, "description", t->description);
	cJSON_AddItemToObject(o, "permissions", cJSON_Duplicate(t->permissions, 1));
	cJSON_AddStringToObject(o, "createdAt", store_time(t->created_ms, when));
	if (t->expires_at != NULL)
		cJSON_AddStringToObject(o, "expiresAt", t->expires_at);
	if (token_deleted(t, now))
		cJSON_AddStringToObject(o, "revokedAt", store_time(t->deleted_ms, when));
	return o;
}

/* With its access token, this once. */
static cJSON *
created_json(const struct store *s, const struct token *t)
{
	cJSON *o = token_json(s, t, INT64_MIN);

	cJSON_AddStringToObject(o, "accessToken", t->access_token);
	return o;
}

static void
mint(struct token *t)
{
	unsigned char bytes[32];
	int32_t nanos;

	random_bytes(bytes, sizeof bytes);
	memcpy(t->access_token, "apiv1_", 6);
	text_hex(span_of(bytes, 32), t->access_token + 6);
	random_bytes(bytes, 16);
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	text_uuid(bytes, t->id);
	if (t->expires_at == NULL || !text_parse_time(span_str(t->expires_at), &t->expires_s, &nanos))
		t->expires_s = INT64_MAX;
}

/* The texts are borrowed. */
static struct token
token_of(const struct post *p, uint64_t number)
{
	struct token t = { .cluster = p->cluster, .post = number, .description = p->description,
		.expires_at = p->expires_at, .permissions = p->permissions, .created_ms = clock_wall_ms() };

	mint(&t);
	return t;
}

/* t with copies of its texts. The lock is held; the result is good until the next one is kept. */
static struct token *
keep(struct store *s, const struct token *t)
{
	struct token *kept;

	s->tokens = store_grown(s->tokens, s->n_tokens, &s->tokens_room, sizeof *s->tokens);
	kept = &s->tokens[s->n_tokens++];
	*kept = *t;
	kept->description = store_copy(t->description);
	kept->expires_at = store_copy(t->expires_at);
	kept->permissions = store_copy_permissions(t->permissions);
	return kept;
}

cJSON *
store_create(struct store *s, uint64_t post, int64_t late_ms, int64_t lag_ms)
{
	struct post *p;
	cJSON *o = NULL;

	pthread_mutex_lock(&s->lock);
	if ((p = store_find_post(s, post)) != NULL) {
		struct token t = token_of(p, post);

		t.created_ms += late_ms;
		t.listable_ms = t.created_ms + (lag_ms >= 0 ? lag_ms : (int64_t)s->options.lag_ms);
		o = created_json(s, keep(s, &t));
		p->tokens[p->tokens[0] != 0] = s->n_tokens;
	}
	pthread_mutex_unlock(&s->lock);
	return o;
}

cJSON *
store_pretend(struct store *s, uint64_t post)
{
	struct post *p;
	cJSON *o = NULL;

	pthread_mutex_lock(&s->lock);
	if ((p = store_find_post(s, post)) != NULL) {
		struct token t = token_of(p, post);

		o = created_json(s, &t);
	}
	pthread_mutex_unlock(&s->lock);
	return o;
}

cJSON *
store_plant(struct store *s, int cluster, const char *description, const cJSON *permissions, const char *expires_at,
    int64_t created_ms)
{
	struct token t = { .cluster = cluster, .description = (char *)(uintptr_t)description,
		.expires_at = (char *)(uintptr_t)expires_at, .permissions = (cJSON *)(uintptr_t)permissions,
		.created_ms = created_ms, .listable_ms = created_ms };
	cJSON *o;

	mint(&t);
	pthread_mutex_lock(&s->lock);
	o = created_json(s, keep(s, &t));
	pthread_mutex_unlock(&s->lock);
	return o;
}

void
store_settle(struct store *s)
{
	int64_t now = clock_wall_ms();

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_tokens; i++) {
		struct token *t = &s->tokens[i];

		t->created_ms = t->created_ms < now ? t->created_ms : now;
		t->listable_ms = t->listable_ms < now ? t->listable_ms : now;
		t->deleted_ms = t->deleted_ms < now ? t->deleted_ms : now;
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- tokens, as the API has them --------------------------------------------------------------------------------- */

static struct token *
find(const struct store *s, int cluster, const char *id, int64_t now)
{
	for (size_t i = s->n_tokens; i-- > 0;) {
		struct token *t = &s->tokens[i];

		if (t->cluster == cluster && strcmp(t->id, id) == 0)
			return token_exists(t, now) && (s->options.keep_revoked || !token_deleted(t, now)) ? t : NULL;
	}
	return NULL;
}

cJSON *
store_token(struct store *s, int cluster, const char *id)
{
	int64_t now = clock_wall_ms();
	struct token *t;
	cJSON *o;

	pthread_mutex_lock(&s->lock);
	t = find(s, cluster, id, now);
	o = t != NULL ? token_json(s, t, now) : NULL;
	pthread_mutex_unlock(&s->lock);
	return o;
}

void
store_other_id(struct store *s, int cluster, const char *id, char room[37])
{
	strcpy(room, "99999999-9999-4999-8999-999999999999");
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_tokens; i++)
		if (s->tokens[i].cluster == cluster && strcmp(s->tokens[i].id, id) != 0)
			strcpy(room, s->tokens[i].id);
	pthread_mutex_unlock(&s->lock);
}

cJSON *
store_list(struct store *s, int cluster)
{
	cJSON *list = cJSON_CreateArray();
	int64_t now = clock_wall_ms();

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_tokens; i++) {
		const struct token *t = &s->tokens[i];
		bool shown = !token_deleted(t, now) || (s->options.keep_revoked && !s->options.hide_revoked);

		if (t->cluster == cluster && t->listable_ms <= now && shown)
			cJSON_AddItemToArray(list, token_json(s, t, now));
	}
	pthread_mutex_unlock(&s->lock);
	return list;
}

enum store_update
store_update(struct store *s, int cluster, const char *id, const char *description, const cJSON *permissions)
{
	int64_t now = clock_wall_ms();
	enum store_update result;
	struct token *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, cluster, id, now);
	result = t == NULL ? STORE_UNKNOWN_TOKEN : token_deleted(t, now) ? STORE_REVOKED : STORE_UPDATED;
	if (result == STORE_UPDATED && description != NULL) {
		free(t->description);
		t->description = store_copy(description);
	}
	if (result == STORE_UPDATED && permissions != NULL) {
		cJSON_Delete(t->permissions);
		t->permissions = cJSON_Duplicate(permissions, 1);
	}
	pthread_mutex_unlock(&s->lock);
	return result;
}

bool
store_delete(struct store *s, int cluster, const char *id, int64_t late_ms)
{
	int64_t now = clock_wall_ms();
	struct token *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, cluster, id, now);
	if (t != NULL && (t->deleted_ms == 0 || t->deleted_ms > now + late_ms))
		t->deleted_ms = now + late_ms;
	pthread_mutex_unlock(&s->lock);
	return t != NULL;
}

/* ---- the data endpoint ------------------------------------------------------------------------------------------- */

bool
store_is_active(const struct store *s, const struct token *t, int64_t now)
{
	return now >= t->created_ms + (int64_t)s->options.activation_ms && now / 1000 < t->expires_s &&
	    !token_deleted(t, now);
}

static bool
permits(const struct token *t, const char *action, const char *database)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, t->permissions) {
		const char *a = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "action"));
		const char *r = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "resource"));

		if (a != NULL && strcmp(a, action) == 0 &&
		    r != NULL && (strcmp(r, "*") == 0 || strcmp(r, database) == 0))
			return true;
	}
	return false;
}

enum store_access
store_access(struct store *s, const char *access_token, const char *action, const char *database)
{
	enum store_access access = STORE_UNKNOWN;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->n_tokens; i-- > 0;) {
		if (strcmp(s->tokens[i].access_token, access_token) != 0)
			continue;
		if (store_is_active(s, &s->tokens[i], clock_wall_ms()))
			access = permits(&s->tokens[i], action, database) ? STORE_ALLOWED : STORE_FORBIDDEN;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return access;
}
