/* SPDX-License-Identifier: Apache-2.0 */
/* What every call is held to, whatever it asks for. Any thread. */
#ifndef TOKEND_WORKERS_CALL_OPTIONS_H
#define TOKEND_WORKERS_CALL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct cluster;

/* Set them on an easy handle of libcurl's (CURL *) that is new or was reset. False: libcurl does not take one. */
bool call_options_set(void *easy, const struct cluster *cluster, uint64_t timeout_ms);

#endif
