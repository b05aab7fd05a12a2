/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of tokens, read while it streams.
 *
 * The API's list has no pages and may be 100 MB long, while the questions put to it are small: does it work at all,
 * is this marker in it? So the array is taken apart as it arrives. We check its own grammar, brackets, commas and
 * what stands behind the end; each element is gathered, parsed by cJSON alone, looked at and forgotten. What is
 * kept is what was looked for, and that is bounded, too.
 *
 * To find where an element ends it is enough to count brackets outside of strings. That is no parser: whether they
 * match, and all else, cJSON judges. An element must be an object, so its first byte says where it begins.
 *
 * The list decides what is deleted and whether a cluster is well. Therefore it is believed whole or not at all: one
 * token that makes no sense, or that is another cluster's, and nobody knows what else is wrong with it. Members that
 * nobody reads may be anything: the API may grow.
 */
#include "workers/list_scan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "workers/job.h"
#include "workers/json.h"

#define WHY_BYTES 200
#define ROOM_FIRST 4096

enum place { BEFORE_ARRAY, BEFORE_FIRST, IN_TOKEN, BEHIND_TOKEN, BEHIND_COMMA, BEHIND_ARRAY };

struct list_scan {
	const struct cluster *cluster;
	const char *looked_for;
	int64_t created_from;
	enum place place;
	size_t n_tokens;                        /* begun */

	/* the token that is being gathered; a NUL is put behind it */
	unsigned char *token; size_t token_bytes, token_room;
	unsigned depth;                         /* of brackets */
	bool in_string, escaped;

	/* what is kept: markers stand one behind the other, each with its NUL, in the order of their tokens */
	struct job_listed *kept; size_t n_kept, kept_room;
	char *markers; size_t markers_bytes, markers_room;

	char why[WHY_BYTES];                    /* "": all is well so far */
};

struct list_scan *
list_scan_new(const struct cluster *c, const char *looked_for, int64_t created_from)
{
	struct list_scan *s;

	assert(looked_for == NULL || looked_for[0] != '\0');
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->cluster = c;
	s->looked_for = looked_for;
	s->created_from = created_from;
	return s;
}

void
list_scan_free(struct list_scan *s)
{
	if (s == NULL)
		return;
	secret_free(s->token);
	free(s->kept);
	free(s->markers);
	free(s);
}

__attribute__((format(printf, 2, 3)))
static int
disbelieve(struct list_scan *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	return -1;
}

/* How much room to ask for, so that many small steps cost few copies; 0: there is enough. */
static size_t
more_room(size_t room, size_t needed)
{
	size_t more = room > 0 ? room : ROOM_FIRST;

	if (needed <= room)
		return 0;
	while (more < needed)
		more *= 2;
	return more;
}

/* ---- what is kept ---- */

static int
keep_marker(struct list_scan *s, struct span marker)
{
	size_t room = more_room(s->markers_room, s->markers_bytes + marker.bytes + 1);
	char *bigger;

	if (room > 0) {
		if ((bigger = realloc(s->markers, room)) == NULL)
			return -1;
		s->markers = bigger;
		s->markers_room = room;
	}
	memcpy(s->markers + s->markers_bytes, marker.data, marker.bytes);
	s->markers[s->markers_bytes + marker.bytes] = '\0';
	s->markers_bytes += marker.bytes + 1;
	return 0;
}

static int
keep(struct list_scan *s, const struct job_listed *one, const char *marker)
{
	size_t room = more_room(s->kept_room * sizeof(*one), (s->n_kept + 1) * sizeof(*one));
	struct job_listed *bigger;

	if (s->n_kept == LIST_SCAN_KEPT_MOST)
		return disbelieve(s, "more than %d tokens of the list are marked", LIST_SCAN_KEPT_MOST);
	if (room > 0) {
		if ((bigger = realloc(s->kept, room)) == NULL)
			return disbelieve(s, "there was no memory for what the list holds");
		s->kept = bigger;
		s->kept_room = room / sizeof(*one);
	}
	if (keep_marker(s, text_cut(span_str(marker), JOB_MARKER_MOST)) != 0)
		return disbelieve(s, "there was no memory for what the list holds");
	s->kept[s->n_kept++] = *one;
	return 0;
}

/* The receiver looks for one marker, or for tokens that share one: here, and not there, because this thread has the
 * time. */
static int
by_marker(const void *a, const void *b)
{
	const struct job_listed *x = a, *y = b;

	return strcmp(x->marker, y->marker);
}

int
list_scan_take(struct list_scan *s, struct job_listed **ret_listed, size_t *ret_n)
{
	size_t bytes = s->n_kept * sizeof(*s->kept);
	struct job_listed *all;
	char *marker;

	if (s->n_kept == 0) {
		*ret_listed = NULL;
		*ret_n = 0;
		return 0;
	}
	if ((all = realloc(s->kept, bytes + s->markers_bytes)) == NULL)
		return disbelieve(s, "there was no memory for what the list holds");
	s->kept = NULL;
	marker = (char *)all + bytes;
	memcpy(marker, s->markers, s->markers_bytes);
	for (size_t i = 0; i < s->n_kept; i++) {
		all[i].marker = marker;
		marker += strlen(marker) + 1;
	}
	qsort(all, s->n_kept, sizeof(*all), by_marker);
	*ret_listed = all;
	*ret_n = s->n_kept;
	s->n_kept = s->kept_room = 0;
	return 0;
}

/* ---- one token ---- */

static const char *
last_place(const char *text, const char *looked_for)
{
	const char *found = NULL;

	while ((text = strstr(text, looked_for)) != NULL)
		found = text++;
	return found;
}

static int
check_home(struct list_scan *s, struct span account_id, struct span cluster_id)
{
	const struct cluster *c = s->cluster;

	if (c->product != CLUSTER_DEDICATED)
		return 0;
	if (span_is(account_id, c->account_id) && span_is(cluster_id, c->cluster_id))
		return 0;
	if (!text_is_uuid(account_id) || !text_is_uuid(cluster_id))
		return disbelieve(s, "token %zu of the list has no accountId or no clusterId", s->n_tokens);
	return disbelieve(s, "token %zu of the list belongs to account %s, cluster %s", s->n_tokens,
	    (const char *)account_id.data, (const char *)cluster_id.data);
}

/* Only a time in revokedAt makes a token a revoked one. The other mistake, to let an orphan live because of an odd
 * value, is the dearer: a second deletion does nothing. */
static int
read_token(struct list_scan *s, const cJSON *root)
{
	struct span id, description, account_id, cluster_id, created_at, revoked_at;
	struct job_listed one = { .marker = NULL };
	const char *marker;
	int64_t revoked;
	int32_t nanos;

	if (!json_text(root, "id", &id) || !json_text(root, "description", &description) ||
	    !json_text(root, "accountId", &account_id) || !json_text(root, "clusterId", &cluster_id) ||
	    !json_text(root, "createdAt", &created_at) || !json_text(root, "revokedAt", &revoked_at))
		return disbelieve(s, "token %zu of the list has a member twice", s->n_tokens);
	if (!text_is_uuid(id))
		return disbelieve(s, "token %zu of the list has no id, or none that is a UUID", s->n_tokens);
	if (description.data == NULL)
		return disbelieve(s, "token %zu of the list has no description", s->n_tokens);
	if (check_home(s, account_id, cluster_id) != 0)
		return -1;
	if (s->looked_for == NULL || (marker = last_place((const char *)description.data, s->looked_for)) == NULL)
		return 0;
	memcpy(one.token_id, id.data, id.bytes + 1);
	one.revoked = text_parse_time(revoked_at, &revoked, &nanos);
	if (!text_parse_time(created_at, &one.created_at, &nanos))
		one.created_at = 0;
	else if (one.created_at < s->created_from)
		return 0;
	return keep(s, &one, marker);
}

static void
end_token(struct list_scan *s)
{
	cJSON *root;

	s->place = BEHIND_TOKEN;
	s->token[s->token_bytes] = '\0';
	root = json_parse(s->token, s->token_bytes);
	if (root != NULL)
		(void)read_token(s, root);
	else
		(void)disbelieve(s, "token %zu of the list is not JSON", s->n_tokens);
	cJSON_Delete(root);
}

/* ---- the array ---- */

static int
gather(struct list_scan *s, const unsigned char *data, size_t bytes)
{
	size_t room;
	unsigned char *bigger;

	if (bytes > LIST_SCAN_ELEMENT_MOST - s->token_bytes)
		return disbelieve(s, "token %zu of the list is longer than %d bytes", s->n_tokens,
		    LIST_SCAN_ELEMENT_MOST);
	room = more_room(s->token_room, s->token_bytes + bytes + 1);
	if (room > 0) {
		if ((bigger = secret_realloc(s->token, room)) == NULL)
			return disbelieve(s, "there was no memory for token %zu of the list", s->n_tokens);
		s->token = bigger;
		s->token_room = room;
	}
	memcpy(s->token + s->token_bytes, data, bytes);
	s->token_bytes += bytes;
	return 0;
}

/* How many of these bytes belong to the token; depth is 0 when it ends among them. */
static size_t
bytes_of_token(struct list_scan *s, const unsigned char *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char b = data[i];

		if (s->escaped) {
			s->escaped = false;
		} else if (s->in_string) {
			s->escaped = b == '\\';
			s->in_string = b != '"';
		} else if (b == '"') {
			s->in_string = true;
		} else if (b == '{' || b == '[') {
			s->depth++;
		} else if ((b == '}' || b == ']') && --s->depth == 0) {
			return i + 1;
		}
	}
	return bytes;
}

static size_t
go_on_in_token(struct list_scan *s, const unsigned char *data, size_t bytes)
{
	size_t taken = bytes_of_token(s, data, bytes);

	if (gather(s, data, taken) == 0 && s->depth == 0)
		end_token(s);
	return taken;
}

static void
begin_token(struct list_scan *s)
{
	s->place = IN_TOKEN;
	s->n_tokens++;
	s->token_bytes = 0;
	s->depth = 0;
}

static const char *
expected(enum place p)
{
	switch (p) {
	case BEFORE_FIRST:
		return "a token or the list's end";
	case BEHIND_TOKEN:
		return "a comma or the list's end";
	case BEHIND_COMMA:
		return "another token";
	default:
		return "the answer's end";
	}
}

/* Between tokens: what may stand there moves us on. How many bytes were taken: a token's first is left to it. */
static size_t
go_on_between(struct list_scan *s, unsigned char b)
{
	char shown[TEXT_SHOWN_ROOM];

	if (b == ' ' || b == '\t' || b == '\n' || b == '\r')
		return 1;
	if (b == '{' && (s->place == BEFORE_FIRST || s->place == BEHIND_COMMA)) {
		begin_token(s);
		return 0;
	}
	if (b == '[' && s->place == BEFORE_ARRAY)
		s->place = BEFORE_FIRST;
	else if (b == ']' && (s->place == BEFORE_FIRST || s->place == BEHIND_TOKEN))
		s->place = BEHIND_ARRAY;
	else if (b == ',' && s->place == BEHIND_TOKEN)
		s->place = BEHIND_COMMA;
	else if (s->place == BEFORE_ARRAY)
		(void)disbelieve(s, "the answer begins with \"%s\": it is no JSON array",
		    text_shown(span_of(&b, 1), shown));
	else
		(void)disbelieve(s, "behind %zu tokens of the list stands \"%s\" instead of %s", s->n_tokens,
		    text_shown(span_of(&b, 1), shown), expected(s->place));
	return 1;
}

int
list_scan_feed(struct list_scan *s, const void *data, size_t bytes)
{
	const unsigned char *at = data, *end = at + bytes;

	while (at < end && s->why[0] == '\0')
		at += s->place == IN_TOKEN ? go_on_in_token(s, at, (size_t)(end - at)) : go_on_between(s, *at);
	return s->why[0] == '\0' ? 0 : -1;
}

int
list_scan_end(struct list_scan *s)
{
	if (s->why[0] != '\0')
		return -1;
	if (s->place == BEFORE_ARRAY)
		return disbelieve(s, "the answer is empty");
	if (s->place != BEHIND_ARRAY)
		return disbelieve(s, "the list is cut short in or behind token %zu", s->n_tokens);
	return 0;
}

const char *
list_scan_why(const struct list_scan *s)
{
	return s->why;
}

size_t
list_scan_tokens(const struct list_scan *s)
{
	return s->n_tokens;
}
