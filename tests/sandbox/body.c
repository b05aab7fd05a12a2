/* SPDX-License-Identifier: Apache-2.0 */
/* Each limit of the contract, and no other: an action can be any word, a description empty, permissions be doubled. */
#include "tests/sandbox/body.h"

#include <stdlib.h>

#include "service/base/text.h"

const cJSON *
body_member(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

cJSON *
body_parse(struct span body)
{
	bool is_text = body.bytes > 0 && text_is_utf8(body);
	char *text = is_text ? strndup((const char *)body.data, body.bytes) : NULL;
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
		const cJSON *action = body_member(p, "action"), *resource = body_member(p, "resource");

		if (!cJSON_IsObject(p) || (action != NULL && !cJSON_IsString(action)) ||
		    (resource != NULL && (!cJSON_IsString(resource) || !length_valid(resource->valuestring))))
			return false;
	}
	return true;
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

bool
body_creates(const cJSON *o)
{
	return cJSON_IsString(body_member(o, "description")) && permissions_valid(body_member(o, "permissions")) &&
	    expiry_valid(body_member(o, "expiresAt"));
}

bool
body_updates(const cJSON *o)
{
	const cJSON *d = body_member(o, "description"), *permissions = body_member(o, "permissions");

	return (permissions != NULL || d != NULL) && permissions_valid(permissions) && (d == NULL || cJSON_IsString(d));
}

bool
body_databases_known(const cJSON *o, const char *const *databases, size_t n)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, body_member(o, "permissions")) {
		const char *name = cJSON_GetStringValue(body_member(p, "resource"));
		bool known = n == 0 || name == NULL || strcmp(name, "*") == 0;

		for (size_t i = 0; i < n && !known; i++)
			known = strcmp(databases[i], name) == 0;
		if (!known)
			return false;
	}
	return true;
}
