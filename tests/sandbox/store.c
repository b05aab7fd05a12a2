/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and posts in two growing arrays behind one lock: plain enough to be believed, since tests hold everything else against it. */
#include "tests/sandbox/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/base/random.h"
#include "service/base/text.h"

struct token {
	char id[37], access_token[71];
	char *description, *expires_at;         /* expires_at NULL: never */
	cJSON *permissions;
	int64_t created_ms, expires_s;
	int64_t deleted_ms;                     /* 0: alive */
};

struct post {
	int64_t at_ms;
	bool dedicated, answered;
	char *description, *expires_at;
	cJSON *permissions;
	int status;
	char token_id[37];                      /* "": none was made */
	const char *fault;                      /* a constant */
};

struct store {
	pthread_mutex_t lock;
	struct store_options options;
	struct token *tokens; size_t n_tokens, tokens_room;
	struct post *posts; size_t n_posts, posts_room;
	uint64_t forgotten;                     /* posts before the last reset: numbers go on */
	uint64_t counts[STORE_OPERATIONS];
};

static const char *const operation_names[STORE_OPERATIONS] = { "create", "list", "get", "update", "delete" };

struct store *
store_new(const struct store_options *o)
{
	struct store *s = calloc(1, sizeof *s);

	if (s == NULL)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	s->options = *o;
	return s;
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
	for (size_t i = 0; i < s->n_posts; i++) {
		free(s->posts[i].description);
		free(s->posts[i].expires_at);
		cJSON_Delete(s->posts[i].permissions);
	}
	s->forgotten += s->n_posts;
	s->n_tokens = s->n_posts = 0;
	memset(s->counts, 0, sizeof s->counts);
	pthread_mutex_unlock(&s->lock);
}

void
store_free(struct store *s)
{
	store_reset(s);
	pthread_mutex_destroy(&s->lock);
	free(s->tokens);
	free(s->posts);
	free(s);
}

static void *
grown(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return array;
	*room = *room != 0 ? 2 * *room : 256;
	if ((array = realloc(array, *room * size)) == NULL)
		abort();
	return array;
}

static char *
copy(const char *text)
{
	char *c = text != NULL ? strdup(text) : NULL;

	if (text != NULL && c == NULL)
		abort();
	return c;
}

/* ---- posts --------------------------------------------------------------------------------------------------------- */

uint64_t
store_post(struct store *s, bool dedicated, const char *description, const cJSON *permissions, const char *expires_at)
{
	uint64_t number;

	pthread_mutex_lock(&s->lock);
	s->posts = grown(s->posts, s->n_posts, &s->posts_room, sizeof *s->posts);
	s->posts[s->n_posts++] = (struct post){ .at_ms = clock_wall_ms(), .dedicated = dedicated, .description = copy(description),
		.expires_at = copy(expires_at),
		.permissions = permissions != NULL ? cJSON_Duplicate(permissions, 1) : cJSON_CreateArray() };
	number = s->forgotten + s->n_posts;
	pthread_mutex_unlock(&s->lock);
	return number;
}

/* NULL: it is of before a reset. The lock is held. */
static struct post *
find_post(const struct store *s, uint64_t number)
{
	return number > s->forgotten && number <= s->forgotten + s->n_posts ? &s->posts[number - s->forgotten - 1] : NULL;
}

void
store_planned(struct store *s, uint64_t number, int status, const char *fault)
{
	struct post *p;

	pthread_mutex_lock(&s->lock);
	if ((p = find_post(s, number)) != NULL) {
		p->status = status;
		p->fault = fault;
	}
	pthread_mutex_unlock(&s->lock);
}

void
store_answered(struct store *s, uint64_t number, bool whole)
{
	struct post *p;

	pthread_mutex_lock(&s->lock);
	if ((p = find_post(s, number)) != NULL)
		p->answered = whole;
	pthread_mutex_unlock(&s->lock);
}

void
store_count(struct store *s, enum store_operation o)
{
	pthread_mutex_lock(&s->lock);
	s->counts[o]++;
	pthread_mutex_unlock(&s->lock);
}

/* ---- tokens -------------------------------------------------------------------------------------------------------- */

static char *
time_with_ms(int64_t ms, char room[TEXT_RFC3339_ROOM])
{
	char seconds[TEXT_RFC3339_ROOM];

	text_time(ms / 1000, -1, seconds);
	seconds[strlen(seconds) - 1] = '\0';            /* the Z comes behind the milliseconds */
	snprintf(room, TEXT_RFC3339_ROOM, "%.30s.%03dZ", seconds, (int)(ms % 1000));
	return room;
}

static cJSON *
token_json(const struct store *s, const struct token *t, bool dedicated)
{
	cJSON *o = cJSON_CreateObject();
	char when[TEXT_RFC3339_ROOM];

	if (dedicated) {
		cJSON_AddStringToObject(o, "accountId", s->options.account_id);
		cJSON_AddStringToObject(o, "clusterId", s->options.cluster_id);
	}
	cJSON_AddStringToObject(o, "id", t->id);
	cJSON_AddStringToObject(o, "description", t->description);
	cJSON_AddItemToObject(o, "permissions", cJSON_Duplicate(t->permissions, 1));
	cJSON_AddStringToObject(o, "createdAt", time_with_ms(t->created_ms, when));
	if (t->expires_at != NULL)
		cJSON_AddStringToObject(o, "expiresAt", t->expires_at);
	return o;
}

cJSON *
store_create(struct store *s, uint64_t post)
{
	unsigned char bytes[32];
	struct token *t;
	struct post *p;
	cJSON *o;
	int32_t nanos;

	pthread_mutex_lock(&s->lock);
	if ((p = find_post(s, post)) == NULL) {
		pthread_mutex_unlock(&s->lock);
		return NULL;
	}
	s->tokens = grown(s->tokens, s->n_tokens, &s->tokens_room, sizeof *s->tokens);
	t = &s->tokens[s->n_tokens++];
	memset(t, 0, sizeof *t);
	random_bytes(bytes, sizeof bytes);
	memcpy(t->access_token, "apiv1_", 6);
	text_hex(span_of(bytes, 32), t->access_token + 6);
	random_bytes(bytes, 16);
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	text_uuid(bytes, t->id);
	t->description = copy(p->description);
	t->expires_at = copy(p->expires_at);
	t->permissions = cJSON_Duplicate(p->permissions, 1);
	t->created_ms = clock_wall_ms();
	if (t->expires_at == NULL || !text_parse_time(span_str(t->expires_at), &t->expires_s, &nanos))
		t->expires_s = INT64_MAX;
	memcpy(p->token_id, t->id, sizeof p->token_id);
	o = token_json(s, t, p->dedicated);
	cJSON_AddStringToObject(o, "accessToken", t->access_token);
	pthread_mutex_unlock(&s->lock);
	return o;
}

static struct token *
find(const struct store *s, const char *id)
{
	for (size_t i = s->n_tokens; i-- > 0;)
		if (s->tokens[i].deleted_ms == 0 && strcmp(s->tokens[i].id, id) == 0)
			return &s->tokens[i];
	return NULL;
}

cJSON *
store_token(struct store *s, const char *id, bool dedicated)
{
	struct token *t;
	cJSON *o;

	pthread_mutex_lock(&s->lock);
	t = find(s, id);
	o = t != NULL ? token_json(s, t, dedicated) : NULL;
	pthread_mutex_unlock(&s->lock);
	return o;
}

cJSON *
store_list(struct store *s, bool dedicated)
{
	cJSON *list = cJSON_CreateArray();

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_tokens; i++)
		if (s->tokens[i].deleted_ms == 0)
			cJSON_AddItemToArray(list, token_json(s, &s->tokens[i], dedicated));
	pthread_mutex_unlock(&s->lock);
	return list;
}

bool
store_update(struct store *s, const char *id, const char *description, const cJSON *permissions)
{
	struct token *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, id);
	if (t != NULL && description != NULL) {
		free(t->description);
		t->description = copy(description);
	}
	if (t != NULL && permissions != NULL) {
		cJSON_Delete(t->permissions);
		t->permissions = cJSON_Duplicate(permissions, 1);
	}
	pthread_mutex_unlock(&s->lock);
	return t != NULL;
}

bool
store_delete(struct store *s, const char *id)
{
	struct token *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, id);
	if (t != NULL)
		t->deleted_ms = clock_wall_ms();
	pthread_mutex_unlock(&s->lock);
	return t != NULL;
}

/* ---- the data endpoint --------------------------------------------------------------------------------------------- */

static bool
active(const struct store *s, const struct token *t)
{
	int64_t now = clock_wall_ms();

	return t->deleted_ms == 0 && now >= t->created_ms + (int64_t)s->options.activation_ms && now / 1000 < t->expires_s;
}

static bool
permits(const struct token *t, const char *action, const char *database)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, t->permissions) {
		const char *a = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "action"));
		const char *r = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "resource"));

		if (a != NULL && r != NULL && strcmp(a, action) == 0 && (strcmp(r, "*") == 0 || strcmp(r, database) == 0))
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
		if (active(s, &s->tokens[i]))
			access = permits(&s->tokens[i], action, database) ? STORE_ALLOWED : STORE_FORBIDDEN;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return access;
}

/* ---- the truth ----------------------------------------------------------------------------------------------------- */

static void
add_text_or_null(cJSON *o, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		cJSON_AddStringToObject(o, name, text);
	else
		cJSON_AddNullToObject(o, name);
}

static cJSON *
post_truth(const struct store *s, size_t i)
{
	const struct post *p = &s->posts[i];
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "seq", (double)(s->forgotten + i + 1));
	cJSON_AddNumberToObject(o, "at_ms", (double)p->at_ms);
	cJSON_AddStringToObject(o, "product", p->dedicated ? "dedicated" : "clustered");
	add_text_or_null(o, "account_id", p->dedicated ? s->options.account_id : NULL);
	add_text_or_null(o, "cluster_id", p->dedicated ? s->options.cluster_id : NULL);
	cJSON_AddStringToObject(o, "description", p->description);
	cJSON_AddItemToObject(o, "permissions", cJSON_Duplicate(p->permissions, 1));
	add_text_or_null(o, "expiresAt", p->expires_at);
	cJSON_AddNumberToObject(o, "status", p->status);
	add_text_or_null(o, "token_id", p->token_id);
	cJSON_AddBoolToObject(o, "answered", p->answered);
	add_text_or_null(o, "fault", p->fault);
	return o;
}

static cJSON *
token_truth(const struct store *s, const struct token *t)
{
	cJSON *o = token_json(s, t, false);
	char when[TEXT_RFC3339_ROOM];

	cJSON_AddStringToObject(o, "accessToken", t->access_token);
	if (t->expires_at == NULL)
		cJSON_AddNullToObject(o, "expiresAt");
	add_text_or_null(o, "revokedAt", t->deleted_ms != 0 ? time_with_ms(t->deleted_ms, when) : NULL);
	cJSON_AddBoolToObject(o, "active", active(s, t));
	return o;
}

cJSON *
store_summary(struct store *s)
{
	cJSON *o = cJSON_CreateObject(), *requests = cJSON_AddObjectToObject(o, "requests");
	size_t alive = 0;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < STORE_OPERATIONS; i++)
		cJSON_AddNumberToObject(requests, operation_names[i], (double)s->counts[i]);
	for (size_t i = 0; i < s->n_tokens; i++)
		alive += s->tokens[i].deleted_ms == 0;
	cJSON_AddNumberToObject(o, "n_posts", (double)s->n_posts);
	cJSON_AddNumberToObject(o, "n_tokens", (double)s->n_tokens);
	cJSON_AddNumberToObject(o, "n_alive", (double)alive);
	pthread_mutex_unlock(&s->lock);
	return o;
}

cJSON *
store_truth(struct store *s, bool alive_only)
{
	cJSON *o = store_summary(s), *posts = cJSON_AddArrayToObject(o, "posts"), *tokens = cJSON_AddArrayToObject(o, "tokens");

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_posts; i++)
		cJSON_AddItemToArray(posts, post_truth(s, i));
	for (size_t i = 0; i < s->n_tokens; i++)
		if (!alive_only || s->tokens[i].deleted_ms == 0)
			cJSON_AddItemToArray(tokens, token_truth(s, &s->tokens[i]));
	pthread_mutex_unlock(&s->lock);
	return o;
}
