/* SPDX-License-Identifier: Apache-2.0 */
/* What a result means: the one table that turns what happened into a verdict. Pure; any thread. */
#ifndef TOKEND_WORKERS_VERDICT_H
#define TOKEND_WORKERS_VERDICT_H

#include <stdbool.h>

#include "workers/job.h"

/* One exchange, as far as its verdict depends on it. */
struct exchange {
	enum job_verb verb;
	bool left;             /* the request may have left this process */
	bool whole;            /* an answer came and, by HTTP's own account, all of it */
	int http_status;       /* counts only when whole */
	bool as_asked;         /* CREATE, 200 or 201: the answer holds a token that is what was asked for; LIST, 200: it
	                        * is a list that can be believed */
};

enum verdict verdict_of(const struct exchange *e);

#endif
