/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the rooms between a record and a permit share: a configuration, a policy, keys from fixed
 * seeds, and a good CreateToken that each test then spoils in its own way. */
#ifndef TOKEND_TESTS_FIXTURE_REQUEST_H
#define TOKEND_TESTS_FIXTURE_REQUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/policy.h"
#include "service/request.h"
#include "service/status.h"
#include "tokend/v1/token.pb-c.h"

#define NOW INT64_C(1795507200)          /* 2026-11-24T08:00:00Z */
#define ID "orders-7f3a"
#define ACCOUNT "11111111-2222-3333-4444-555555555555"
#define CLUSTER "66666666-7777-8888-9999-aaaaaaaaaaaa"
#define BOX_KEY "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="    /* X25519 public key of RFC 7748's Bob */

static __attribute__((unused)) struct cluster fixture_clusters[] = {
	{ .name = (char *)"prod", .product = CLUSTER_DEDICATED, .account_id = (char *)ACCOUNT,
	    .cluster_id = (char *)CLUSTER },
	{ .name = (char *)"edge", .product = CLUSTER_CLUSTERED },
};

static __attribute__((unused)) struct config fixture_config = {
	.service_id = (char *)"tokens", .topic_replies = (char *)"tokend.replies", .partitions = 1,
	.clusters = fixture_clusters, .n_clusters = 2, .deadline_most_ms = 3600000,
	.max_remembered = 1000000,
};

/* The key pair that comes of a seed of this byte, 32 times. */
static inline void
fixture_key(unsigned char seed_byte, unsigned char ret_secret[DSSE_SECRET_BYTES],
    unsigned char ret_public[DSSE_PUBLIC_BYTES])
{
	unsigned char seed[DSSE_SEED_BYTES];

	memset(seed, seed_byte, sizeof(seed));
	dsse_secret_of_seed(seed, ret_secret);
	dsse_public_of(ret_secret, ret_public);
}

/* The base64 of that key pair's public half. */
static inline const char *
fixture_public(unsigned char seed_byte, char room[45])
{
	unsigned char secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES];

	fixture_key(seed_byte, secret, public_key);
	return text_base64(span_of(public_key, sizeof(public_key)), room);
}

/* A policy of this text; NULL and *ret_err when it is refused. */
static inline struct policy *
fixture_policy(const char *text, const struct config *c, struct err *ret_err)
{
	char path[] = "/tmp/tokend-policy-XXXXXX";
	int fd = mkstemp(path);
	struct policy *p;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	p = policy_load(path, c, ret_err);
	(void)unlink(path);
	return p;
}

/* A CreateToken that nothing is wrong with, and all that it points to. */
struct fixture_create {
	Tokend__V1__CreateTokenRequest m;
	Tokend__V1__Target target;
	Tokend__V1__Permission permissions[4], *pointers[4];
	Tokend__V1__Recipient recipient;
	Tokend__V1__InlineKey inline_key;
	Google__Protobuf__Timestamp issued_at, deadline, expires_at;
};

static inline void
fixture_create_init(struct fixture_create *f)
{
	tokend__v1__create_token_request__init(&f->m);
	tokend__v1__target__init(&f->target);
	tokend__v1__recipient__init(&f->recipient);
	tokend__v1__inline_key__init(&f->inline_key);
	google__protobuf__timestamp__init(&f->issued_at);
	google__protobuf__timestamp__init(&f->deadline);
	google__protobuf__timestamp__init(&f->expires_at);
	for (int i = 0; i < 4; i++) {
		tokend__v1__permission__init(&f->permissions[i]);
		f->permissions[i].action = i % 2 == 0 ? TOKEND__V1__ACTION__READ : TOKEND__V1__ACTION__WRITE;
		f->permissions[i].resource_case = TOKEND__V1__PERMISSION__RESOURCE_DATABASE;
		f->permissions[i].database = (char *)(i < 2 ? "telemetry_a" : "telemetry_b");
		f->pointers[i] = &f->permissions[i];
	}
	f->m.request_id = (char *)ID;
	f->m.principal = (char *)"telemetry";
	f->m.service_id = (char *)"tokens";
	f->m.description = (char *)"orders writer";
	f->m.target = &f->target;
	f->target.cluster = (char *)"prod";
	f->m.permissions = f->pointers;
	f->m.n_permissions = 2;
	f->m.issued_at = &f->issued_at;
	f->issued_at.seconds = NOW;
	f->deadline.seconds = NOW + 600;
	f->expires_at.seconds = NOW + 86400;
	f->m.expires_at = &f->expires_at;
	f->m.recipient = &f->recipient;
	f->recipient.key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	f->recipient.key_id = (char *)"t-box1";
}

static inline struct span
fixture_pack(struct arena *a, const ProtobufCMessage *m)
{
	size_t bytes = protobuf_c_message_get_packed_size(m);
	unsigned char *room = arena_alloc(a, bytes > 0 ? bytes : 1);

	assert_int_equal(protobuf_c_message_pack(m, room), bytes);
	return span_of(room, bytes);
}

/* The value of that detail, NULL when the status has none. */
static inline const char *
fixture_detail(const struct status *s, const char *key)
{
	for (unsigned i = 0; i < s->n_details; i++)
		if (strcmp(s->details[i].key, key) == 0)
			return s->details[i].value;
	return NULL;
}

#endif
