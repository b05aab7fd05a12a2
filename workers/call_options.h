/* SPDX-License-Identifier: Apache-2.0 */
/* What every call is held to, whatever it asks for. Any thread. */
#ifndef TOKEND_WORKERS_CALL_OPTIONS_H
#define TOKEND_WORKERS_CALL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct job;

/* How long the job's call may take when it begins now (boot clock): what is left until its not_after, and no call but a
 * list longer than the longest that a call may take. Pure. */
uint64_t call_options_time_left_ms(const struct job *job, uint64_t now_ms);

/* Set them on an easy handle of libcurl's (CURL *) that is new or was reset. False: libcurl does not take one. */
bool call_options_set(void *easy, const struct cluster *cluster, uint64_t timeout_ms);

#endif
