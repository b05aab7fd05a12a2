/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a reply. Pure; any thread. */
#ifndef TOKEND_REPLY_HEADERS_H
#define TOKEND_REPLY_HEADERS_H

#include <stdbool.h>

#include "service/record.h"
#include "service/request.h"

struct arena;

#define REPLY_HEADERS_MOST 24

struct reply_headers {
	const struct metadata *metadata;        /* of the record that is answered */
	const struct record *record;
	const char *key_id;                     /* the service's, and its signature over the reply */
	const unsigned char *signature;         /* 64 bytes */
	int code;                               /* google.rpc.Code */
	const char *message;                    /* "": none */
	bool cloudevents;                       /* the ce_* set, for which what follows is needed */
	const char *service_id, *request_topic;
	const unsigned char *fingerprint;       /* 32 bytes; NULL: the reply is not about a request's outcome */
};

/* In the arena; returns how many: tokend-method, tokend-key-id, tokend-signature (base64), content-type,
 * grpc-status, grpc-message (percent-encoded as gRPC does), traceparent (same trace, a new span id) and
 * tracestate, ce_*, then what is echoed. */
size_t reply_headers_write(struct arena *a, const struct reply_headers *r,
    struct header ret_headers[REPLY_HEADERS_MOST]);

#endif
