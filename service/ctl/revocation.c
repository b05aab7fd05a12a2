/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this record the answer to our RevokeToken, and what does it say?
 *
 * Other answers travel under the same ID, the CreateToken's own and those to a GetOutcome. They are another message,
 * so their signature is over another type: here they count as what does not verify. A reply that says "done" and does
 * not say of which token, or when, is not believed: it would be printed as if it did.
 */
#include "service/ctl/revocation.h"

#include "service/base/dsse.h"
#include "service/base/text.h"
#include "service/status.h"

#define REPLY_INDEX 4                   /* RevokeTokenReply is the fifth message of its file */

static const char *
foreign(const struct signed_request *sent, const Tokend__V1__RevokeTokenReply *m)
{
	const char *why = genuine_answers(sent, &(struct genuine_reply){ m->request_id, m->principal,
	    m->request_digest, m->status });

	if (why != NULL || m->status->code != CODE_OK)
		return why;
	if (!text_is_uuid(span_str(m->token_id)) || m->revoked_at == NULL)
		return "it does not say which token was revoked, and when";
	return NULL;
}

void
revocation_judge(const struct signed_request *sent, const struct genuine_keys *service, const struct record *record,
    struct revocation *ret_revocation)
{
	static const struct genuine_kind kind = { DSSE_TYPE_REVOKE_REPLY, REPLY_INDEX };
	struct revocation r = { .verdict = REVOCATION_OTHERS };
	struct span body;

	*ret_revocation = r;
	if (!span_is(record->key, sent->message->request_id) || record->value.data == NULL)
		return;
	r.why = genuine_open(&kind, service, record, &body);
	if (r.why == NULL) {
		r.message = tokend__v1__revoke_token_reply__unpack(NULL, body.bytes, body.data);
		r.why = r.message != NULL ? foreign(sent, r.message) : "it is signed and cannot be decoded";
	}
	if (r.why != NULL) {
		revocation_free(&r);
		r.verdict = REVOCATION_IGNORED;
	} else {
		r.verdict = r.message->status->code == CODE_OK ? REVOCATION_DONE : REVOCATION_REFUSED;
	}
	*ret_revocation = r;
}

void
revocation_free(struct revocation *r)
{
	if (r->message != NULL)
		tokend__v1__revoke_token_reply__free_unpacked(r->message, NULL);
	r->message = NULL;
}
