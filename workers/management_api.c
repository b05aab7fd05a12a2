/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Management API's words, going out: its addresses and the body of a create. What comes back is answer.c's.
 *
 * Everything is built by cJSON, and what goes into a path is a UUID or is refused: nothing is ever escaped by hand.
 */
#include "workers/management_api.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "workers/job.h"

void
management_api_setup(void)
{
	cJSON_Hooks hooks = { secret_malloc, secret_free };

	cJSON_InitHooks(&hooks);
}

__attribute__((format(printf, 2, 3)))
static char *
joined(struct err *ret_err, const char *format, ...)
{
	va_list args;
	char *url;
	int n;

	va_start(args, format);
	n = vasprintf(&url, format, args);
	va_end(args);
	if (n >= 0)
		return url;
	(void)err_set(ret_err, ERR_RETRY, "out of memory for an address");
	return NULL;
}

char *
management_api_tokens_url(const struct cluster *c, struct err *ret_err)
{
	if (c->product == CLUSTER_CLUSTERED)
		return joined(ret_err, "%s/api/v0/tokens", c->url);

	if (!text_is_uuid(span_str(c->account_id)) || !text_is_uuid(span_str(c->cluster_id))) {
		(void)err_set(ret_err, ERR_REFUSE, "account_id and cluster_id must be UUIDs in lower case");
		return NULL;
	}
	return joined(ret_err, "%s/api/v0/accounts/%s/clusters/%s/tokens", c->url, c->account_id, c->cluster_id);
}

char *
management_api_token_url(const char *tokens_url, const char *token_id, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (!text_is_uuid(span_str(token_id))) {
		(void)err_set(ret_err, ERR_REFUSE, "the token id \"%s\" is not a UUID",
		    text_shown(span_str(token_id), shown));
		return NULL;
	}
	return joined(ret_err, "%s/%s", tokens_url, token_id);
}

static bool
add_permission(cJSON *array, const struct permission *p)
{
	const char *action = p->action == PERMISSION_READ ? "read" : "write";
	cJSON *one = cJSON_CreateObject();

	if (one == NULL || !cJSON_AddItemToArray(array, one)) {
		cJSON_Delete(one);
		return false;
	}
	return cJSON_AddStringToObject(one, "action", action) != NULL &&
	    cJSON_AddStringToObject(one, "resource", p->database != NULL ? p->database : "*") != NULL;
}

static bool
add_expiry(cJSON *root, const struct job *job)
{
	char when[TEXT_RFC3339_ROOM];

	if (!job->has_expires_at)
		return true;
	return cJSON_AddStringToObject(root, "expiresAt", text_time(job->expires_at, -1, when)) != NULL &&
	    cJSON_AddStringToObject(root, "expirationType", "datetime") != NULL;
}

/* Every step is checked: a body that lost its expiry for want of memory would ask for a token that lives for ever. */
char *
management_api_create_body(const struct job *job)
{
	cJSON *root = cJSON_CreateObject(), *permissions = NULL;
	char *body = NULL;
	bool ok;

	ok = root != NULL && cJSON_AddStringToObject(root, "description", job->description) != NULL &&
	    (permissions = cJSON_AddArrayToObject(root, "permissions")) != NULL;
	for (size_t i = 0; ok && i < job->n_permissions; i++)
		ok = add_permission(permissions, &job->permissions[i]);
	if (ok && add_expiry(root, job))
		body = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return body;
}
