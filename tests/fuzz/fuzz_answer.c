/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: workers/answer.c workers/permission_set.c service/base/text.c service/base/text_time.c
 *
 * What the Management API answers to a create, and the body of an error.
 *
 * Input: a byte of flags (ERROR, CLUSTERED, EXPIRES), then the body.
 *
 * Promises: of a success, the job has exactly the id and the token that a second reading of the body finds,
 * of a token's length and characters, and nothing else is left in the body; of anything else, the job is
 * untouched and the reason quotes nothing of the body. An error's text can be shown, and holds nothing that
 * could be a token, the management token least of all. */
#include "tests/fuzz/harness.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "service/base/config.h"
#include "service/base/text.h"
#include "workers/answer.h"
#include "workers/job.h"

#define ERROR 1
#define CLUSTERED 2
#define EXPIRES 4
#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
#define MANAGEMENT_TOKEN "mgmt-secret-1234"
#define LOOKS_LIKE_TOKEN 40

static const struct permission permissions[] = { { PERMISSION_READ, "telemetry_a" }, { PERMISSION_WRITE, NULL } };

/* The bytes of a body as the pool leases it: a NUL behind them, then memory that is not ours. */
static unsigned char *
lease(struct span body)
{
	unsigned char *room = malloc(body.bytes + 1);

	HOLDS(room != NULL);
	if (body.bytes > 0)
		memcpy(room, body.data, body.bytes);
	room[body.bytes] = '\0';
	return room;
}

static struct job
asked(uint8_t flags)
{
	struct job job;

	memset(&job, 0, sizeof(job));
	job.verb = JOB_CREATE;
	job.description = "orders writer [tokend/1:0011]";
	job.permissions = permissions;
	job.n_permissions = 2;
	job.has_expires_at = (flags & EXPIRES) != 0;
	job.expires_at = HARNESS_NOW + 86400;
	return job;
}

static const char *
member(const cJSON *root, const char *name)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(root, name);

	return cJSON_IsString(m) ? m->valuestring : "";
}

static void
check_created(const struct job *job, struct span original, const unsigned char *body)
{
	cJSON *root = cJSON_ParseWithLength((const char *)original.data, original.bytes);
	struct span token = job->access_token;

	HOLDS(root != NULL && !harness_cuts_strings(original));
	HOLDS(text_is_uuid(span_str(job->created_id)) && strcmp(job->created_id, member(root, "id")) == 0);
	HOLDS(token.bytes >= 64 && token.bytes <= JOB_ACCESS_TOKEN_MOST && text_only(token, TOKEN_CHARACTERS));
	HOLDS(span_is(token, member(root, "accessToken")));
	HOLDS(token.data == body);
	for (size_t i = token.bytes; i < original.bytes; i++)
		HOLDS(body[i] == 0);
	HOLDS(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(root, "permissions")) >= 2);
	HOLDS(job->marker_intact == (strcmp(member(root, "description"), job->description) == 0));
	HOLDS(job->token_expires == job->has_expires_at);
	if (job->token_expires)
		HOLDS(llabs(job->token_expires_at - job->expires_at) <= 2);
	HOLDS(job->created_at_nanos >= 0 && job->created_at_nanos < 1000000000);
	cJSON_Delete(root);
}

static void
check_create(uint8_t flags, struct span original)
{
	const struct cluster *c = &harness_config()->clusters[(flags & CLUSTERED) != 0];
	unsigned char *body = lease(original);
	struct job job = asked(flags);
	unsigned char before[sizeof(job)];
	const char *wrong;

	memcpy(before, &job, sizeof(job));
	wrong = answer_read_created(c, body, original.bytes, &job);
	if (wrong == NULL) {
		check_created(&job, original, body);
	} else {
		HOLDS(strncmp(wrong, "the answer", 10) == 0);
		HOLDS(span_equal(span_of(before, sizeof(before)), span_of(&job, sizeof(job))));
	}
	free(body);
}

/* Of characters that tokens are made of; what text_shown has escaped was none. */
static size_t
longest_run(const char *p)
{
	size_t longest = 0;

	while (*p != '\0') {
		size_t run = strspn(p, TOKEN_CHARACTERS);

		if (run > longest)
			longest = run;
		p += run;
		if (*p != '\0')
			p += strncmp(p, "\\x", 2) == 0 ? strlen("\\xff") : 1;
	}
	return longest;
}

static void
check_error(struct span original)
{
	unsigned char *body = lease(original);
	char room[TEXT_SHOWN_ROOM];
	const char *text = answer_error_text(body, original.bytes, span_str(MANAGEMENT_TOKEN), room);

	HOLDS(text == room && harness_printable(text));
	HOLDS(strstr(text, MANAGEMENT_TOKEN) == NULL);
	HOLDS(longest_run(text) < LOOKS_LIKE_TOKEN);
	free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	uint8_t flags = feed_byte(&f);

	if ((flags & ERROR) != 0)
		check_error(f.rest);
	else
		check_create(flags, f.rest);
	feed_end(&f);
	return 0;
}
