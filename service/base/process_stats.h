/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of this process. Any thread. */
#ifndef TOKEND_BASE_PROCESS_STATS_H
#define TOKEND_BASE_PROCESS_STATS_H

#include <stdint.h>

struct process_stats {
	uint64_t resident_bytes, virtual_bytes;
	uint64_t open_fds, max_fds;
	double cpu_seconds;             /* user and system */
	double start_seconds;           /* Unix time */
};

/* What cannot be read is 0. */
void process_stats_read(struct process_stats *ret);

#endif
