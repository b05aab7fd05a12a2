/* SPDX-License-Identifier: Apache-2.0 */
/* Is this record the service's answer to the very record that we sent? What holds for every kind of reply. Pure. */
#ifndef TOKEND_CTL_GENUINE_H
#define TOKEND_CTL_GENUINE_H

#include <stddef.h>

#include "service/record.h"
#include "service/ctl/request.h"

struct profile_service_key;

/* A kind of reply: its DSSE type, and its place in token.proto, which Schema Registry's frame names. */
struct genuine_kind {
	const char *type;
	int message_index;
};

/* The keys that are believed. */
struct genuine_keys {
	const struct profile_service_key *keys;
	size_t n;
};

/* What every reply says outside of a box. */
struct genuine_reply {
	const char *request_id, *principal;
	ProtobufCBinaryData digest;
	const Tokend__V1__Status *status;       /* NULL: it has none */
};

/* *ret_body: the message's bytes, if one of these keys signed them as a reply of that kind. NULL, or why not (a
 * constant sentence). */
const char *genuine_open(const struct genuine_kind *kind, const struct genuine_keys *service,
    const struct record *record, struct span *ret_body);

/* Does what was signed answer the record that was sent? NULL, or why not. */
const char *genuine_answers(const struct signed_request *sent, const struct genuine_reply *r);

#endif
