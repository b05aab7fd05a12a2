/* SPDX-License-Identifier: Apache-2.0 */
/* The truth: every POST that was seen, every token that was made. Any thread; each call is atomic.
 *
 * A cluster is known by its index in the options. Each has tokens of its own. Time decides what is there: a token that
 * comes late is in the store at once and not to be seen before; so nothing here waits or wakes up. */
#ifndef SANDBOX_STORE_H
#define SANDBOX_STORE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

struct store;

enum store_operation { STORE_CREATE, STORE_LIST, STORE_GET, STORE_UPDATE, STORE_DELETE, STORE_OPERATIONS };

struct store_cluster { const char *account_id, *cluster_id; };          /* NULL: Clustered, which has no such ids */

struct store_options {
	const struct store_cluster *clusters; size_t n_clusters;
	uint64_t activation_ms;         /* a token is not active before */
	uint64_t lag_ms;                /* nor in a list before */
	bool keep_revoked;              /* DELETE sets revokedAt, instead of removing the row */
	bool hide_revoked;              /* the list leaves those out */
};

struct store *store_new(const struct store_options *o);
const struct store_cluster *store_cluster(const struct store *s, int cluster);
void store_free(struct store *s);
void store_reset(struct store *s);
/* What is late happens now, and what lags can be listed. */
void store_settle(struct store *s);

/* ---- posts ---- */

/* A POST as it came; all is copied. */
struct store_seen {
	const char *path, *account_id, *cluster_id;     /* ids as in the path; NULL: it has none */
	int cluster;                    /* -1: unknown */
	struct span body;
	const char *description;        /* "": none could be read */
	const cJSON *permissions;       /* NULL: none */
	const char *expires_at;         /* NULL: none */
};

/* Returns its number, from 1. */
uint64_t store_post(struct store *s, const struct store_seen *seen);
/* It makes a token, late_ms from now, to be listed lag_ms after that (-1: the store's own). Returns the token as the
 * API answers it, accessToken included. NULL: a reset came between. */
cJSON *store_create(struct store *s, uint64_t post, int64_t late_ms, int64_t lag_ms);
/* The same answer, but there is no such token. */
cJSON *store_pretend(struct store *s, uint64_t post);
/* What will be answered to it (0: nothing), by which fault of which rule (NULL: none). rule is copied. */
void store_planned(struct store *s, uint64_t number, int status, const char *fault, const char *rule);
/* Was it answered, whole? */
void store_answered(struct store *s, uint64_t number, bool whole);

/* ---- tokens, as the API has them ---- */

/* One more call; cluster -1: unknown. */
void store_count(struct store *s, int cluster, enum store_operation o);
/* NULL: unknown. */
cJSON *store_token(struct store *s, int cluster, const char *id);
/* The id of another token of that cluster; of none that exists when there is no other. */
void store_other_id(struct store *s, int cluster, const char *id, char room[37]);
cJSON *store_list(struct store *s, int cluster);
enum store_update { STORE_UPDATED, STORE_UNKNOWN_TOKEN, STORE_REVOKED };
enum store_update store_update(struct store *s, int cluster, const char *id, const char *description,
    const cJSON *permissions);
/* late_ms from now. False: unknown. */
bool store_delete(struct store *s, int cluster, const char *id, int64_t late_ms);
/* A token that no POST made; permissions and expires_at may be NULL. The API's answer. */
cJSON *store_plant(struct store *s, int cluster, const char *description, const cJSON *permissions,
    const char *expires_at, int64_t created_ms);

/* What the data endpoint says to that access token. */
enum store_access { STORE_UNKNOWN, STORE_FORBIDDEN, STORE_ALLOWED };
enum store_access store_access(struct store *s, const char *access_token, const char *action, const char *database);

/* ---- for the control port ---- */

cJSON *store_truth(struct store *s, bool alive_only);
cJSON *store_summary(struct store *s);

#endif
