/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c, posts.c and truth.c have in common. The lock is held by who calls. */
#ifndef SANDBOX_STORE_PRIVATE_H
#define SANDBOX_STORE_PRIVATE_H

#include <pthread.h>

#include "service/base/text.h"
#include "tests/sandbox/store.h"

#define TOKENS_A_POST 2

struct token {
	char id[37], access_token[71];
	int cluster;
	uint64_t post;                          /* 0: planted */
	char *description, *expires_at;         /* expires_at NULL: never */
	cJSON *permissions;
	int64_t created_ms, listable_ms, expires_s;
	int64_t deleted_ms;                     /* 0: never */
};

struct post {
	int64_t at_ms;
	int cluster;
	char *path, *account_id, *cluster_id;
	unsigned char *body; size_t body_bytes;
	char *description, *expires_at;
	cJSON *permissions;
	int status;
	bool answered;
	const char *fault;                      /* a constant */
	char *rule;
	size_t tokens[TOKENS_A_POST];           /* indices, plus 1; 0: none */
};

struct store {
	pthread_mutex_t lock;
	struct store_options options;
	struct token *tokens; size_t n_tokens, tokens_room;
	struct post *posts; size_t n_posts, posts_room;
	uint64_t forgotten;                     /* posts before the last reset: numbers go on */
	uint64_t *counts;                       /* STORE_OPERATIONS for each cluster, then for unknown ones */
};

/* Is it there (yet)? Has it been deleted by now? */
static inline bool
token_exists(const struct token *t, int64_t now)
{
	return t->created_ms <= now;
}

static inline bool
token_deleted(const struct token *t, int64_t now)
{
	return t->deleted_ms != 0 && t->deleted_ms <= now;
}

/* NULL: it is of before a reset. */
struct post *store_find_post(const struct store *s, uint64_t number);
void store_forget_post(struct post *p);
bool store_is_active(const struct store *s, const struct token *t, int64_t now);
/* "2023-12-21T17:32:28.000Z" */
const char *store_time(int64_t ms, char room[TEXT_RFC3339_ROOM]);

/* Room for one element more. */
void *store_grown(void *array, size_t count, size_t *room, size_t size);
char *store_copy(const char *text);
cJSON *store_copy_permissions(const cJSON *permissions);

#endif
