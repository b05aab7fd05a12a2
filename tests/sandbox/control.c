/* SPDX-License-Identifier: Apache-2.0 */
/* The port for tests: what shall go wrong, and what is true. */
#include <cjson/cJSON.h>

#include "service/base/err.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/store.h"

static bool
is(const struct http_request *r, const char *method, const char *path)
{
	return strcmp(r->method, method) == 0 && strcmp(r->path, path) == 0;
}

static void
answer(struct http_request *r, cJSON *o)
{
	http_json(r, 200, cJSON_PrintUnformatted(o));
	cJSON_Delete(o);
}

static cJSON *
one(const char *name, double value)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, name, value);
	return o;
}

static void
answer_truth(struct http_request *r, cJSON *o)
{
	cJSON_AddNumberToObject(o, "in_flight", http_waiting());
	answer(r, o);
}

void
control_handle(struct http_request *r, void *world)
{
	struct world *w = world;
	struct err e;

	if (is(r, "GET", "/health"))
		http_json(r, 200, strdup("{\"status\":\"ok\"}"));
	else if (is(r, "GET", "/truth")) {
		const char *tokens = http_query(r, "tokens");

		answer_truth(r, store_truth(w->store, tokens != NULL && strcmp(tokens, "alive") == 0));
	} else if (is(r, "GET", "/truth/summary"))
		answer_truth(r, store_summary(w->store));
	else if (is(r, "GET", "/faults"))
		answer(r, faults_list(w->faults));
	else if (is(r, "POST", "/faults")) {
		if (faults_add(w->faults, (const char *)r->body.data, r->body.bytes, &e) != 0)
			http_error(r, 400, "%s", e.text);
		else
			answer(r, faults_list(w->faults));
	} else if (is(r, "DELETE", "/faults")) {
		faults_clear(w->faults);
		r->status = 204;
	} else if (is(r, "POST", "/control/release"))
		answer(r, one("released", http_release()));
	else if (is(r, "POST", "/reset")) {
		store_reset(w->store);
		r->status = 204;
	} else
		http_error(r, 404, "GET /health /truth /truth/summary /faults, POST /faults /control/release /reset, DELETE /faults");
}
