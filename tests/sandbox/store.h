/* SPDX-License-Identifier: Apache-2.0 */
/* The truth: every POST that was seen, every token that was made. Any thread; each call is atomic. */
#ifndef SANDBOX_STORE_H
#define SANDBOX_STORE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct store;

enum store_operation { STORE_CREATE, STORE_LIST, STORE_GET, STORE_UPDATE, STORE_DELETE, STORE_OPERATIONS };

struct store_options {
	const char *account_id, *cluster_id;
	uint64_t activation_ms;         /* a token is not active before */
};

struct store *store_new(const struct store_options *o);
void store_free(struct store *s);
void store_reset(struct store *s);

/* A POST was seen: description, permissions and expires_at (NULL: none) as sent; all are copied. Returns its number, from 1. */
uint64_t store_post(struct store *s, bool dedicated, const char *description, const cJSON *permissions, const char *expires_at);
/* It makes a token; returns the token as the API answers it, accessToken included. NULL: a reset came between. */
cJSON *store_create(struct store *s, uint64_t post);
/* What will be answered to it (0: nothing), by which fault (NULL: none). */
void store_planned(struct store *s, uint64_t post, int status, const char *fault);
/* Was it answered, whole? */
void store_answered(struct store *s, uint64_t post, bool whole);

void store_count(struct store *s, enum store_operation o);

/* As the API answers them; dedicated: with accountId and clusterId. NULL: unknown. */
cJSON *store_token(struct store *s, const char *id, bool dedicated);
cJSON *store_list(struct store *s, bool dedicated);
bool store_update(struct store *s, const char *id, const char *description, const cJSON *permissions);
bool store_delete(struct store *s, const char *id);

/* What the data endpoint says to that access token. */
enum store_access { STORE_UNKNOWN, STORE_FORBIDDEN, STORE_ALLOWED };
enum store_access store_access(struct store *s, const char *access_token, const char *action, const char *database);

/* For the control port. */
cJSON *store_truth(struct store *s, bool alive_only);
cJSON *store_summary(struct store *s);

#endif
