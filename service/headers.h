/* The record's outside: size, headers, frame, home partition, reply routing. Everything here is unsigned.
 * Pure; any thread. */
#ifndef TOKEND_HEADERS_H
#define TOKEND_HEADERS_H

#include "service/record.h"
#include "service/request.h"

struct config;
struct status;
struct arena;

#define HEADERS_VALUE_MOST (128 * 1024)    /* bytes of a request's value */

/* Is the record's key a request ID at all? If not, the record is for the dead-letter topic and gets no reply. */
int headers_key_valid(const struct record *r);

/* Read the outside of a record, in the contract's order: size, headers, frame, method, home partition, reply
 * topic. On refusal -1 and *ret_refusal (INVALID_REQUEST, INVALID_RECORD, UNKNOWN_METHOD, WRONG_PARTITION,
 * WRONG_REPLY_TOPIC); *ret_metadata is filled as far as it can be all the same (method CreateToken where
 * unknown; body the whole value where the frame is broken; key_id and signature_header the first occurrence,
 * raw), for the reply's digest needs it. */
int headers_read(const struct config *c, const struct record *r, struct metadata *ret_metadata,
    struct status *ret_refusal);

/* The DSSE type of a request of this method, and of its reply; the full method name. */
const char *headers_request_type(enum method m);
const char *headers_reply_type(enum method m);
const char *headers_method_name(enum method m);

#endif
