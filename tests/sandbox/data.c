/* SPDX-License-Identifier: Apache-2.0 */
/* Where a token is used: reading wants the right to read that database, writing to write it, and a token that is not
 * active yet, or not any more, gets 401 like one that never was. Nothing is stored: writes are taken, queries empty. */
#include "tests/sandbox/http.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/store.h"

static const struct door {
	const char *path, *methods, *database;          /* database: the query parameter that names it */
	const char *action;
	int good;
} doors[] = {
	{ "/query", "GET POST", "db", "read", 200 },
	{ "/write", "POST", "db", "write", 204 },
	{ "/api/v2/write", "POST", "bucket", "write", 204 },
};

static const char *
bearer(const struct http_request *r)
{
	const char *a = http_header(r, "Authorization");

	if (a != NULL && strncmp(a, "Bearer ", 7) == 0)
		return a + 7;
	return a != NULL && strncmp(a, "Token ", 6) == 0 ? a + 6 : "";
}

static void
use(struct http_request *r, const struct world *w, const struct door *d)
{
	const char *database = http_query(r, d->database);

	if (strstr(d->methods, r->method) == NULL) {
		http_status(r, 405);
		return;
	}
	if (database == NULL || database[0] == '\0') {
		http_error(r, 400, "which database? %s?%s=NAME", d->path, d->database);
		return;
	}
	switch (store_access(w->store, bearer(r), d->action, database)) {
	case STORE_UNKNOWN:
		http_status(r, 401);
		break;
	case STORE_FORBIDDEN:
		http_error(r, 403, "no %s access to %s", d->action, database);
		break;
	case STORE_ALLOWED:
		http_json(r, d->good, d->good == 200 ? strdup("[]") : NULL);
		break;
	}
}

void
data_handle(struct http_request *r, void *world)
{
	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
		if (strcmp(r->path, doors[i].path) == 0) {
			use(r, world, &doors[i]);
			return;
		}
	http_error(r, 404, "/query?db=, /write?db= or /api/v2/write?bucket=");
}
