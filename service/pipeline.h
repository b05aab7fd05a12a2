/* SPDX-License-Identifier: Apache-2.0 */
/* The floor plan: every room in walking order. Only the pipeline knows them all. Loop thread only. */
#ifndef TOKEND_PIPELINE_H
#define TOKEND_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct err;
struct health;
struct mailbox;
struct pipeline;
struct policy;

struct pipeline_options {
	const struct config *config;            /* all four outlive the pipeline */
	struct policy *policy;                  /* counted: the pipeline takes a hold of its own */
	const unsigned char *signing_secret;    /* 64 bytes, guarded */
	struct health *health;
};

/* Start the workers, the publisher, the restorer; join the group. */
struct pipeline *pipeline_new(const struct pipeline_options *o, struct err *ret_err);
void pipeline_free(struct pipeline *p);

/* What the loop waits for. */
#define PIPELINE_FDS 4
void pipeline_fds(const struct pipeline *p, int ret_fds[PIPELINE_FDS]);

/* Do all that can be done now without waiting; *ret_wake_boot_ms is when to come again even if no fd says so.
 * False: it is over; then either *ret_err says why the process must exit non-zero, or ret_err->text is empty
 * and it was drained. */
bool pipeline_turn(struct pipeline *p, uint64_t *ret_wake_boot_ms, struct err *ret_err);

/* End in good order: no new records, finish or close what is in flight, within drain_timeout. */
void pipeline_drain(struct pipeline *p);

#endif
