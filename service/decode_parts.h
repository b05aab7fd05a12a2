/* SPDX-License-Identifier: Apache-2.0 */
/* For decode.c and decode_values.c alone. Any thread. */
#ifndef TOKEND_DECODE_PARTS_H
#define TOKEND_DECODE_PARTS_H

#include <stdint.h>

#include "service/status.h"
#include "tokend/v1/token.pb-c.h"

struct config;

/* Refuse with a message that begins with the field's path, and a detail that holds it. Returns -1. */
int decode_refuse(struct status *ret_refusal, enum status_cause cause, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A time, if there is one, is whole seconds of the years 1 to 9999: so no later sum of times overflows. */
int decode_check_seconds(const char *field, const Google__Protobuf__Timestamp *t, enum status_cause cause,
    struct status *ret_refusal);

/* The same of a deadline, and that it lies between issued_at and the most that is configured after it. */
int decode_check_deadline(const struct config *c, int64_t issued_at, const Google__Protobuf__Timestamp *t,
    enum status_cause cause, struct status *ret_refusal);

#endif
