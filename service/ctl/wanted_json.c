/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body that InfluxDB's documentation gives to `curl --data`, word for word, as what is wanted:
 *
 *   {"description": "…", "permissions": [{"action": "read", "resource": "DATABASE"}],
 *    "expirationType": "datetime", "expiresAt": "2030-01-01T00:00:00Z"}
 *
 * So a pipeline that has such bodies keeps them. Here only the form is judged; whether the names are
 * good names is wanted.c's to say, as for flags. What is not known is refused by name and not passed
 * over: a right that was misspelt must not become a token without it.
 *
 * expirationType says what expiresAt's presence says already, so it is held against it and goes no
 * further: the service sends it to the API itself.
 */
#include "service/ctl/wanted_json.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/files.h"
#include "service/ctl/jsondoc.h"
#include "service/ctl/wanted.h"

#define FILE_MOST (256 * 1024)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int
read_permission(const cJSON *object, const char *place, struct arena *a, struct options_item *ret_item,
    struct err *ret_err)
{
	static const char *const members[] = { "action", "resource" };
	const char *action = NULL, *resource = NULL;
	char shown[TEXT_SHOWN_ROOM];

	if (jsondoc_only(object, place, members, COUNT(members), ret_err) != 0 ||
	    jsondoc_text(object, place, "action", &action, ret_err) != 0 ||
	    jsondoc_text(object, place, "resource", &resource, ret_err) != 0)
		return -1;
	if (action == NULL || resource == NULL)
		return err_set(ret_err, ERR_REFUSE, "%s: %s is missing", place, action == NULL ? "action" : "resource");
	if (strcmp(action, "read") != 0 && strcmp(action, "write") != 0)
		return err_set(ret_err, ERR_REFUSE, "%s.action is read or write, not \"%s\"", place,
		    text_shown(span_str(action), shown));
	ret_item->tag = action[0] == 'r' ? TOKEND__V1__ACTION__READ : TOKEND__V1__ACTION__WRITE;
	ret_item->value = arena_text(a, "%s", resource);
	return 0;
}

static int
read_permissions(const cJSON *list, struct arena *a, struct wanted *w, struct err *ret_err)
{
	const cJSON *object;
	size_t n = 0;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
		return err_set(ret_err, ERR_REFUSE,
		    "%s: permissions must be a list of at least one {\"action\": …, \"resource\": …}: "
		    "a token without any may do nothing", w->source);
	w->permissions.items = arena_alloc(a, (size_t)cJSON_GetArraySize(list) * sizeof(*w->permissions.items));
	cJSON_ArrayForEach(object, list) {
		const char *place = arena_text(a, "%s: permissions[%zu]", w->source, n);

		if (read_permission(object, place, a, &w->permissions.items[n], ret_err) != 0)
			return -1;
		w->permissions.n = ++n;
	}
	return 0;
}

static int
check_expiry(const char *type, const struct wanted *w, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (type == NULL)
		return 0;
	if (strcmp(type, "datetime") != 0 && strcmp(type, "noExpiration") != 0)
		return err_set(ret_err, ERR_REFUSE, "%s: expirationType is datetime or noExpiration, not \"%s\"",
		    w->source, text_shown(span_str(type), shown));
	if (strcmp(type, "datetime") == 0 && w->expires_at == NULL)
		return err_set(ret_err, ERR_REFUSE, "%s: expirationType is datetime, and there is no expiresAt",
		    w->source);
	if (strcmp(type, "noExpiration") == 0 && w->expires_at != NULL)
		return err_set(ret_err, ERR_REFUSE, "%s: expirationType is noExpiration, and expiresAt says otherwise",
		    w->source);
	return 0;
}

static int
read_body(const cJSON *body, struct arena *a, struct wanted *w, struct err *ret_err)
{
	static const char *const members[] = { "description", "expirationType", "expiresAt", "permissions" };
	const char *type = NULL, *description = NULL, *expires_at = NULL;

	if (jsondoc_only(body, w->source, members, COUNT(members), ret_err) != 0 ||
	    jsondoc_text(body, w->source, "description", &description, ret_err) != 0 ||
	    jsondoc_text(body, w->source, "expiresAt", &expires_at, ret_err) != 0 ||
	    jsondoc_text(body, w->source, "expirationType", &type, ret_err) != 0)
		return -1;
	w->description = description != NULL ? arena_text(a, "%s", description) : NULL;
	w->expires_at = expires_at != NULL ? arena_text(a, "%s", expires_at) : NULL;
	if (check_expiry(type, w, ret_err) != 0)
		return -1;
	return read_permissions(cJSON_GetObjectItemCaseSensitive(body, "permissions"), a, w, ret_err);
}

int
wanted_json_read(const char *path, struct arena *a, struct wanted *w, struct err *ret_err)
{
	struct span text;
	cJSON *body;
	int result;

	if (files_read(path, FILE_MOST, a, &text, ret_err) != 0)
		return -1;
	w->source = files_name(path);
	body = jsondoc_parse(w->source, text, ret_err);
	if (body == NULL)
		return -1;
	result = read_body(body, a, w, ret_err);
	cJSON_Delete(body);
	return result;
}
