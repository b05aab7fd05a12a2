/* SPDX-License-Identifier: Apache-2.0 */
/* InfluxDB's Management API for database tokens, as the vendor's OpenAPI files have it:
 *
 *   Cloud Dedicated  /api/v0/accounts/{accountId}/clusters/{clusterId}/tokens[/{tokenId}]
 *   Clustered        /api/v0/tokens[/{tokenId}]
 *
 * POST answers 200 (not 201) with the token and, this once, its accessToken; DELETE 204; errors {"code", "message"}. A
 * wrong bearer is 401, one without rights 403, an unknown account, cluster, token or database 404, a malformed id or body
 * 400, and they are looked at in that order. Only description is required of a POST; nothing is unique, and there is no
 * idempotency key: those are the facts that tokend lives with, so nothing here is kinder than they are.
 *
 * An id has the format "uuid", RFC 4122's, which is read in either case: an upper-case id is no malformed one. */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/text.h"
#include "tests/sandbox/bearer.h"
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
	return *path == '/' && path[1] != '\0' && strchr(path + 1, '/') == NULL && strlen(path + 1) < sizeof t->token_id &&
	    strcpy(t->token_id, path + 1) != NULL;
}

/* False: it has not the form of an id. */
static bool
read_id(char *id)
{
	for (char *p = id; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return text_is_uuid(span_str(id));
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
	bool well_formed;
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
	well_formed = (!t.dedicated || (read_id(t.account_id) & read_id(t.cluster_id))) &&
	    (t.token_id[0] == '\0' || read_id(t.token_id));
	if (!well_formed)
		t.status = 400;
	else if ((t.cluster = find_cluster(w, &t)) >= 0)
		t.status = 0;
	return t;
}

/* ---- bodies --------------------------------------------------------------------------------------------------------- */

static cJSON *
parse(const struct http_request *r)
{
	bool is_text = r->body.bytes > 0 && text_is_utf8(r->body);
	char *text = is_text ? strndup((const char *)r->body.data, r->body.bytes) : NULL;
	cJSON *o = text != NULL ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;

	free(text);
	if (o != NULL && !cJSON_IsObject(o)) {
		cJSON_Delete(o);
		o = NULL;
	}
	return o;
}

/* 1 to 64 characters, which are not bytes. */
static bool
length_valid(const char *name)
{
	size_t n = 0;

	for (; *name != '\0'; name++)
		n += (*name & 0xc0) != 0x80;
	return n >= 1 && n <= 64;
}

static bool
permissions_valid(const cJSON *list)
{
	const cJSON *p;

	if (list == NULL)
		return true;
	if (!cJSON_IsArray(list))
		return false;
	cJSON_ArrayForEach(p, list) {
		const cJSON *action = cJSON_GetObjectItemCaseSensitive(p, "action");
		const cJSON *resource = cJSON_GetObjectItemCaseSensitive(p, "resource");

		if (!cJSON_IsObject(p) || (action != NULL && !cJSON_IsString(action)) ||
		    (resource != NULL && (!cJSON_IsString(resource) || !length_valid(resource->valuestring))))
			return false;
	}
	return true;
}

static bool
databases_known(const struct world *w, const cJSON *list)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, list) {
		const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "resource"));
		bool known = w->n_databases == 0 || name == NULL || strcmp(name, "*") == 0;

		for (size_t i = 0; i < w->n_databases; i++)
			known |= strcmp(w->databases[i], name) == 0;
		if (!known)
			return false;
	}
	return true;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* The rule that acts on this call. */
static void
pick(const struct world *w, const struct target *t, enum store_operation o, const char *description, struct fault_action *ret)
{
	const struct store_cluster *c = &w->clusters[t->cluster];
	const struct faults_call call = { .operation = o, .account = c->account_id,
		.cluster = c->account_id != NULL ? c->cluster_id : "clustered",
		.token_id = t->token_id[0] != '\0' ? t->token_id : NULL, .description = description };

	faults_pick(w->faults, &call, ret);
}

/* An error that says nothing of what might have been done. */
static bool
is_error(const struct fault_action *f)
{
	return f->fault == FAULT_THROTTLE || f->fault == FAULT_ERROR || f->fault == FAULT_LATE;
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

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
remember(struct http_request *r, const struct world *w, uint64_t post, const struct fault_action *f)
{
	struct posted *p = malloc(sizeof *p);

	if (p == NULL)
		abort();
	*p = (struct posted){ w->store, post };
	r->answered = on_answered;
	r->about = p;
	store_planned(w->store, post, r->end != HTTP_WHOLE && r->at == HTTP_AT_START ? 0 : r->status, faults_name(f->fault),
	    f->fault != FAULT_NONE ? f->name : NULL);
}

static void
plan_create(struct http_request *r, const struct world *w, const struct target *t, uint64_t post, const struct fault_action *f)
{
	cJSON *token = NULL;

	if (f->commit || f->fault == FAULT_LATE)
		token = store_create(w->store, post, f->fault == FAULT_LATE ? f->late_ms : 0, f->lag_ms);
	else if (!is_error(f))
		token = store_pretend(w->store, post);
	if (f->fault == FAULT_TWICE && f->commit)
		cJSON_Delete(store_create(w->store, post, f->late_ms, f->lag_ms));
	if (token != NULL)
		spoil_answer(r, w->store, t->cluster, token, f);
	else
		http_status(r, 500);
	spoil_way(r, f);
}

static bool
expiry_valid(const cJSON *e)
{
	size_t n = e != NULL && cJSON_IsString(e) ? strlen(e->valuestring) : 0;
	int64_t seconds;
	int32_t nanos;

	/* "+0000" is what people type and not what the API takes. */
	return e == NULL || (n > 6 && (e->valuestring[n - 1] == 'Z' || e->valuestring[n - 3] == ':') &&
	    text_parse_time(span_str(e->valuestring), &seconds, &nanos));
}

/* Every POST is remembered, whatever is wrong with it: status says what, before its body is looked at (0: nothing). */
static void
create(struct http_request *r, const struct world *w, const struct target *t, int status)
{
	cJSON *o = parse(r);
	const cJSON *permissions = cJSON_GetObjectItemCaseSensitive(o, "permissions");
	const char *description = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "description"));
	const cJSON *expires = cJSON_GetObjectItemCaseSensitive(o, "expiresAt");
	const struct store_seen seen = { .path = r->path, .account_id = t->dedicated ? t->account_id : NULL,
		.cluster_id = t->dedicated ? t->cluster_id : NULL, .cluster = t->cluster, .body = r->body,
		.description = description != NULL ? description : "", .permissions = permissions,
		.expires_at = cJSON_GetStringValue(expires) };
	uint64_t post = store_post(w->store, &seen);
	struct fault_action f = { .fault = FAULT_NONE };

	if (status != 0)
		http_status(r, status);
	else if (description == NULL || !permissions_valid(permissions) || !expiry_valid(expires))
		http_status(r, 400);
	else if (!databases_known(w, permissions))
		http_status(r, 404);
	else {
		pick(w, t, STORE_CREATE, description, &f);
		plan_create(r, w, t, post, &f);
	}
	remember(r, w, post, &f);
	cJSON_Delete(o);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

static void
update(struct http_request *r, const struct world *w, const struct target *t, const struct fault_action *f)
{
	cJSON *o = parse(r);
	const cJSON *permissions = cJSON_GetObjectItemCaseSensitive(o, "permissions");
	const cJSON *d = cJSON_GetObjectItemCaseSensitive(o, "description");
	enum store_update result = STORE_UPDATED;

	if (o == NULL || (permissions == NULL && d == NULL) || !permissions_valid(permissions) || (d != NULL && !cJSON_IsString(d)))
		http_status(r, 400);
	else if (!databases_known(w, permissions))
		http_status(r, 404);
	else {
		if (f->commit)
			result = store_update(w->store, t->cluster, t->token_id, cJSON_GetStringValue(d), permissions);
		if (result == STORE_REVOKED)
			http_status(r, 409);
		else
			spoil_answer(r, w->store, t->cluster, store_token(w->store, t->cluster, t->token_id), f);
	}
	cJSON_Delete(o);
}

/* known: there is such a token. */
static void
delete(struct http_request *r, const struct world *w, const struct target *t, bool known, const struct fault_action *f)
{
	if (f->commit || f->fault == FAULT_LATE)
		known = store_delete(w->store, t->cluster, t->token_id, f->fault == FAULT_LATE ? f->late_ms : 0);
	if (known)
		r->status = 204;
	else
		http_status(r, 404);
}

static void
others(struct http_request *r, const struct world *w, const struct target *t, enum store_operation o)
{
	cJSON *token = o != STORE_LIST ? store_token(w->store, t->cluster, t->token_id) : NULL;
	struct fault_action f;

	/* By the description that the token has before. */
	pick(w, t, o, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(token, "description")), &f);
	if (o == STORE_LIST)
		spoil_answer(r, w->store, t->cluster, store_list(w->store, t->cluster), &f);
	else if (o == STORE_GET) {
		spoil_answer(r, w->store, t->cluster, token, &f);
		token = NULL;
	} else if (o == STORE_UPDATE)
		update(r, w, t, &f);
	else
		delete(r, w, t, token != NULL, &f);
	spoil_way(r, &f);
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
	const struct world *w = world;
	struct target t = find_target(r->path, w);
	enum store_operation o = operation_of(r->method, &t);
	int status = bearer_status(w->bearer, http_header(r, "Authorization"));

	if (o != STORE_OPERATIONS)
		store_count(w->store, t.cluster, o);
	if (status == 200)
		status = t.status != 0 ? t.status : o == STORE_OPERATIONS ? 405 : 0;
	if (strcmp(r->method, "POST") == 0)
		create(r, w, &t, status);
	else if (status != 0)
		http_status(r, status);
	else
		others(r, w, &t, o);
}
