/* SPDX-License-Identifier: Apache-2.0 */
/* InfluxDB's Management API for database tokens, as the vendor's OpenAPI files have it:
 *
 *   Cloud Dedicated  /api/v0/accounts/{accountId}/clusters/{clusterId}/tokens[/{tokenId}]
 *   Clustered        /api/v0/tokens[/{tokenId}]
 *
 * POST answers 200 (not 201) with the token and, this once, its accessToken; DELETE 204; errors {"code", "message"}.
 * A wrong bearer is 401, one without rights 403, a malformed id 400, an unknown account, cluster or token 404, a
 * malformed body 400, an unknown database 404, and they are looked at in that order. Only description is required of a
 * POST; nothing is unique, and there is no idempotency key: those are the facts that tokend lives with, so nothing here
 * is kinder than they are.
 *
 * An id has the format "uuid", RFC 4122's, which is read in either case: an upper-case id is no malformed one. */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/text.h"
#include "tests/sandbox/bearer.h"
#include "tests/sandbox/body.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/spoil.h"
#include "tests/sandbox/store.h"

#define ID_ROOM 128

struct target {
	int status;                     /* what is wrong with the path; 0: nothing */
	int cluster;                    /* -1: unknown */
	bool dedicated;
	char account_id[ID_ROOM], cluster_id[ID_ROOM];  /* as in the path, in lower case */
	char token_id[ID_ROOM];         /* "": the collection */
};

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* "/tokens" or "/tokens/ID"; false: neither. */
static bool
read_tokens(const char *path, struct target *t)
{
	if (strncmp(path, "/tokens", 7) != 0)
		return false;
	path += 7;
	if (*path == '\0')
		return true;
	if (*path != '/' || path[1] == '\0' || strchr(path + 1, '/') != NULL || strlen(path + 1) >= sizeof t->token_id)
		return false;
	strcpy(t->token_id, path + 1);
	return true;
}

static void
lower(char *id)
{
	for (char *p = id; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
}

static bool
is_id(const char *text)
{
	return text_is_uuid(span_str(text));
}

static int
find_cluster(const struct world *w, const struct target *t)
{
	for (size_t i = 0; i < w->n_clusters; i++) {
		const struct store_cluster *c = &w->clusters[i];

		if (c->account_id == NULL ? !t->dedicated :
		    strcmp(c->account_id, t->account_id) == 0 && strcmp(c->cluster_id, t->cluster_id) == 0)
			return (int)i;
	}
	return -1;
}

static struct target
find_target(const char *path, const struct world *w)
{
	struct target t = { .status = 404, .cluster = -1 };
	int at = 0;

	if (strncmp(path, "/api/v0/", 8) != 0)
		return t;
	path += 7;
	if (!read_tokens(path, &t)) {
		if (sscanf(path, "/accounts/%127[^/]/clusters/%127[^/]%n", t.account_id, t.cluster_id, &at) != 2 ||
		    !read_tokens(path + at, &t))
			return t;
		t.dedicated = true;
	}
	lower(t.account_id);
	lower(t.cluster_id);
	lower(t.token_id);
	if ((t.dedicated && (!is_id(t.account_id) || !is_id(t.cluster_id))) ||
	    (t.token_id[0] != '\0' && !is_id(t.token_id)))
		t.status = 400;
	else if ((t.cluster = find_cluster(w, &t)) >= 0)
		t.status = 0;
	return t;
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

/* A call and what goes wrong with it. */
struct call {
	struct http_request *r;
	const struct world *w;
	struct target t;
	struct fault_action f;
};

static void
pick(struct call *c, enum store_operation o, const char *description)
{
	const struct store_cluster *at = &c->w->clusters[c->t.cluster];
	const struct faults_call call = { .operation = o, .account = at->account_id,
		.cluster = at->account_id != NULL ? at->cluster_id : "clustered",
		.token_id = c->t.token_id[0] != '\0' ? c->t.token_id : NULL, .description = description };

	faults_pick(c->w->faults, &call, &c->f);
}

static bool
databases_known(const struct world *w, const cJSON *body)
{
	return body_databases_known(body, w->databases, w->n_databases);
}

/* Answer 200 with o (freed), as far as the fault lets it be. */
static void
answer(struct call *c, cJSON *o)
{
	spoil_answer(c->r, c->w->store, c->t.cluster, o, &c->f);
}

/* The post that an answer belongs to. */
struct posted {
	struct store *store;
	uint64_t number;
};

static void
on_answered(void *about, bool whole)
{
	const struct posted *p = about;

	store_answered(p->store, p->number, whole);
}

static void
remember(struct call *c, uint64_t post)
{
	bool wordless = c->r->end != HTTP_WHOLE && c->r->at == HTTP_AT_START;
	struct posted *p = malloc(sizeof *p);

	if (p == NULL)
		abort();
	*p = (struct posted){ c->w->store, post };
	c->r->answered = on_answered;
	c->r->about = p;
	store_planned(c->w->store, post, wordless ? 0 : c->r->status, faults_name(c->f.fault),
	    c->f.fault != FAULT_NONE ? c->f.name : NULL);
}

static void
make_token(struct call *c, uint64_t post)
{
	const struct fault_action *f = &c->f;
	struct store *s = c->w->store;
	bool late = f->fault == FAULT_LATE, is_error = late || f->fault == FAULT_ERROR || f->fault == FAULT_THROTTLE;
	cJSON *token = NULL;

	if (f->commit || late)
		token = store_create(s, post, late ? f->late_ms : 0, f->lag_ms);
	else if (!is_error)
		token = store_pretend(s, post);
	if (f->fault == FAULT_TWICE && f->commit)
		cJSON_Delete(store_create(s, post, f->late_ms, f->lag_ms));
	if (token != NULL)
		answer(c, token);
	else
		http_status(c->r, 500);
	spoil_way(c->r, f);
}

/* Every POST is remembered, whatever is wrong with it: status says what, before its body is looked at (0: nothing). */
static void
create(struct call *c, int status)
{
	cJSON *o = body_parse(c->r->body);
	const char *description = cJSON_GetStringValue(body_member(o, "description"));
	const struct store_seen seen = { .path = c->r->path, .account_id = c->t.dedicated ? c->t.account_id : NULL,
		.cluster_id = c->t.dedicated ? c->t.cluster_id : NULL, .cluster = c->t.cluster, .body = c->r->body,
		.description = description != NULL ? description : "", .permissions = body_member(o, "permissions"),
		.expires_at = cJSON_GetStringValue(body_member(o, "expiresAt")) };
	uint64_t post = store_post(c->w->store, &seen);

	if (status != 0)
		http_status(c->r, status);
	else if (!body_creates(o))
		http_status(c->r, 400);
	else if (!databases_known(c->w, o))
		http_status(c->r, 404);
	else {
		pick(c, STORE_CREATE, description);
		make_token(c, post);
	}
	remember(c, post);
	cJSON_Delete(o);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

static void
update(struct call *c)
{
	cJSON *o = body_parse(c->r->body);
	enum store_update result = STORE_UPDATED;

	if (!body_updates(o))
		http_status(c->r, 400);
	else if (!databases_known(c->w, o))
		http_status(c->r, 404);
	else {
		if (c->f.commit)
			result = store_update(c->w->store, c->t.cluster, c->t.token_id,
			    cJSON_GetStringValue(body_member(o, "description")), body_member(o, "permissions"));
		if (result == STORE_REVOKED)
			http_status(c->r, 409);
		else
			answer(c, store_token(c->w->store, c->t.cluster, c->t.token_id));
	}
	cJSON_Delete(o);
}

/* known: there is such a token. */
static void
delete(struct call *c, bool known)
{
	bool late = c->f.fault == FAULT_LATE;

	if (c->f.commit || late)
		known = store_delete(c->w->store, c->t.cluster, c->t.token_id, late ? c->f.late_ms : 0);
	if (known)
		c->r->status = 204;
	else
		http_status(c->r, 404);
}

static void
others(struct call *c, enum store_operation o)
{
	struct store *s = c->w->store;
	cJSON *token = o != STORE_LIST ? store_token(s, c->t.cluster, c->t.token_id) : NULL;

	pick(c, o, cJSON_GetStringValue(body_member(token, "description")));        /* by what it is before */
	if (o == STORE_LIST)
		answer(c, store_list(s, c->t.cluster));
	else if (o == STORE_GET)
		answer(c, cJSON_Duplicate(token, 1));
	else if (o == STORE_UPDATE)
		update(c);
	else
		delete(c, token != NULL);
	spoil_way(c->r, &c->f);
	cJSON_Delete(token);
}

/* STORE_OPERATIONS: the method is not allowed there. */
static enum store_operation
operation_of(const char *method, const struct target *t)
{
	bool item = t->token_id[0] != '\0';

	if (strcmp(method, "GET") == 0)
		return item ? STORE_GET : STORE_LIST;
	if (strcmp(method, "POST") == 0)
		return item ? STORE_OPERATIONS : STORE_CREATE;
	if (strcmp(method, "PATCH") == 0)
		return item ? STORE_UPDATE : STORE_OPERATIONS;
	return strcmp(method, "DELETE") == 0 && item ? STORE_DELETE : STORE_OPERATIONS;
}

void
api_handle(struct http_request *r, void *world)
{
	struct call c = { .r = r, .w = world, .f.fault = FAULT_NONE };
	enum store_operation o;
	int status = bearer_status(c.w->bearer, http_header(r, "Authorization"));

	c.t = find_target(r->path, c.w);
	o = operation_of(r->method, &c.t);
	if (o != STORE_OPERATIONS)
		store_count(c.w->store, c.t.cluster, o);
	if (status == 200)
		status = c.t.status != 0 ? c.t.status : o == STORE_OPERATIONS ? 405 : 0;
	if (strcmp(r->method, "POST") == 0)
		create(&c, status);
	else if (status != 0)
		http_status(r, status);
	else
		others(&c, o);
}
