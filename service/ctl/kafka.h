/* SPDX-License-Identifier: Apache-2.0 */
/* Send one record and read its replies: the way of a job, which lives for one request. */
#ifndef TOKEND_CTL_KAFKA_H
#define TOKEND_CTL_KAFKA_H

#include <stdbool.h>
#include <stdint.h>

#include "service/record.h"

struct err;
struct profile;
struct signed_request;

/* Called for each record of the reply partition, in order; true: settled, stop. */
typedef bool kafka_judge(void *context, const struct record *record);
/* Called when all that stands in it has been read, if reading did not begin at its end; true: settled, stop. */
typedef bool kafka_at_end(void *context);
/* Called a few times a second while waiting. */
typedef void kafka_progress(void *context);

struct kafka_exchange {
	const struct profile *profile;
	const struct signed_request *request;
	bool send, wait;                /* at least one of them */
	int64_t since_wall_ms;          /* read what has come since then; 0: what comes from now on */
	uint64_t until_boot_ms;         /* when to give up, by clock_boot_ms */
	bool debug;                     /* print librdkafka's log */
	kafka_judge *judge;
	kafka_at_end *at_end;
	kafka_progress *progress;
	void *context;                  /* of all three */
};

/* Of all but KAFKA_SETTLED *ret_err says why. */
enum kafka_result {
	KAFKA_SETTLED,                  /* judge said so; without waiting: a broker has it */
	KAFKA_NOT_SENT,                 /* ERR_REFUSE where it lies in the profile, ERR_RETRY where it may pass */
	KAFKA_NO_REPLY                  /* sent, or perhaps sent, and nothing settled it in time */
};

/* The whole of it. Once the record is sent, or reading has begun, SIGINT and SIGTERM end the waiting, as the
 * timeout does. One at a time in a process. */
enum kafka_result kafka_exchange(const struct kafka_exchange *x, struct err *ret_err);

#endif
