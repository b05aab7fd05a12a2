/* A Kafka record as the rooms see it: bytes that live as long as the ticket they came with. */
#ifndef TOKEND_RECORD_H
#define TOKEND_RECORD_H

#include <stdint.h>

#include "service/base/span.h"

struct header {
	struct span name;             /* never NULL; librdkafka's names are C strings, so no NUL inside */
	struct span value;            /* data NULL: a null value */
};

struct record {
	int32_t partition;            /* of the request topic */
	int64_t offset;
	int64_t timestamp_ms;         /* the broker's; Unix milliseconds */
	struct span key;              /* data NULL: a null key */
	struct span value;            /* data NULL: a tombstone */
	const struct header *headers;
	size_t n_headers;
};

#endif
