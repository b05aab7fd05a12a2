/* SPDX-License-Identifier: Apache-2.0 */
/* Are these bytes exactly one message of that descriptor, by rules on which all protobuf libraries agree?
 * Pure; any thread. */
#ifndef TOKEND_STRICT_H
#define TOKEND_STRICT_H

#include <protobuf-c/protobuf-c.h>

#include "service/base/span.h"

struct status;

#define STRICT_DEPTH_MOST 8          /* messages within messages */
#define STRICT_FIELDS_MOST 64        /* of one message type */

/* 0, or -1 and UNDECODABLE, which names the field by its path ("permissions[3].database") and number. */
int strict_walk(const ProtobufCMessageDescriptor *type, struct span bytes, struct status *ret_refusal);

#endif
