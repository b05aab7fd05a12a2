/* SPDX-License-Identifier: Apache-2.0 */
/* Should a record ever crash the process, its last words name that record, so that an operator can have it
 * skipped. */
#ifndef TOKEND_CRASH_H
#define TOKEND_CRASH_H

#include <stdint.h>

/* Watch for SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT. topic lives as long as the process. Once, on the
 * loop thread. */
void crash_watch(const char *topic);

/* From here to crash_decoded this record is being decoded. Loop thread only; two stores. */
void crash_decoding(int32_t partition, int64_t offset);
void crash_decoded(void);

#endif
