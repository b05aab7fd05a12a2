/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/ctl/jsondoc.c service/ctl/wanted_json.c service/ctl/wanted.c service/ctl/carried.c
 *
 * The JSON files that tokenctl takes: the body that InfluxDB's API has for a token, and a Kafka record that was
 * carried here as a document.
 *
 * Input: a byte (CARRIED), then the file.
 *
 * Promises: a refused file is told by one sentence that can be shown. What is read holds no NUL and nothing twice.
 * A body that tokenctl takes, the service takes for its form, too, and reads the same in it. */
#include "tests/fuzz/harness.h"

#include <stdlib.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/carried.h"
#include "service/ctl/wanted.h"
#include "service/ctl/wanted_json.h"
#include "service/decode.h"

#define CARRIED 1

static bool
check_carried(const char *path, struct arena *a, struct err *e)
{
	struct record r;
	const char *topic;

	if (carried_read(path, a, &r, &topic, e) != 0)
		return false;
	HOLDS(r.key.data != NULL && text_is_utf8(r.key));
	HOLDS(r.value.data != NULL && r.value.bytes > 0);
	HOLDS(topic == NULL || text_is_utf8(span_str(topic)));
	for (size_t i = 0; i < r.n_headers; i++) {
		HOLDS(text_is_utf8(r.headers[i].name) && text_is_utf8(r.headers[i].value));
		for (size_t j = 0; j < i; j++)
			HOLDS(!span_equal(r.headers[i].name, r.headers[j].name));
	}
	return true;
}

/* The rest of a request, in which nothing is wrong. */
static struct span
request(Tokend__V1__CreateTokenRequest *m, struct arena *a)
{
	Tokend__V1__Recipient *recipient = arena_alloc(a, sizeof(*recipient));
	Tokend__V1__Target *target = arena_alloc(a, sizeof(*target));
	unsigned char *bytes;

	tokend__v1__recipient__init(recipient);
	recipient->key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	recipient->key_id = (char *)HARNESS_BOX_ID;
	tokend__v1__target__init(target);
	target->cluster = (char *)"prod";
	m->request_id = (char *)HARNESS_ID;
	m->principal = (char *)HARNESS_PRINCIPAL;
	m->service_id = (char *)"tokens";
	m->recipient = recipient;
	m->target = target;
	bytes = arena_alloc(a, tokend__v1__create_token_request__get_packed_size(m));
	return span_of(bytes, tokend__v1__create_token_request__pack(m, bytes));
}

static void
check_taken(const Tokend__V1__CreateTokenRequest *m, struct span body, struct arena *a)
{
	struct request r;
	struct status refusal;

	HOLDS(decode_shape(harness_config(), METHOD_CREATE_TOKEN, body, span_str(HARNESS_ID), HARNESS_PRINCIPAL, a, &r,
	    &refusal) == 0);
	HOLDS(decode_values(harness_config(), a, &r, &refusal) == 0);
	HOLDS(strcmp(r.description, m->description) == 0);
	HOLDS(r.n_permissions == m->n_permissions);
	for (size_t i = 0; i < r.n_permissions; i++) {
		const Tokend__V1__Permission *p = m->permissions[i];

		HOLDS((r.permissions[i].action == PERMISSION_READ) == (p->action == TOKEND__V1__ACTION__READ));
		HOLDS(r.permissions[i].database == NULL ? p->all_databases :
		    strcmp(r.permissions[i].database, p->database) == 0);
	}
	HOLDS(r.has_expires_at == (m->expires_at != NULL));
	HOLDS(!r.has_expires_at || r.expires_at == m->expires_at->seconds);
}

static bool
check_body(const char *path, struct arena *a, struct err *e)
{
	struct wanted w = { 0 };
	Tokend__V1__CreateTokenRequest *m;

	if (wanted_json_read(path, a, &w, e) != 0 || wanted_message(&w, HARNESS_NOW, a, &m, e) != 0)
		return false;
	HOLDS(m->n_permissions > 0);
	if (m->description[0] != '\0')
		check_taken(m, request(m, a), a);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes);
	uint8_t flags = feed_byte(&f);
	const char *path = harness_file(f.rest);
	struct arena a = { 0 };
	struct err e = { 0 };

	if ((flags & CARRIED) != 0 ? check_carried(path, &a, &e) : check_body(path, &a, &e))
		HOLDS(!harness_cuts_strings(f.rest));
	else
		harness_sentence(&e);
	arena_free(&a);
	feed_end(&f);
	return 0;
}
