/* SPDX-License-Identifier: Apache-2.0 */
/* Where a token is used: reading wants the right to read that database, writing to write it, and a token that is not active yet, or not
 * any more, gets 401 like one that never was. */
#include "tests/sandbox/http.h"
#include "tests/sandbox/ports.h"
#include "tests/sandbox/store.h"

static const char *
bearer(const struct http_request *r)
{
	const char *a = http_header(r, "Authorization");

	if (a != NULL && strncmp(a, "Bearer ", 7) == 0)
		return a + 7;
	return a != NULL && strncmp(a, "Token ", 6) == 0 ? a + 6 : "";
}

static void
use(struct http_request *r, const struct world *w, const char *action, const char *database, int good)
{
	if (database == NULL || database[0] == '\0') {
		http_error(r, 400, "which database?");
		return;
	}
	switch (store_access(w->store, bearer(r), action, database)) {
	case STORE_UNKNOWN:
		http_error(r, 401, "unauthorized");
		break;
	case STORE_FORBIDDEN:
		http_error(r, 403, "no %s access to %s", action, database);
		break;
	case STORE_ALLOWED:
		http_json(r, good, good == 200 ? strdup("[]") : NULL);
		break;
	}
}

void
data_handle(struct http_request *r, void *world)
{
	if (strcmp(r->path, "/query") == 0)
		use(r, world, "read", http_query(r, "db"), 200);
	else if (strcmp(r->path, "/write") == 0)
		use(r, world, "write", http_query(r, "db"), 204);
	else if (strcmp(r->path, "/api/v2/write") == 0)
		use(r, world, "write", http_query(r, "bucket"), 204);
	else
		http_error(r, 404, "/query?db=, /write?db= or /api/v2/write?bucket=");
}
