/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The question what became of an ID.
 *
 * A GetOutcome travels under the CreateToken's ID and is answered with the CreateToken's reply. So what its answer
 * is held against is two things in one: the digest of this question, and the context of that request, as much of it
 * as is known. Whoever still has the request's bytes knows all of it. Whoever lost them knows the ID, and who he is:
 * that much is filled in from the profile, and the rest is marked as lost.
 *
 * A question changes nothing and may be asked as often as one likes, each time in new bytes: so it is not stored.
 */
#include "service/ctl/outcome.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/ctl/profile.h"

#define METHOD "/tokend.v1.TokenService/GetOutcome"
#define LIFE_MOST_S 3600                /* what a service allows unless it is configured otherwise */
#define ANSWER_MOST_S 10                /* what its answer may need to come back */

static char *
copy(const char *text, struct arena *a)
{
	return arena_text(a, "%s", text);
}

/* A fifth of the time is left for the answer "still in flight": it says more than silence does. */
int64_t
outcome_life_s(uint64_t timeout_ms)
{
	int64_t timeout_s = (int64_t)(timeout_ms / 1000), spare_s = (timeout_s + 4) / 5;
	int64_t life_s = timeout_s - (spare_s < ANSWER_MOST_S ? spare_s : ANSWER_MOST_S);

	if (life_s > LIFE_MOST_S)
		return LIFE_MOST_S;
	return life_s > 1 ? life_s : 1;
}

/* All that is known of a CreateToken without its bytes. */
static const Tokend__V1__CreateTokenRequest *
lost(const char *request_id, const struct profile *p, struct arena *a)
{
	Tokend__V1__CreateTokenRequest *m = arena_alloc(a, sizeof(*m));

	tokend__v1__create_token_request__init(m);
	m->request_id = copy(request_id, a);
	m->principal = p->principal;
	m->service_id = p->service_id;
	m->recipient = arena_alloc(a, sizeof(*m->recipient));
	tokend__v1__recipient__init(m->recipient);
	m->recipient->key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	m->recipient->key_id = p->box_key.id;
	return m;
}

static struct span
pack(const char *request_id, const struct profile *p, int64_t now, int64_t life_s, struct arena *a)
{
	Tokend__V1__GetOutcomeRequest m = TOKEND__V1__GET_OUTCOME_REQUEST__INIT;
	Google__Protobuf__Timestamp issued_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Timestamp deadline = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	unsigned char *body;

	issued_at.seconds = now;
	deadline.seconds = now + life_s;
	m.request_id = copy(request_id, a);
	m.principal = p->principal;
	m.service_id = p->service_id;
	m.issued_at = &issued_at;
	m.deadline = &deadline;
	body = arena_alloc(a, tokend__v1__get_outcome_request__get_packed_size(&m));
	return span_of(body, tokend__v1__get_outcome_request__pack(&m, body));
}

void
outcome_sign(const char *request_id, const struct signed_request *create, const struct profile *p,
    const unsigned char secret[DSSE_SECRET_BYTES], int64_t now, int64_t life_s, struct arena *a,
    struct signed_request *ret_request)
{
	struct signed_request r;

	request_sign_body(METHOD, DSSE_TYPE_OUTCOME_REQUEST, pack(request_id, p, now, life_s, a), p->signing_key.id,
	    secret, a, &r);
	r.bytes_lost = create == NULL;
	r.message = create != NULL ? create->message : lost(request_id, p, a);
	if (create != NULL)
		memcpy(r.fingerprint, create->fingerprint, sizeof(r.fingerprint));
	*ret_request = r;
}
