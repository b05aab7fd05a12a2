/* Verified bytes -> request. First the strict walk over the wire, driven by the generated descriptors
 * (protobuf-c alone cuts strings at a NUL, takes invalid UTF-8, lets the last duplicate win); then values.
 * Every refusal names the field by its path ("permissions[3].database"). Any thread. */
#ifndef TOKEND_DECODE_H
#define TOKEND_DECODE_H

#include "service/request.h"

struct arena;
struct config;
struct status;

/* The strict walk and the decoding, and what must hold for a record to be believed at all: an issued_at,
 * whole seconds, request_id equal to key, service_id ours. Refusals are about the RECORD: UNDECODABLE
 * (unknown field: details field_number and the words "this tokend is older than your client"), INVALID_RECORD
 * (request_id is not key). Whether the principal is owner's: WRONG_PRINCIPAL. */
int decode_shape(const struct config *c, enum method m, struct span body, struct span key, const char *owner,
    struct arena *a, struct request *ret_request, struct status *ret_refusal);

/* The values of a CreateToken: description, permissions (duplicates, characters), target, times, recipient's
 * form, limits. Refusals are the request's OUTCOME: INVALID_FIELD. (deadline - issued_at above the configured
 * most is one of them, a deadline before issued_at another.) */
int decode_values(const struct config *c, struct arena *a, struct request *r, struct status *ret_refusal);

#endif
