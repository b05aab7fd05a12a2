/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tokenctl prints.
 *
 * A token goes from guarded memory to the file descriptor by write(2): stdio's buffer would keep a
 * copy of it that nobody wipes. The JSON is cJSON's, by an allocator that wipes. In the table the
 * token is the last word of the last line, easy to cut by hand, eye or awk; what else there is to
 * know goes to stderr, so that a pipe gets the table alone.
 *
 * What a service says in a status is signed, and still foreign text: control characters do not
 * reach the terminal.
 */
#include "service/ctl/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/status.h"
#include "service/ctl/reply.h"

#define PLACE_ROOM 320                  /* a topic's name is at most 249 bytes */

static void
say(const char *format, va_list arguments)
{
	char line[2048];

	(void)vsnprintf(line, sizeof(line), format, arguments);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	(void)fprintf(stderr, "tokenctl: %s\n", line);
}

void
output_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

enum command_exit
output_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	return EXIT_USAGE;
}

void
output_setup(void)
{
	cJSON_Hooks hooks = { secret_malloc, secret_free };

	cJSON_InitHooks(&hooks);
}

int
output_write(int fd, const char *text, size_t bytes, struct err *ret_err)
{
	while (bytes > 0) {
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno != EINTR)
			return err_set(ret_err, ERR_REFUSE, "%s", strerror(errno));
		text += n > 0 ? n : 0;
		bytes -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static const char *
time_of(const Google__Protobuf__Timestamp *t, char room[TEXT_RFC3339_ROOM])
{
	return text_time(t->seconds, t->nanos != 0 ? t->nanos / 1000 : -1, room);
}

/* "; reply TOPIC[P]@OFFSET", or nothing. */
static const char *
place_of(const struct output_place *where, char room[PLACE_ROOM])
{
	room[0] = '\0';
	if (where->topic != NULL)
		(void)snprintf(room, PLACE_ROOM, "; reply %s[%d]@%lld", where->topic, (int)where->partition,
		    (long long)where->offset);
	return room;
}

void
output_circumstances(const struct reply *r, const struct output_place *where)
{
	const Tokend__V1__TokenSecret *s = r->secret;
	char expiry[TEXT_RFC3339_ROOM], shown[TEXT_SHOWN_ROOM], place[PLACE_ROOM];

	output_say("request %s: created in cluster %s, %s%s%s%s", s->request_id,
	    text_shown(span_str(s->cluster), shown), s->expires_at != NULL ? "expires " : "never expires",
	    s->expires_at != NULL ? time_of(s->expires_at, expiry) : "", place_of(where, place),
	    r->message->replayed ? ", told again" : "");
}

void
output_purpose(const Tokend__V1__TokenSecret *s)
{
	output_say("  description: %s", s->description);
	for (size_t i = 0; i < s->n_permissions; i++) {
		const Tokend__V1__Permission *p = s->permissions[i];
		bool all = p->resource_case == TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;

		output_say("  may %s %s", p->action == TOKEND__V1__ACTION__READ ? "read" : "write",
		    all ? "every database" : p->database);
	}
}

/* Guarded memory for text that holds a token. */
static char *
guarded(size_t bytes, struct err *ret_err)
{
	char *text = (char *)secret_guarded_new(bytes);

	if (text == NULL)
		(void)err_set(ret_err, ERR_FATAL, "there is no memory that can be locked to print the token from");
	return text;
}

/* The token by memcpy: printf may keep pieces of it in buffers of its own. */
static char *
token_line(enum output_format format, const Tokend__V1__TokenSecret *s, size_t *ret_bytes, struct err *ret_err)
{
	size_t token_bytes = strlen(s->access_token);
	int width = strlen(s->token_id) > 8 ? (int)strlen(s->token_id) : 8, bytes = 0;
	char *text = guarded((size_t)width * 2 + token_bytes + 32, ret_err);

	if (text == NULL)
		return NULL;
	if (format == OUTPUT_TABLE)
		bytes = sprintf(text, "%-*s  TOKEN\n%-*s  ", width, "TOKEN ID", width, s->token_id);
	memcpy(text + bytes, s->access_token, token_bytes);
	text[(size_t)bytes + token_bytes] = '\n';
	*ret_bytes = (size_t)bytes + token_bytes + 1;
	return text;
}

static void
add_time(cJSON *object, const char *name, const Google__Protobuf__Timestamp *t)
{
	char room[TEXT_RFC3339_ROOM];

	if (t != NULL)
		(void)cJSON_AddStringToObject(object, name, time_of(t, room));
}

static void
add_permissions(cJSON *object, const Tokend__V1__TokenSecret *s)
{
	cJSON *list = cJSON_AddArrayToObject(object, "permissions");

	for (size_t i = 0; i < s->n_permissions; i++) {
		const Tokend__V1__Permission *p = s->permissions[i];
		cJSON *one = cJSON_CreateObject();
		bool all = p->resource_case == TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;

		(void)cJSON_AddStringToObject(one, "action", p->action == TOKEND__V1__ACTION__READ ? "read" : "write");
		(void)cJSON_AddStringToObject(one, "resource", all ? "*" : p->database);
		(void)cJSON_AddItemToArray(list, one);
	}
}

static void
add_place(cJSON *object, const struct output_place *where)
{
	if (where->topic == NULL)
		return;
	(void)cJSON_AddNumberToObject(object, "partition", where->partition);
	(void)cJSON_AddNumberToObject(object, "offset", (double)where->offset);
}

static cJSON *
token_object(const struct reply *r, const struct output_place *where)
{
	const Tokend__V1__TokenSecret *s = r->secret;
	cJSON *object = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(object, "request_id", s->request_id);
	add_place(object, where);
	(void)cJSON_AddStringToObject(object, "id", s->token_id);
	(void)cJSON_AddStringToObject(object, "accessToken", s->access_token);
	(void)cJSON_AddStringToObject(object, "description", s->description);
	add_permissions(object, s);
	add_time(object, "createdAt", s->created_at);
	add_time(object, "expiresAt", s->expires_at);
	(void)cJSON_AddStringToObject(object, "cluster", s->cluster);
	(void)cJSON_AddBoolToObject(object, "replayed", r->message->replayed);
	add_time(object, "revokedAt", r->message->revoked_at);
	return object;
}

/* cJSON's memory is wiped when freed; what it printed goes into guarded memory at once. */
static char *
token_json(const struct reply *r, const struct output_place *where, size_t *ret_bytes, struct err *ret_err)
{
	cJSON *object = token_object(r, where);
	char *printed = cJSON_Print(object), *text = NULL;

	cJSON_Delete(object);
	if (printed == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "no memory to print the token from");
		return NULL;
	}
	*ret_bytes = strlen(printed) + 1;
	text = guarded(*ret_bytes, ret_err);
	if (text != NULL) {
		memcpy(text, printed, *ret_bytes - 1);
		text[*ret_bytes - 1] = '\n';
	}
	cJSON_free(printed);
	return text;
}

char *
output_token(enum output_format format, const struct reply *r, const struct output_place *where, size_t *ret_bytes,
    struct err *ret_err)
{
	return format == OUTPUT_JSON ? token_json(r, where, ret_bytes, ret_err) :
	    token_line(format, r->secret, ret_bytes, ret_err);
}

static char *
revocation_json(const Tokend__V1__RevokeTokenReply *m, const struct output_place *where)
{
	cJSON *object = cJSON_CreateObject();
	char *printed;

	(void)cJSON_AddStringToObject(object, "request_id", m->request_id);
	add_place(object, where);
	(void)cJSON_AddStringToObject(object, "id", m->token_id);
	add_time(object, "revokedAt", m->revoked_at);
	(void)cJSON_AddBoolToObject(object, "replayed", m->replayed);
	printed = cJSON_Print(object);
	cJSON_Delete(object);
	return printed;
}

int
output_revocation(enum output_format format, const Tokend__V1__RevokeTokenReply *m, const struct output_place *where,
    struct err *ret_err)
{
	char at[TEXT_RFC3339_ROOM], place[PLACE_ROOM], line[256];
	int width = (int)strlen(m->token_id), result;
	char *json;

	output_say("request %s: its token is revoked%s%s", m->request_id, place_of(where, place),
	    m->replayed ? ", told again" : "");
	if (format == OUTPUT_TABLE) {
		(void)snprintf(line, sizeof(line), "%-*s  REVOKED AT\n%s  %s\n", width, "TOKEN ID", m->token_id,
		    time_of(m->revoked_at, at));
		return output_write(STDOUT_FILENO, line, strlen(line), ret_err);
	}
	json = revocation_json(m, where);
	if (json == NULL)
		return err_set(ret_err, ERR_FATAL, "there is no memory for it");
	result = output_write(STDOUT_FILENO, json, strlen(json), ret_err);
	if (result == 0)
		result = output_write(STDOUT_FILENO, "\n", 1, ret_err);
	cJSON_free(json);
	return result;
}

/* The rule for requesters: a program never takes a new ID after a refusal of a mere record, for the
 * old ID may hold a token. */
static const char *
next_step(const Tokend__V1__Status *s)
{
	bool outcome = s->about == TOKEND__V1__ABOUT__OUTCOME;

	if (!outcome && s->about != TOKEND__V1__ABOUT__RECORD)
		return "this tokenctl is older than the service and cannot tell what is meant: ask the service's "
		    "operator";
	switch (s->retry) {
	case TOKEND__V1__RETRY__SAME_RECORD:
		return "mend what the message names (profile, policy), then send the same record again";
	case TOKEND__V1__RETRY__NEW_ID:
		return outcome ? "mend what the message names, then ask anew, without --request-id" :
		    "mend what the message names; before you ask anew make sure that this ID has no token yet";
	case TOKEND__V1__RETRY__LATER:
		return outcome ? "ask anew later, without --request-id" : "send the same record again later";
	default:
		return "asking again as it is will not help: the message says what stands in the way, the service's "
		    "operator can change it";
	}
}

void
output_refusal(const char *request_id, const Tokend__V1__Status *s, const char *again)
{
	bool outcome = s->about == TOKEND__V1__ABOUT__OUTCOME;

	output_say("refused: %s/%s: %s", status_code_name(s->code), s->reason, s->message);
	for (size_t i = 0; i < s->n_details; i++)
		output_say("  %s: %s", s->details[i]->key, s->details[i]->value);
	if (outcome)
		output_say("this is the outcome of request %s, for good; no token was delivered", request_id);
	else if (s->about == TOKEND__V1__ABOUT__RECORD)
		output_say("this record was refused; nothing is said of what became of request %s", request_id);
	output_say("next: %s", next_step(s));
	if (s->about == TOKEND__V1__ABOUT__RECORD &&
	    (s->retry == TOKEND__V1__RETRY__SAME_RECORD || s->retry == TOKEND__V1__RETRY__LATER))
		output_say("  %s", again);
}
