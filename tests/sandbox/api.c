/* SPDX-License-Identifier: Apache-2.0 */
/* InfluxDB's Management API for database tokens, as the vendor's OpenAPI files have it:
 *
 *   Cloud Dedicated  /api/v0/accounts/{accountId}/clusters/{clusterId}/tokens[/{tokenId}]
 *   Clustered        /api/v0/tokens[/{tokenId}]
 *
 * POST answers 200 (not 201) with the token and, this once, its accessToken; DELETE 204; errors {"code", "message"}. A wrong bearer is 401, an unknown
 * account, cluster, token or database 404, a malformed id or body 400. Only description is required of a POST; nothing is unique, and there
 * is no idempotency key: those are the facts that tokend lives with, so nothing here is kinder than they are. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/text.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/store.h"

#define OTHER_ACCOUNT "99999999-9999-4999-8999-999999999999"

struct target {
	bool dedicated;
	char token_id[128];             /* "": the collection */
};

/* ---- where ---------------------------------------------------------------------------------------------------------- */

/* "/tokens" or "/tokens/ID"; false: neither. */
static bool
read_tokens(const char *path, struct target *ret)
{
	if (strncmp(path, "/tokens", 7) != 0)
		return false;
	path += 7;
	if (*path == '\0')
		return true;
	return *path == '/' && path[1] != '\0' && strchr(path + 1, '/') == NULL && strlen(path + 1) < sizeof ret->token_id &&
	    strcpy(ret->token_id, path + 1) != NULL;
}

/* False: the answer is planned. */
static bool
find_target(struct http_request *r, const struct world *w, struct target *ret)
{
	char account[128], cluster[128];
	int at = 0;

	memset(ret, 0, sizeof *ret);
	if (strncmp(r->path, "/api/v0", 7) != 0)
		goto unknown;
	if (read_tokens(r->path + 7, ret))
		goto item;
	if (sscanf(r->path + 7, "/accounts/%127[^/]/clusters/%127[^/]%n", account, cluster, &at) != 2 || !read_tokens(r->path + 7 + at, ret))
		goto unknown;
	ret->dedicated = true;
	if (!text_is_uuid(span_str(account)) || !text_is_uuid(span_str(cluster))) {
		http_error(r, 400, "bad request");
		return false;
	}
	if (strcmp(account, w->account_id) != 0 || strcmp(cluster, w->cluster_id) != 0)
		goto unknown;
item:
	if (ret->token_id[0] != '\0' && !text_is_uuid(span_str(ret->token_id))) {
		http_error(r, 400, "bad request");
		return false;
	}
	return true;
unknown:
	http_error(r, 404, "not found");
	return false;
}

static bool
authorized(const struct http_request *r, const struct world *w)
{
	const char *a = http_header(r, "Authorization");

	return a != NULL && strncmp(a, "Bearer ", 7) == 0 && strcmp(a + 7, w->management_token) == 0;
}

/* ---- bodies --------------------------------------------------------------------------------------------------------- */

static cJSON *
parse(const struct http_request *r)
{
	char *text = r->body.bytes > 0 && text_is_utf8(r->body) ? strndup((const char *)r->body.data, r->body.bytes) : NULL;
	cJSON *o = text != NULL ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;

	free(text);
	if (o != NULL && !cJSON_IsObject(o)) {
		cJSON_Delete(o);
		o = NULL;
	}
	return o;
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
		const cJSON *action = cJSON_GetObjectItemCaseSensitive(p, "action"), *resource = cJSON_GetObjectItemCaseSensitive(p, "resource");

		if (!cJSON_IsObject(p) || (action != NULL && !cJSON_IsString(action)) || (resource != NULL && (!cJSON_IsString(resource) ||
		    strlen(resource->valuestring) < 1 || strlen(resource->valuestring) > 64)))
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

/* ---- create --------------------------------------------------------------------------------------------------------- */

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
remember(struct http_request *r, const struct world *w, uint64_t post, const char *fault)
{
	struct posted *p = malloc(sizeof *p);

	if (p == NULL)
		abort();
	*p = (struct posted){ w->store, post };
	r->answered = on_answered;
	r->about = p;
	store_planned(w->store, post, r->how == HTTP_CUT ? 0 : r->status, fault);
}

/* One token of an answer. */
static void
spoil(cJSON *token, enum fault fault)
{
	if (fault == FAULT_TRUNCATE_DESCRIPTION) {
		char *d = cJSON_GetObjectItemCaseSensitive(token, "description")->valuestring;

		d[strlen(d) * 2 / 3] = '\0';
	} else if (fault == FAULT_WRONG_ACCOUNT) {
		/* Clustered answers without an account: there, any is wrong. */
		cJSON_DeleteItemFromObjectCaseSensitive(token, "accountId");
		cJSON_AddStringToObject(token, "accountId", OTHER_ACCOUNT);
	} else if (fault == FAULT_MISSING_TOKEN)
		cJSON_DeleteItemFromObjectCaseSensitive(token, "accessToken");
}

/* Answer 200 with o (a token, or a list of them; freed), spoilt; NULL: 404. */
static void
answer_tokens(struct http_request *r, cJSON *o, enum fault fault)
{
	cJSON *token;
	char *text;

	if (o == NULL) {
		http_error(r, 404, "not found");
		return;
	}
	if (cJSON_IsArray(o))
		cJSON_ArrayForEach(token, o)
			spoil(token, fault);
	else
		spoil(o, fault);
	text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	if (fault == FAULT_BAD_JSON)
		text[strlen(text) * 2 / 3] = '\0';
	http_json(r, 200, text);
}

/* Does this fault's call do what it was asked to? */
static bool
commits(const struct fault_action *f)
{
	switch (f->fault) {
	case FAULT_THROTTLE:
	case FAULT_ERROR:
	case FAULT_CUT:
	case FAULT_HOLD:
		return f->commit;
	default:
		return true;
	}
}

/* What is planned becomes what the fault makes of it. */
static void
misbehave(struct http_request *r, const struct fault_action *f)
{
	r->delay_ms = f->delay_ms;
	switch (f->fault) {
	case FAULT_THROTTLE:
	case FAULT_ERROR:
		free(r->answer);
		http_error(r, f->status != 0 ? f->status : f->fault == FAULT_THROTTLE ? 429 : 500, "%s",
		    f->fault == FAULT_THROTTLE ? "too many requests" : "internal server error");
		strcpy(r->retry_after, f->retry_after);
		break;
	case FAULT_CUT:
		r->how = f->mid_body && r->answer != NULL ? HTTP_CUT_MID_BODY : HTTP_CUT;
		break;
	case FAULT_HOLD:
		r->hold = true;
		r->how = HTTP_CUT;
		break;
	default:
		break;
	}
}

static void
plan_create(struct http_request *r, const struct world *w, uint64_t post, const struct fault_action *f)
{
	cJSON *token = commits(f) ? store_create(w->store, post) : NULL;

	if (token != NULL)
		answer_tokens(r, token, f->fault);
	else
		http_error(r, 500, "internal server error");
	misbehave(r, f);
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

/* Every POST is remembered, whatever is wrong with it. */
static void
create(struct http_request *r, const struct world *w, const struct target *t)
{
	cJSON *o = parse(r);
	const cJSON *permissions = cJSON_GetObjectItemCaseSensitive(o, "permissions");
	const char *description = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "description"));
	const cJSON *expires = cJSON_GetObjectItemCaseSensitive(o, "expiresAt");
	uint64_t post = store_post(w->store, t->dedicated, description != NULL ? description : "", permissions, cJSON_GetStringValue(expires));
	struct fault_action f = { .fault = FAULT_NONE };

	if (!authorized(r, w))
		http_error(r, 401, "unauthorized");
	else if (description == NULL || !permissions_valid(permissions) || !expiry_valid(expires))
		http_error(r, 400, "bad request");
	else if (!databases_known(w, permissions))
		http_error(r, 404, "not found");
	else {
		f = faults_pick(w->faults, STORE_CREATE, description);
		plan_create(r, w, post, &f);
	}
	remember(r, w, post, faults_name(f.fault));
	cJSON_Delete(o);
}

/* ---- the others ----------------------------------------------------------------------------------------------------- */

static void
update(struct http_request *r, const struct world *w, const struct target *t, enum fault fault)
{
	cJSON *o = parse(r);
	const cJSON *permissions = cJSON_GetObjectItemCaseSensitive(o, "permissions");
	const cJSON *description = cJSON_GetObjectItemCaseSensitive(o, "description");

	if (o == NULL || (permissions == NULL && description == NULL) || !permissions_valid(permissions) ||
	    (description != NULL && !cJSON_IsString(description)))
		http_error(r, 400, "bad request");
	else if (!store_update(w->store, t->token_id, cJSON_GetStringValue(description), permissions))
		http_error(r, 404, "not found");
	else
		answer_tokens(r, store_token(w->store, t->token_id, t->dedicated), fault);
	cJSON_Delete(o);
}

static void
carry_out(struct http_request *r, const struct world *w, const struct target *t, enum store_operation o, enum fault fault)
{
	if (o == STORE_LIST)
		answer_tokens(r, store_list(w->store, t->dedicated), fault);
	else if (o == STORE_GET)
		answer_tokens(r, store_token(w->store, t->token_id, t->dedicated), fault);
	else if (o == STORE_UPDATE)
		update(r, w, t, fault);
	else if (store_delete(w->store, t->token_id))
		r->status = 204;
	else
		http_error(r, 404, "not found");
}

/* The rule that acts on this call, by the description that its token has before. */
static struct fault_action
pick(const struct world *w, const struct target *t, enum store_operation o)
{
	cJSON *token = o != STORE_LIST ? store_token(w->store, t->token_id, false) : NULL;
	struct fault_action f = faults_pick(w->faults, o, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(token, "description")));

	cJSON_Delete(token);
	return f;
}

static void
others(struct http_request *r, const struct world *w, const struct target *t)
{
	bool item = t->token_id[0] != '\0';
	enum store_operation o = strcmp(r->method, "DELETE") == 0 ? STORE_DELETE : strcmp(r->method, "PATCH") == 0 ? STORE_UPDATE :
	    item ? STORE_GET : STORE_LIST;
	struct fault_action f;

	if (strcmp(r->method, "GET") != 0 && (!item || (o != STORE_DELETE && o != STORE_UPDATE))) {
		http_error(r, 405, "method not allowed");
		return;
	}
	store_count(w->store, o);
	f = pick(w, t, o);
	/* Reading changes nothing, so that a cut list has something to be cut. */
	if (o == STORE_LIST || o == STORE_GET || commits(&f))
		carry_out(r, w, t, o, f.fault);
	else
		http_error(r, 500, "internal server error");
	misbehave(r, &f);
}

void
api_handle(struct http_request *r, void *world)
{
	const struct world *w = world;
	struct target t;

	if (strcmp(r->method, "POST") == 0 && find_target(r, w, &t) && t.token_id[0] == '\0') {
		store_count(w->store, STORE_CREATE);
		create(r, w, &t);
	} else if (!authorized(r, w)) {
		free(r->answer);
		http_error(r, 401, "unauthorized");
	} else if (r->answer == NULL && find_target(r, w, &t))
		others(r, w, &t);
}
