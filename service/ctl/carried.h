/* SPDX-License-Identifier: Apache-2.0 */
/* A Kafka record as one JSON document, for any transport that can carry text. */
#ifndef TOKEND_CTL_CARRIED_H
#define TOKEND_CTL_CARRIED_H

#include "service/record.h"

struct arena;
struct err;
struct profile;
struct signed_request;

/* {"topic", "partition", "key", "headers": {...}, "value": base64}: what is to be produced, and where. NULL when there
 * is no memory. In the arena. */
const char *carried_request(const struct signed_request *r, const struct profile *p, struct arena *a);

/* Read such a document from a file ("-": standard input). Of its members key, headers and value are needed; what
 * else there is, is the transport's and passed over. *ret_topic is NULL when it is not named. In the arena. */
int carried_read(const char *path, struct arena *a, struct record *ret_record, const char **ret_topic,
    struct err *ret_err);

#endif
