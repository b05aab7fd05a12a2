/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster made ready to be called: its address, our credential there, its metrics. Read-only once made; any
 * thread. */
#ifndef TOKEND_WORKERS_UPSTREAM_H
#define TOKEND_WORKERS_UPSTREAM_H

#include "service/base/span.h"
#include "workers/job.h"

struct cluster;
struct err;
struct series;

struct upstream {
	const struct cluster *cluster;
	char *tokens_url;
	char *authorization;             /* the whole header line, in guarded memory */
	struct span management_token;    /* inside of it */
	struct series *requests[VERDICT_COUNT], *seconds;
};

/* Reads the management token. -1, naming the cluster and the file, when there is none that a header could carry. */
int upstream_init(struct upstream *u, const struct cluster *c, struct err *ret_err);
void upstream_close(struct upstream *u);

/* Count a call that came back. */
void upstream_count(const struct upstream *u, enum verdict v, uint64_t took_us);

#endif
