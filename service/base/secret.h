/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in memory: locked, guarded, wiped; and a process that does not leak them by dumping core.
 *
 * Call secret_process_harden first of all in main, before any library has allocated. */
#ifndef TOKEND_BASE_SECRET_H
#define TOKEND_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "service/base/span.h"

struct err;
struct secret;                          /* opaque: bytes in guarded memory */

/* Not dumpable, no core file, every free of OpenSSL's wiped; libsodium ready. Once, before threads.
 * *ret_locked_bytes: how much memory can be locked, tried out up to 1 MiB, RLIMIT_MEMLOCK's word for
 * more; so that the caller can say when it is too little. The hooks of libcurl and cJSON belong to the
 * rooms that own those libraries; they take secret_malloc and friends from here. */
int secret_process_harden(size_t *ret_locked_bytes, struct err *ret_err);

/* An allocator that wipes what it frees, for libraries that take one. Any thread. */
void *secret_malloc(size_t bytes);
void *secret_calloc(size_t count, size_t bytes);
void *secret_realloc(void *p, size_t bytes);
char *secret_strdup(const char *text);
void secret_free(void *p);

/* Guarded memory (sodium_malloc): costs 27 us, so allocate once and reuse. NULL when there is none. */
unsigned char *secret_guarded_new(size_t bytes);
void secret_guarded_free(unsigned char *p);       /* wipes */
void secret_wipe(void *p, size_t bytes);

/* Read a file of at most max_bytes into guarded memory (O_NOFOLLOW is not used: Kubernetes projects
 * secrets through symlinks; the file must be a regular one and not readable by others — a warning's
 * matter, see secret_file_is_private). Trailing newlines are dropped when text is true. Fails, naming
 * the path, when it is missing, empty or too large. */
struct secret *secret_read_file(const char *path, size_t max_bytes, bool text, struct err *ret_err);
bool secret_file_is_private(const char *path);
void secret_release(struct secret *s);            /* wipes */

/* The bytes; a NUL stands behind them. Valid until secret_release. */
struct span secret_bytes(const struct secret *s);

#endif
