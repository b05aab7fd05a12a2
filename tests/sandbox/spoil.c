/* SPDX-License-Identifier: Apache-2.0 */
/* Each way of an answer to be wrong, as small as possible: a reader that is fooled should be fooled by one thing alone.
 * First what is wrong with a token, then with the text as a whole, then with its way to the client. */
#include "tests/sandbox/spoil.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/store.h"

#define OTHER "99999999-9999-4999-8999-999999999999"
#define SHORT_TOKEN_BYTES 63
#define DEPTH 100000

static const char html[] = "<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n";

/* ---- a token ----------------------------------------------------------------------------------------------------- */

static char *
text_of(const cJSON *token, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(token, name));
}

static void
put_text(cJSON *token, const char *name, const char *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(token, name);
	cJSON_AddStringToObject(token, name, value);
}

/* As the first member, whether there is one of that name or not. */
static void
put_before(cJSON *token, const char *name, const char *value)
{
	cJSON *item = cJSON_CreateString(value);

	item->string = strdup(name);
	cJSON_InsertItemInArray(token, 0, item);
}

static void
put_other_id(cJSON *token, struct store *s, int cluster, void (*put)(cJSON *, const char *, const char *))
{
	char other[37];

	store_other_id(s, cluster, text_of(token, "id"), other);
	put(token, "id", other);
}

/* The member that matters most is no string. */
static void
spoil_type(cJSON *token, enum fault_shape shape)
{
	const char *name = text_of(token, "accessToken") != NULL ? "accessToken" : "id";

	if (shape == SHAPE_NUMBER)
		cJSON_ReplaceItemInObjectCaseSensitive(token, name, cJSON_CreateNumber(42));
	else if (shape == SHAPE_NULL)
		cJSON_ReplaceItemInObjectCaseSensitive(token, name, cJSON_CreateNull());
}

static void
add_permission(cJSON *token)
{
	cJSON *p = cJSON_CreateObject();

	cJSON_AddStringToObject(p, "action", "write");
	cJSON_AddStringToObject(p, "resource", "*");
	cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(token, "permissions"), p);
}

static void
spoil_token(cJSON *token, struct store *s, int cluster, const struct fault_action *f)
{
	char *text;

	switch (f->fault) {
	case FAULT_TRUNCATE_DESCRIPTION:
		text = text_of(token, "description");
		text[strlen(text) * 2 / 3] = '\0';
		break;
	case FAULT_WRONG_ACCOUNT:
		put_text(token, "accountId", OTHER);    /* Clustered answers without one: there, any is wrong */
		break;
	case FAULT_WRONG_CLUSTER:
		put_text(token, "clusterId", OTHER);
		break;
	case FAULT_WRONG_ID:
		put_other_id(token, s, cluster, put_text);
		break;
	case FAULT_WRONG_PERMISSIONS:
		add_permission(token);
		break;
	case FAULT_WRONG_EXPIRY:
		put_text(token, "expiresAt", "2099-01-01T00:00:00Z");
		break;
	case FAULT_MISSING_TOKEN:
		cJSON_DeleteItemFromObjectCaseSensitive(token, "accessToken");
		break;
	case FAULT_SHORT_TOKEN:
		text_of(token, "accessToken")[SHORT_TOKEN_BYTES] = '\0';
		break;
	case FAULT_DUPLICATE_KEYS:
		put_other_id(token, s, cluster, put_before);
		if (text_of(token, "accessToken") != NULL)
			put_before(token, "accessToken",
			    "apiv1_0000000000000000000000000000000000000000000000000000000000000000");
		break;
	case FAULT_WRONG_TYPE:
		spoil_type(token, (enum fault_shape)f->shape);
		break;
	default:
		break;
	}
}

static void
leave_out(cJSON *list, const char *part)
{
	for (int i = cJSON_GetArraySize(list); i-- > 0;)
		if (strstr(text_of(cJSON_GetArrayItem(list, i), "description"), part) != NULL)
			cJSON_DeleteItemFromArray(list, i);
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

/* To a stream in memory, which fails for want of memory alone: its fclose says so. */
static void put(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
put(FILE *to, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vfprintf(to, format, args);
	va_end(args);
}

static void
print_foreign(FILE *to, const struct store_cluster *c, int64_t n)
{
	put(to, "{");
	if (c->account_id != NULL)
		put(to, "\"accountId\":\"%s\",\"clusterId\":\"%s\",", c->account_id, c->cluster_id);
	put(to, "\"id\":\"f0000000-0000-4000-8000-%012jx\",\"description\":\"foreign %jd\",\"permissions\":"
	    "[{\"action\":\"read\",\"resource\":\"foreign\"}],\"createdAt\":\"2023-12-21T17:32:28.000Z\"}",
	    (uintmax_t)n, (intmax_t)n);
}

/* The list of text with foreign tokens around it. */
static void
print_padded(FILE *to, const struct store_cluster *c, const char *text, int64_t pad)
{
	bool empty = strcmp(text, "[]") == 0;

	put(to, "[");
	for (int64_t i = 0; i < pad; i++) {
		if (i == pad / 2 && !empty)
			put(to, "%.*s,", (int)strlen(text) - 2, text + 1);
		print_foreign(to, c, i);
		put(to, i + 1 < pad ? "," : "]");
	}
}

/* text, whose first byte opens an object or array, with a first member or element that is deep. */
static void
print_deep(FILE *to, const char *text)
{
	put(to, text[0] == '{' ? "{\"deep\":" : "[");
	for (int i = 0; i < DEPTH; i++)
		put(to, "[");
	for (int i = 0; i < DEPTH; i++)
		put(to, "]");
	put(to, "%s%s", text[1] == '}' || text[1] == ']' ? "" : ",", text + 1);
}

static char *
spoil_text(char *text, const struct store_cluster *c, const struct fault_action *f)
{
	char *spoilt = NULL;
	size_t bytes;
	FILE *to = open_memstream(&spoilt, &bytes);

	if (to == NULL)
		abort();
	if (f->fault == FAULT_BAD_JSON)
		put(to, "%.*s", (int)(strlen(text) * 2 / 3), text);
	else if (f->fault == FAULT_TRAILING_GARBAGE)
		put(to, "%s}", text);
	else if (f->fault == FAULT_DEEP_JSON)
		print_deep(to, text);
	else if (f->fault == FAULT_PAD && f->pad > 0)
		print_padded(to, c, text, f->pad);
	else if (f->fault == FAULT_WRONG_TYPE && f->shape == SHAPE_ARRAY)
		put(to, text[0] == '[' ? "{\"tokens\":%s}" : "[%s]", text);
	else if (f->fault == FAULT_WRONG_TYPE && f->shape == SHAPE_HTML)
		put(to, "%s", html);
	else if (f->fault != FAULT_WRONG_TYPE || f->shape != SHAPE_EMPTY)
		put(to, "%s", text);
	if (fclose(to) != 0)
		abort();
	free(text);
	return spoilt;
}

void
spoil_answer(struct http_request *r, struct store *s, int cluster, cJSON *o, const struct fault_action *f)
{
	cJSON *token;
	char *text;

	if (o == NULL) {
		http_status(r, 404);
		return;
	}
	if (f->fault == FAULT_LEAVE_OUT)
		leave_out(o, f->omit);
	if (cJSON_IsArray(o)) {
		cJSON_ArrayForEach(token, o)
			spoil_token(token, s, cluster, f);
	} else
		spoil_token(o, s, cluster, f);
	text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	http_json(r, 200, spoil_text(text, store_cluster(s, cluster), f));
	if (f->fault == FAULT_WRONG_TYPE && f->shape == SHAPE_HTML)
		r->content_type = "text/html";
}

/* ---- the way ----------------------------------------------------------------------------------------------------- */

/* "Sun, 06 Nov 1994 08:49:37 GMT", which RFC 9110 wants in English whatever the locale is: ours is C. */
static void
print_http_date(int64_t from_now_s, char *room, size_t bytes)
{
	time_t at = time(NULL) + from_now_s;
	struct tm tm;

	(void)strftime(room, bytes, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
}

static void
spoil_status(struct http_request *r, const struct fault_action *f)
{
	int own = f->fault == FAULT_THROTTLE ? 429 : f->fault == FAULT_ERROR ? 500 : f->fault == FAULT_LATE ? 504 : 0;

	if (own != 0)
		http_status(r, f->status != 0 ? (int)f->status : own);
	else if (f->status != 0)
		r->status = (int)f->status;
	if (f->answer[0] != '\0')
		http_json(r, r->status, strdup(f->answer));
	if (f->retry_date_s > 0)
		print_http_date(f->retry_date_s, r->retry_after, sizeof r->retry_after);
	else
		strcpy(r->retry_after, f->retry_after);
	strcpy(r->location, f->location);
}

void
spoil_way(struct http_request *r, const struct fault_action *f)
{
	if (f->fault == FAULT_NONE)
		return;
	spoil_status(r, f);
	r->delay_ms = (uint64_t)f->delay_ms;
	r->drip_ms = f->fault == FAULT_DRIP && f->drip_ms == 0 ? 1000 : (uint64_t)f->drip_ms;
	r->endless = f->fault == FAULT_ENDLESS;
	r->hold = f->fault == FAULT_HOLD;
	if (f->fault == FAULT_RESET)
		r->end = HTTP_RESET;
	else if (f->fault == FAULT_CUT || f->fault == FAULT_HOLD || f->at >= 0)
		r->end = HTTP_CUT;
	r->at = f->at >= 0 ? (enum http_at)f->at : HTTP_AT_START;
}
