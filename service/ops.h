/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics, /livez, /readyz on the ops port (libmicrohttpd's own thread). */
#ifndef TOKEND_OPS_H
#define TOKEND_OPS_H

#include <stdatomic.h>
#include <stdint.h>

struct err;
struct ops;

/* Written by the loop, read by the ops thread. */
struct health {
	_Atomic uint64_t heartbeat_boot_ms;     /* the loop's last turn */
	_Atomic int joined;                     /* the consumer group has us (zero partitions is fine) */
	_Atomic int draining;
	_Atomic int journal_closed;             /* partitions closed by R11 */
};

/* Listen; 200 or 503 with one line that says why. port is not 0. Fails with address and port in the sentence. */
struct ops *ops_start(const char *address, uint16_t port, const struct health *h, struct err *ret_err);
void ops_stop(struct ops *o);

#endif
