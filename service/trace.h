/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context: the requester's trace goes on in our reply. Any thread. */
#ifndef TOKEND_TRACE_H
#define TOKEND_TRACE_H

#include <stdbool.h>

#include "service/base/span.h"

struct arena;

/* Fit to be continued? Whatever else is dropped, as the recommendation says: a trace is no reason to refuse
 * a request. */
bool trace_parent_valid(struct span traceparent);
bool trace_state_valid(struct span tracestate);

/* A traceparent of the same trace with a new, random span id; parent must be valid. */
struct span trace_continue(struct span parent, struct arena *a);

#endif
