/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: workers/list_scan.c workers/json.c
 *
 * The API's list of tokens, as it streams in.
 *
 * Input: a byte of flags (CLUSTERED, NOTHING is looked for), a span whose bytes say how long the pieces are,
 * then the list.
 *
 * Promises: whatever the pieces, the same is found, or the same sentence says why not. What is believed is an
 * array to cJSON, too, of as many tokens, whose ids are UUIDs; what is kept are those that are marked, in the order of
 * their markers. */
#include "tests/fuzz/harness.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "service/base/config.h"
#include "service/base/text.h"
#include "workers/job.h"
#include "workers/list_scan.h"

#define CLUSTERED 1
#define NOTHING 2
#define MARKER "[tokend/1:"

struct result {
	bool believed;
	size_t n_tokens, n_listed;
	struct job_listed *listed;
	struct list_scan *scan;
};

/* pieces: how long each is, again and again; none: all at once. Each is an allocation of its own. */
static struct result
scan(uint8_t flags, struct span list, struct span pieces)
{
	struct result r = { 0 };
	size_t at = 0, n = 0;

	r.scan = list_scan_new(&harness_config()->clusters[(flags & CLUSTERED) != 0],
	    (flags & NOTHING) != 0 ? NULL : MARKER, INT64_MIN);
	HOLDS(r.scan != NULL);
	while (at < list.bytes) {
		size_t length = pieces.bytes > 0 ? pieces.data[n++ % pieces.bytes] + 1u : list.bytes;
		unsigned char *piece;

		if (length > list.bytes - at)
			length = list.bytes - at;
		piece = malloc(length);
		HOLDS(piece != NULL);
		memcpy(piece, list.data + at, length);
		if (list_scan_feed(r.scan, piece, length) != 0)
			HOLDS(list_scan_why(r.scan)[0] != '\0');
		free(piece);
		at += length;
	}
	r.believed = list_scan_end(r.scan) == 0;
	HOLDS(r.believed == (list_scan_why(r.scan)[0] == '\0'));
	HOLDS(harness_printable(list_scan_why(r.scan)));
	r.n_tokens = list_scan_tokens(r.scan);
	if (r.believed)
		HOLDS(list_scan_take(r.scan, &r.listed, &r.n_listed) == 0);
	return r;
}

static void
check_same(const struct result *a, const struct result *b)
{
	HOLDS(a->believed == b->believed && a->n_tokens == b->n_tokens && a->n_listed == b->n_listed);
	HOLDS(strcmp(list_scan_why(a->scan), list_scan_why(b->scan)) == 0);
	for (size_t i = 0; i < a->n_listed; i++) {
		HOLDS(strcmp(a->listed[i].token_id, b->listed[i].token_id) == 0);
		HOLDS(strcmp(a->listed[i].marker, b->listed[i].marker) == 0);
		HOLDS(a->listed[i].revoked == b->listed[i].revoked);
		HOLDS(a->listed[i].created_at == b->listed[i].created_at);
	}
}

static bool
stands_in(const cJSON *root, const struct job_listed *listed)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, root)
		if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "id")), listed->token_id) == 0 &&
		    strstr(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "description")), MARKER) != NULL)
			return true;
	return false;
}

static void
check_believed(const struct result *r, struct span list, bool keeps)
{
	cJSON *root = cJSON_ParseWithLength((const char *)list.data, list.bytes);
	const cJSON *one;
	size_t kept = 0;

	HOLDS(cJSON_IsArray(root) && !harness_cuts_strings(list));
	HOLDS((size_t)cJSON_GetArraySize(root) == r->n_tokens);
	cJSON_ArrayForEach(one, root) {
		const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "id"));
		const char *description = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "description"));

		HOLDS(id != NULL && text_is_uuid(span_str(id)) && description != NULL);
		kept += keeps && strstr(description, MARKER) != NULL;
	}
	HOLDS(kept == r->n_listed);
	for (size_t i = 0; i < r->n_listed; i++) {
		HOLDS(strncmp(r->listed[i].marker, MARKER, strlen(MARKER)) == 0);
		HOLDS(i == 0 || strcmp(r->listed[i - 1].marker, r->listed[i].marker) <= 0);
		HOLDS(stands_in(root, &r->listed[i]));
	}
	cJSON_Delete(root);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	uint8_t flags = feed_byte(&f);
	struct span pieces = feed_span(&f), list = feed_rest(&f);
	struct result whole = scan(flags, list, span_of(NULL, 0)), split = scan(flags, list, pieces);

	check_same(&whole, &split);
	if (whole.believed)
		check_believed(&whole, list, (flags & NOTHING) == 0);
	HOLDS((flags & NOTHING) == 0 || whole.n_listed == 0);
	free(whole.listed);
	free(split.listed);
	list_scan_free(whole.scan);
	list_scan_free(split.scan);
	feed_end(&f);
	return 0;
}
