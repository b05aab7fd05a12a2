/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Management API answers: foreign bytes, believed only as far as they are what was asked for.
 *
 * A token with other rights, another life or another cluster than was asked for is no success, however
 * well-formed its answer. Members that nobody reads may be anything: the API may grow.
 *
 * The access token is moved to the front of the body and the rest is wiped; cJSON's copies go through wiping
 * hooks. No sentence made here quotes the answer of a success, and what is quoted of an error has everything
 * taken out that could be a token, for a gateway may echo what it was sent.
 */
#include "workers/answer.h"

#include <stdio.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/secret.h"
#include "workers/job.h"
#include "workers/json.h"
#include "workers/permission_set.h"

#define ACCESS_TOKEN_LEAST 64
#define EXPIRY_SLACK_S 1
#define LOOKS_LIKE_TOKEN 40             /* a run of as many characters that tokens are made of; a UUID is 36 */

static const char token_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-";

/* What we read of an answer; spans point into the tree. */
struct answer {
	struct span id, access_token, description, account_id, cluster_id, created_at;
	const cJSON *permissions, *expires_at;
};

static const char *
read_members(const cJSON *root, struct answer *ret_answer)
{
	if (!cJSON_IsObject(root))
		return "the answer is not one JSON object";
	if (!json_text(root, "id", &ret_answer->id) || !json_text(root, "accessToken", &ret_answer->access_token) ||
	    !json_text(root, "description", &ret_answer->description) ||
	    !json_text(root, "accountId", &ret_answer->account_id) ||
	    !json_text(root, "clusterId", &ret_answer->cluster_id) ||
	    !json_text(root, "createdAt", &ret_answer->created_at) ||
	    !json_member(root, "permissions", &ret_answer->permissions) ||
	    !json_member(root, "expiresAt", &ret_answer->expires_at))
		return "the answer has a member twice";
	if (!text_is_uuid(ret_answer->id))
		return "the answer has no id, or none that is a UUID";
	if (ret_answer->access_token.bytes < ACCESS_TOKEN_LEAST ||
	    ret_answer->access_token.bytes > JOB_ACCESS_TOKEN_MOST ||
	    !text_only(ret_answer->access_token, token_characters))
		return "the answer has no accessToken, or none of a token's length and characters";
	return NULL;
}

static bool
same_permissions(const cJSON *array, const struct job *job)
{
	struct permission_set *got, *asked;
	const cJSON *one;
	bool same = false;

	if (!cJSON_IsArray(array))
		return false;
	got = permission_set_new((size_t)cJSON_GetArraySize(array));
	asked = permission_set_new(job->n_permissions);
	if (got == NULL || asked == NULL)
		goto out;
	for (size_t i = 0; i < job->n_permissions; i++)
		permission_set_add(asked, job->permissions[i].action == PERMISSION_READ ? "read" : "write",
		    job->permissions[i].database != NULL ? job->permissions[i].database : "*");
	cJSON_ArrayForEach(one, array) {
		const cJSON *action, *resource;

		if (!cJSON_IsObject(one) || !json_member(one, "action", &action) ||
		    !json_member(one, "resource", &resource) || !cJSON_IsString(action) || !cJSON_IsString(resource))
			goto out;
		permission_set_add(got, action->valuestring, resource->valuestring);
	}
	same = permission_set_equal(got, asked);
out:
	permission_set_free(got);
	permission_set_free(asked);
	return same;
}

/* Is the token's life what was asked for? Then *ret_seconds and *ret_nanos say until when, if it ends. The API
 * may round, by a second. */
static bool
same_expiry(const cJSON *expires_at, const struct job *job, int64_t *ret_seconds, int32_t *ret_nanos)
{
	int64_t seconds;

	if (expires_at == NULL || cJSON_IsNull(expires_at))
		return !job->has_expires_at;
	if (!job->has_expires_at || !cJSON_IsString(expires_at) ||
	    !text_parse_time(span_str(expires_at->valuestring), ret_seconds, ret_nanos))
		return false;
	seconds = *ret_seconds - job->expires_at;       /* and *ret_nanos more */
	return seconds >= -EXPIRY_SLACK_S && seconds <= EXPIRY_SLACK_S - (*ret_nanos > 0);
}

/* The token to the front of the body, and nothing else left in it. */
static struct span
keep_token(unsigned char *body, size_t bytes, struct span token)
{
	memcpy(body, token.data, token.bytes);
	secret_wipe(body + token.bytes, bytes - token.bytes);
	return span_of(body, token.bytes);
}

static const char *
read_token(const struct cluster *c, const cJSON *root, unsigned char *body, size_t bytes, struct job *job)
{
	struct answer a = { 0 };
	int64_t expires = 0;
	int32_t expires_nanos = 0;
	const char *wrong = read_members(root, &a);

	if (wrong != NULL)
		return wrong;
	if (c->product == CLUSTER_DEDICATED &&
	    (!span_is(a.account_id, c->account_id) || !span_is(a.cluster_id, c->cluster_id)))
		return "the answer is about another account or cluster";
	if (!same_permissions(a.permissions, job))
		return "the answer has other permissions than were asked for";
	if (!same_expiry(a.expires_at, job, &expires, &expires_nanos))
		return "the answer has another expiry than was asked for";

	memcpy(job->created_id, a.id.data, a.id.bytes + 1);
	job->marker_intact = span_is(a.description, job->description);
	if (!text_parse_time(a.created_at, &job->created_at, &job->created_at_nanos))
		job->created_at = job->created_at_nanos = 0;
	job->token_expires = job->has_expires_at;
	job->token_expires_at = expires;
	job->token_expires_at_nanos = expires_nanos;
	job->access_token = keep_token(body, bytes, a.access_token);
	return NULL;
}

const char *
answer_read_created(const struct cluster *c, unsigned char *body, size_t bytes, struct job *job)
{
	cJSON *root = json_parse(body, bytes);
	const char *wrong = root != NULL ? read_token(c, root, body, bytes, job) : "the answer is not JSON";

	cJSON_Delete(root);
	return wrong;
}

/* How many bytes at the beginning of text could be a secret; 0: none begins here. */
static size_t
secret_bytes_at(const char *text, struct span management_token)
{
	size_t run = strspn(text, token_characters), ours = management_token.bytes;

	if (ours == 0 || strncmp(text, (const char *)management_token.data, ours) != 0)
		ours = 0;
	if (run >= LOOKS_LIKE_TOKEN && run > ours)
		return run;
	return ours;
}

/* An asterisk in place of each. The text only gets shorter. */
static void
conceal_secrets(char *text, struct span management_token)
{
	char *to = text;

	while (*text != '\0') {
		size_t bytes = secret_bytes_at(text, management_token);

		*to++ = bytes > 0 ? '*' : *text;
		text += bytes > 0 ? bytes : 1;
	}
	*to = '\0';
}

const char *
answer_error_text(const unsigned char *body, size_t bytes, struct span management_token, char room[TEXT_SHOWN_ROOM])
{
	cJSON *root = json_parse(body, bytes);
	cJSON *message = cJSON_GetObjectItemCaseSensitive(root, "message");

	room[0] = '\0';
	if (cJSON_IsString(message)) {
		conceal_secrets(message->valuestring, management_token);
		(void)text_shown(span_str(message->valuestring), room);
	}
	cJSON_Delete(root);
	return room;
}

/* Only the place: what follows it names nobody's mistake, and may hold anything. */
static void
cut_behind_host(char *location)
{
	char *host = strstr(location, "://");

	host = host != NULL ? host + strlen("://") : location + strspn(location, "/");
	host[strcspn(host, "/?#")] = '\0';
}

const char *
answer_elsewhere(const char *location, struct span management_token, char room[ANSWER_TEXT_ROOM])
{
	char shown[TEXT_SHOWN_ROOM] = "";
	char *copy = location != NULL ? secret_strdup(location) : NULL;

	if (copy != NULL) {
		cut_behind_host(copy);
		conceal_secrets(copy, management_token);
		(void)text_shown(span_str(copy), shown);
	}
	(void)snprintf(room, ANSWER_TEXT_ROOM, "the cluster's url is wrong, the API points to \"%s\"", shown);
	secret_free(copy);
	return room;
}
