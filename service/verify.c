/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose signature is it?
 *
 * The record's key id is a hint that says which public key to try; the answer is the owner of the key that
 * verified. Nothing of the body has been looked at so far: first the signature over its very bytes, then
 * the parser. A key that has expired verifies, too, because the answer to a repeat must not depend on the
 * calendar; its validity is asked later, when the journal does not know the request.
 *
 * The fingerprint and the digest are made in any case: the answer to a record that does not verify names
 * that record by its digest.
 */
#include "service/verify.h"

#include "service/base/dsse.h"
#include "service/base/text.h"
#include "service/policy.h"
#include "service/status.h"

static const char *
request_type(enum method m)
{
	static const char *const types[METHOD_COUNT] = {
#define ROW(method, name, request_type, reply_type) [METHOD_##method] = request_type,
		METHODS(ROW)
#undef ROW
	};

	return types[m];
}

int
verify_signature(struct verification *v, struct status *ret_refusal)
{
	const struct metadata *m = v->metadata;
	const char *type = request_type(m->method);
	char shown[TEXT_SHOWN_ROOM];

	v->key = NULL;
	dsse_fingerprint(type, m->body, v->fingerprint);
	dsse_digest(type, m->body, m->key_id, m->signature_header, v->digest);

	if (m->key_id.bytes == 0)
		return status_set(ret_refusal, STATUS_UNKNOWN_KEY,
		    "there is no tokend-key-id header: it names the key that signed");

	const struct policy_key *key = policy_key(v->policy, m->key_id);

	if (key == NULL)
		return status_set(ret_refusal, STATUS_UNKNOWN_KEY, "the policy knows no signing key \"%s\"",
		    text_shown(m->key_id, shown));
	if (!m->has_signature)
		return status_set(ret_refusal, STATUS_BAD_SIGNATURE, "there is no tokend-signature header");
	if (!dsse_verify(type, m->body, key->public_key, m->signature))
		return status_set(ret_refusal, STATUS_BAD_SIGNATURE,
		    "the signature does not verify with key \"%s\" over these bytes as %s", key->id, type);

	v->key = key;
	return 0;
}
