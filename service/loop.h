/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: waits for Kafka, workers, commits and signals, and lets the pipeline take its turn. */
#ifndef TOKEND_LOOP_H
#define TOKEND_LOOP_H

#include <signal.h>

struct err;
struct pipeline;

/* The signals that the loop takes; block them before any thread starts. */
void loop_signals(sigset_t *ret);

/* Run until drained (0) or broken (-1 and why). */
int loop_run(struct pipeline *p, struct err *ret_err);

#endif
