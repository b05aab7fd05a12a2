/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this record the service's answer to the very record that we sent?
 *
 * Anybody who can write to the reply topic can put anything under our ID. So nothing is believed before a pinned key
 * of the service has signed it, as a reply of the kind that we wait for; and nothing signed is believed unless it
 * names the record that we sent by its digest. What fails is no error but noise: the genuine reply may be the next
 * record. Every reason has a sentence, for --debug.
 *
 * What a reply holds beside that is for its own judge: reply.c, revocation.c.
 */
#include "service/ctl/genuine.h"

#include <string.h>

#include "service/base/dsse.h"
#include "service/base/text.h"
#include "service/frame.h"
#include "service/status.h"
#include "service/ctl/profile.h"

static bool
read_signature(const struct record *record, unsigned char ret_signature[DSSE_SIGNATURE_BYTES])
{
	const struct header *found = NULL;

	for (size_t i = 0; i < record->n_headers; i++) {
		if (!span_is(record->headers[i].name, "tokend-signature"))
			continue;
		if (found != NULL)
			return false;
		found = &record->headers[i];
	}
	return found != NULL &&
	    text_parse_base64(found->value, ret_signature, DSSE_SIGNATURE_BYTES) == DSSE_SIGNATURE_BYTES;
}

/* The key id in the header is a hint that anybody can write; a handful of pinned keys is tried
 * faster than it is argued about. */
static bool
signed_by_service(const char *type, const struct genuine_keys *service, struct span body,
    const unsigned char signature[DSSE_SIGNATURE_BYTES])
{
	for (size_t i = 0; i < service->n; i++)
		if (dsse_verify(type, body, service->keys[i].public_key, signature))
			return true;
	return false;
}

const char *
genuine_open(const struct genuine_kind *kind, const struct genuine_keys *service, const struct record *record,
    struct span *ret_body)
{
	unsigned char signature[DSSE_SIGNATURE_BYTES];
	struct frame frame;

	if (frame_open(record->value, &frame) != 0 || (frame.present && frame.message_index != kind->message_index))
		return "its frame is broken, or is another message's";
	if (!read_signature(record, signature) || !signed_by_service(kind->type, service, frame.body, signature))
		return "it is not signed by any service key of the profile";
	*ret_body = frame.body;
	return NULL;
}

/* Ours; or nobody's, where the service refused the record before it knew whose it was. The digest
 * binds it to our bytes all the same. */
static bool
principal_fits(const struct genuine_reply *r, const char *ours)
{
	if (strcmp(r->principal, ours) == 0)
		return true;
	return r->principal[0] == '\0' && r->status->code != CODE_OK && r->status->about == TOKEND__V1__ABOUT__RECORD;
}

const char *
genuine_answers(const struct signed_request *sent, const struct genuine_reply *r)
{
	if (r->status == NULL)                  /* whose absent code would read as OK */
		return "it is signed and has no status";
	if (strcmp(r->request_id, sent->message->request_id) != 0)
		return "it answers another request";
	if (!span_equal(span_of(r->digest.data, r->digest.len), span_of(sent->digest, DSSE_HASH_BYTES)))
		return "it answers another record under this ID";
	if (!principal_fits(r, sent->message->principal))
		return "it is for another principal";
	return NULL;
}
