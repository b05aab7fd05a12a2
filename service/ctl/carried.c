/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Kafka record as one JSON document:
 *
 *   {"topic": "tokend.requests", "partition": 3, "key": ID,
 *    "headers": {"tokend-key-id": TEXT, …}, "value": BASE64}
 *
 * The value travels in base64 because it is bytes; key and headers are text in our contract. Nothing in
 * the document is trusted: of a reply, the signature over the value decides, and of a request, nobody
 * but the service needs to believe it.
 */
#include "service/ctl/carried.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/murmur2.h"
#include "service/base/text.h"
#include "service/ctl/files.h"
#include "service/ctl/jsondoc.h"
#include "service/ctl/profile.h"
#include "service/ctl/request.h"

#define FILE_MOST (2 * 1024 * 1024)     /* a reply with a thousand permissions is far smaller */
#define EXACT_MOST 9007199254740992.0   /* 2^53: beyond it JSON's readers round */

const char *
carried_request(const struct signed_request *r, const struct profile *p, struct arena *a)
{
	char *value = arena_alloc(a, (r->body.bytes + 2) / 3 * 4 + 1), *printed;
	const char *id = r->message->request_id, *text = NULL;
	cJSON *document = cJSON_CreateObject(), *headers;

	(void)cJSON_AddStringToObject(document, "topic", p->topics.requests);
	(void)cJSON_AddNumberToObject(document, "partition", murmur2_partition(span_str(id), p->partitions));
	(void)cJSON_AddStringToObject(document, "key", id);
	headers = cJSON_AddObjectToObject(document, "headers");
	(void)cJSON_AddStringToObject(headers, "tokend-method", r->method);
	(void)cJSON_AddStringToObject(headers, "tokend-key-id", r->key_id);
	(void)cJSON_AddStringToObject(headers, "tokend-signature", r->signature);
	(void)cJSON_AddStringToObject(headers, "traceparent", r->traceparent);
	(void)cJSON_AddStringToObject(document, "value", text_base64(r->body, value));
	printed = cJSON_Print(document);
	cJSON_Delete(document);
	if (printed != NULL)
		text = arena_text(a, "%s\n", printed);
	cJSON_free(printed);
	return text;
}

static int
read_headers(const cJSON *headers, const char *name, struct arena *a, struct record *r, struct err *ret_err)
{
	struct header *list;
	const cJSON *h;
	char shown[TEXT_SHOWN_ROOM];

	if (!cJSON_IsObject(headers))
		return err_set(ret_err, ERR_REFUSE, "%s: headers must be an object of names and texts", name);
	list = arena_alloc(a, (size_t)(cJSON_GetArraySize(headers) + 1) * sizeof(*list));
	cJSON_ArrayForEach(h, headers) {
		if (!cJSON_IsString(h))
			return err_set(ret_err, ERR_REFUSE, "%s: the header %s must be a string", name,
			    text_shown(span_str(h->string), shown));
		list[r->n_headers].name = arena_copy(a, span_str(h->string));
		list[r->n_headers++].value = arena_copy(a, span_str(h->valuestring));
	}
	r->headers = list;
	return 0;
}

static int
read_value(const char *text, const char *name, struct arena *a, struct record *r, struct err *ret_err)
{
	size_t room = strlen(text) / 4 * 3 + 3;
	unsigned char *bytes = arena_alloc(a, room);
	long n = text_parse_base64(span_str(text), bytes, room);

	if (n < 1)
		return err_set(ret_err, ERR_REFUSE, "%s: value is not base64", name);
	r->value = span_of(bytes, (size_t)n);
	return 0;
}

/* Can it be a partition or an offset? */
static bool
is_count(const cJSON *n, double most)
{
	return cJSON_IsNumber(n) && n->valuedouble >= 0 && n->valuedouble <= most;
}

static void
read_place(const cJSON *document, struct arena *a, struct record *r, const char **ret_topic)
{
	const char *topic = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(document, "topic"));
	const cJSON *partition = cJSON_GetObjectItemCaseSensitive(document, "partition");
	const cJSON *offset = cJSON_GetObjectItemCaseSensitive(document, "offset");

	*ret_topic = topic != NULL && is_count(partition, INT32_MAX) && is_count(offset, EXACT_MOST) ?
	    arena_text(a, "%s", topic) : NULL;
	if (*ret_topic == NULL)
		return;
	r->partition = partition->valueint;
	r->offset = (int64_t)offset->valuedouble;
}

static int
read_document(const cJSON *document, const char *name, struct arena *a, struct record *r, const char **ret_topic,
    struct err *ret_err)
{
	const char *key = NULL, *value = NULL;

	if (!cJSON_IsObject(document))
		return err_set(ret_err, ERR_REFUSE, "%s must be a JSON object with key, headers and value", name);
	if (jsondoc_text(document, name, "key", &key, ret_err) != 0 ||
	    jsondoc_text(document, name, "value", &value, ret_err) != 0)
		return -1;
	if (key == NULL || value == NULL)
		return err_set(ret_err, ERR_REFUSE, "%s: %s is missing", name, key == NULL ? "key" : "value");
	r->key = arena_copy(a, span_str(key));
	if (read_headers(cJSON_GetObjectItemCaseSensitive(document, "headers"), name, a, r, ret_err) != 0 ||
	    read_value(value, name, a, r, ret_err) != 0)
		return -1;
	read_place(document, a, r, ret_topic);
	return 0;
}

int
carried_read(const char *path, struct arena *a, struct record *ret_record, const char **ret_topic,
    struct err *ret_err)
{
	struct record r = { 0 };
	struct span text;
	cJSON *document;
	int result;

	if (files_read(path, FILE_MOST, a, &text, ret_err) != 0)
		return -1;
	document = jsondoc_parse(files_name(path), text, ret_err);
	if (document == NULL)
		return -1;
	result = read_document(document, files_name(path), a, &r, ret_topic, ret_err);
	cJSON_Delete(document);
	if (result == 0)
		*ret_record = r;
	return result;
}
