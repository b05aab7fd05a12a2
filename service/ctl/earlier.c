/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked about an earlier request, by its ID.
 *
 * Both questions travel under the CreateToken's ID. A GetOutcome is answered with the CreateToken's reply, so its
 * answer is held against two things in one: the digest of this question, and the context of that request, as much of
 * it as is known. Whoever still has the request's bytes knows all of it. Whoever lost them knows the ID, and who he
 * is: that much is filled in from the profile, and the rest is marked as lost. A RevokeToken is answered without a
 * box: ID and principal are all that its answer can be held against.
 *
 * Neither is stored. A question changes nothing, and what was revoked is revoked: both may be asked as often as one
 * likes, each time in new bytes.
 */
#include "service/ctl/earlier.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/profile.h"

#define METHOD_OUTCOME "/tokend.v1.TokenService/GetOutcome"
#define METHOD_REVOKE "/tokend.v1.TokenService/RevokeToken"
#define LIFE_MOST_S 3600                /* what a service allows unless it is configured otherwise */
#define ANSWER_MOST_S 10                /* what its answer may need to come back */
#define REASON_MOST 200

static char *
copy(const char *text, struct arena *a)
{
	return arena_text(a, "%s", text);
}

/* A fifth of the time is left for the answer "still in flight": it says more than silence does. */
int64_t
earlier_life_s(uint64_t timeout_ms)
{
	int64_t timeout_s = (int64_t)(timeout_ms / 1000), spare_s = (timeout_s + 4) / 5;
	int64_t life_s = timeout_s - (spare_s < ANSWER_MOST_S ? spare_s : ANSWER_MOST_S);

	if (life_s > LIFE_MOST_S)
		return LIFE_MOST_S;
	return life_s > 1 ? life_s : 1;
}

/* All that is known of a CreateToken without its bytes. */
static const Tokend__V1__CreateTokenRequest *
known(const struct earlier *e, struct arena *a)
{
	Tokend__V1__CreateTokenRequest *m = arena_alloc(a, sizeof(*m));

	tokend__v1__create_token_request__init(m);
	m->request_id = copy(e->request_id, a);
	m->principal = e->profile->principal;
	m->service_id = e->profile->service_id;
	m->recipient = arena_alloc(a, sizeof(*m->recipient));
	tokend__v1__recipient__init(m->recipient);
	m->recipient->key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	m->recipient->key_id = e->profile->box_key.id;
	return m;
}

static Google__Protobuf__Timestamp *
at(int64_t seconds, struct arena *a)
{
	Google__Protobuf__Timestamp *t = arena_alloc(a, sizeof(*t));

	google__protobuf__timestamp__init(t);
	t->seconds = seconds;
	return t;
}

static struct span
pack(const ProtobufCMessage *m, struct arena *a)
{
	unsigned char *body = arena_alloc(a, protobuf_c_message_get_packed_size(m));

	return span_of(body, protobuf_c_message_pack(m, body));
}

void
earlier_outcome(const struct earlier *e, const struct signed_request *create,
    const unsigned char secret[DSSE_SECRET_BYTES], struct arena *a, struct signed_request *ret_request)
{
	Tokend__V1__GetOutcomeRequest m = TOKEND__V1__GET_OUTCOME_REQUEST__INIT;
	struct signed_request r;

	m.request_id = copy(e->request_id, a);
	m.principal = e->profile->principal;
	m.service_id = e->profile->service_id;
	m.issued_at = at(e->now, a);
	m.deadline = at(e->now + e->life_s, a);
	request_sign_body(METHOD_OUTCOME, DSSE_TYPE_OUTCOME_REQUEST, pack(&m.base, a), e->profile->signing_key.id,
	    secret, a, &r);
	r.bytes_lost = create == NULL;
	r.message = create != NULL ? create->message : known(e, a);
	if (create != NULL)
		memcpy(r.fingerprint, create->fingerprint, sizeof(r.fingerprint));
	*ret_request = r;
}

void
earlier_revocation(const struct earlier *e, const char *reason, const unsigned char secret[DSSE_SECRET_BYTES],
    struct arena *a, struct signed_request *ret_request)
{
	Tokend__V1__RevokeTokenRequest m = TOKEND__V1__REVOKE_TOKEN_REQUEST__INIT;
	struct signed_request r;

	m.request_id = copy(e->request_id, a);
	m.principal = e->profile->principal;
	m.service_id = e->profile->service_id;
	m.issued_at = at(e->now, a);
	m.deadline = at(e->now + e->life_s, a);
	m.reason = copy(reason, a);
	request_sign_body(METHOD_REVOKE, DSSE_TYPE_REVOKE_REQUEST, pack(&m.base, a), e->profile->signing_key.id,
	    secret, a, &r);
	r.bytes_lost = true;
	r.message = known(e, a);
	*ret_request = r;
}

int
earlier_check_reason(const char *reason, struct err *ret_err)
{
	struct span r = span_str(reason);
	char shown[TEXT_SHOWN_ROOM];
	bool good = r.bytes <= REASON_MOST && text_is_utf8(r);

	for (size_t i = 0; i < r.bytes; i++)
		good = good && r.data[i] >= 0x20 && r.data[i] != 0x7f;
	if (good)
		return 0;
	return err_set(ret_err, ERR_REFUSE, "--reason \"%s\" is not up to %d bytes of UTF-8 without control characters",
	    text_shown(r, shown), REASON_MOST);
}
