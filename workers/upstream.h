/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster made ready to be called: its address, our credential there, its metrics. Any thread. */
#ifndef TOKEND_WORKERS_UPSTREAM_H
#define TOKEND_WORKERS_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/job.h"

struct cluster;
struct credential;
struct err;
struct upstream;                        /* opaque */

/* Reads the management token. NULL, naming the cluster and the file, when there is none that a header could carry.
 * The cluster outlives it. */
struct upstream *upstream_new(const struct cluster *c, struct err *ret_err);
/* Calls that still hold a credential keep it. */
void upstream_free(struct upstream *u);

const struct cluster *upstream_cluster(const struct upstream *u);
const char *upstream_tokens_url(const struct upstream *u);

/* The management token for a call that begins now (boot clock), held: credential_release follows. One that was
 * refused is read anew first, as below. */
struct credential *upstream_credential(struct upstream *u, uint64_t now_ms);

/* The API refused (401, 403) a call that carried this one: read the file again, unless another token is in use by
 * now or the file was read within the last second. True: another one is in use now, so the refusal says nothing of
 * the next call. Blocks for the file: never on the loop. */
bool upstream_refused(struct upstream *u, const struct credential *refused, uint64_t now_ms);

/* Read the management token's file again. When it holds another one, calls that begin from now on carry that. When it
 * holds none, the last good one stays in use, and that is said once, in one warning. Blocks for the file. */
void upstream_reload(struct upstream *u);

/* Count a call that came back. */
void upstream_count(const struct upstream *u, enum job_verb verb, enum verdict v, uint64_t took_us);

#endif
