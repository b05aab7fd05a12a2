/* SPDX-License-Identifier: Apache-2.0 */
/* Confluent Schema Registry's frame around a protobuf message. Pure; any thread. */
#ifndef TOKEND_FRAME_H
#define TOKEND_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

struct arena;

struct frame {
	bool present;                /* false: the value is the message itself */
	struct span body;            /* the message, inside value */
	long message_index;          /* which top-level message of the schema's file; -1: a nested one */
};

/* 0, or -1 when the value begins like a frame and is none. */
int frame_open(struct span value, struct frame *ret_frame);

#define FRAME_BYTES_MOST 16

/* body in a frame, in the arena. message_index counts the file's top-level messages. */
struct span frame_close(uint32_t schema_id, unsigned message_index, struct span body, struct arena *a);

#endif
