/* SPDX-License-Identifier: Apache-2.0 */
/* The port for tests: what shall go wrong, and what is true. */
#include <cjson/cJSON.h>

#include "service/base/clock.h"
#include "service/base/err.h"
#include "tests/sandbox/bearer.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/store.h"

static void
answer(struct http_request *r, cJSON *o)
{
	http_json(r, 200, cJSON_PrintUnformatted(o));
	cJSON_Delete(o);
}

static const cJSON *
member(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* The body's text member of that name; NULL: none, and the answer says so. */
static const char *
text_of(struct http_request *r, const cJSON *body, const char *name)
{
	const char *text = cJSON_GetStringValue(member(body, name));

	if (text == NULL)
		http_error(r, 400, "a JSON object with \"%s\", a text", name);
	return text;
}

static cJSON *
parse(const struct http_request *r)
{
	return cJSON_ParseWithLength((const char *)r->body.data, r->body.bytes);
}

/* ---- the truth --------------------------------------------------------------------------------------------------- */

static void
health(struct http_request *r, struct world *w)
{
	(void)w;
	http_json(r, 200, strdup("{\"status\":\"ok\"}"));
}

static void
answer_truth(struct http_request *r, cJSON *o)
{
	cJSON_AddNumberToObject(o, "in_flight", http_waiting());
	answer(r, o);
}

static void
truth(struct http_request *r, struct world *w)
{
	const char *tokens = http_query(r, "tokens");

	answer_truth(r, store_truth(w->store, tokens != NULL && strcmp(tokens, "alive") == 0));
}

static void
truth_summary(struct http_request *r, struct world *w)
{
	answer_truth(r, store_summary(w->store));
}

static void
reset(struct http_request *r, struct world *w)
{
	store_reset(w->store);
	r->status = 204;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static void
show_faults(struct http_request *r, struct world *w)
{
	answer(r, faults_list(w->faults));
}

static void
add_faults(struct http_request *r, struct world *w)
{
	struct err e;

	if (faults_add(w->faults, (const char *)r->body.data, r->body.bytes, &e) != 0)
		http_error(r, 400, "%s", e.text);
	else
		show_faults(r, w);
}

static void
clear_faults(struct http_request *r, struct world *w)
{
	faults_clear(w->faults);
	r->status = 204;
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static void
release(struct http_request *r, struct world *w)
{
	cJSON *o = cJSON_CreateObject();

	(void)w;
	cJSON_AddNumberToObject(o, "released", http_release());
	answer(r, o);
}

static void
settle(struct http_request *r, struct world *w)
{
	store_settle(w->store);
	r->status = 204;
}

static void
rotate(struct http_request *r, struct world *w)
{
	cJSON *body = parse(r);
	const char *token = text_of(r, body, "token");

	if (token != NULL) {
		bearer_rotate(w->bearer, token);
		r->status = 204;
	}
	cJSON_Delete(body);
}

/* -1: there is none of that id. Absent: the first of Cloud Dedicated. */
static int
cluster_of(const struct world *w, const cJSON *name)
{
	const char *id = name != NULL ? cJSON_GetStringValue(name) : w->clusters[1].cluster_id;

	for (size_t i = 0; id != NULL && i < w->n_clusters; i++)
		if (strcmp(w->clusters[i].account_id != NULL ? w->clusters[i].cluster_id : "clustered", id) == 0)
			return (int)i;
	return -1;
}

/* A token that nobody's POST made: by hand, or by a gateway that is late. */
static void
plant(struct http_request *r, struct world *w)
{
	cJSON *body = parse(r);
	const char *description = text_of(r, body, "description");
	const cJSON *created = member(body, "created_ms"), *permissions = member(body, "permissions");
	int cluster = cluster_of(w, member(body, "cluster"));

	if (description != NULL && cluster < 0)
		http_error(r, 400, "\"cluster\" is the id of one, or \"clustered\"");
	else if (description != NULL && permissions != NULL && !cJSON_IsArray(permissions))
		http_error(r, 400, "\"permissions\" is an array");
	else if (description != NULL)
		answer(r, store_plant(w->store, cluster, description, permissions,
		    cJSON_GetStringValue(member(body, "expiresAt")),
		    cJSON_IsNumber(created) ? (int64_t)created->valuedouble : clock_wall_ms()));
	cJSON_Delete(body);
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *method, *path;
	void (*handle)(struct http_request *r, struct world *w);
} calls[] = {
	{ "GET", "/health", health },
	{ "GET", "/truth", truth },
	{ "GET", "/truth/summary", truth_summary },
	{ "POST", "/reset", reset },
	{ "GET", "/faults", show_faults },
	{ "POST", "/faults", add_faults },
	{ "DELETE", "/faults", clear_faults },
	{ "POST", "/control/release", release },
	{ "POST", "/control/settle", settle },
	{ "POST", "/control/management-token", rotate },
	{ "POST", "/control/plant", plant },
};

void
control_handle(struct http_request *r, void *world)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(r->method, calls[i].method) == 0 && strcmp(r->path, calls[i].path) == 0) {
			calls[i].handle(r, world);
			return;
		}
	http_error(r, 404, "%s %.200s is none of this port's calls; see the sandbox's README", r->method, r->path);
}
