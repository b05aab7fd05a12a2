/* SPDX-License-Identifier: Apache-2.0 */
/* Files that must be whole and on disk, or not there at all. */
#ifndef TOKEND_CTL_FILES_H
#define TOKEND_CTL_FILES_H

#include "service/base/span.h"

struct arena;
struct err;

/* Make the directory (0700) and what is missing above it. One that exists is left as it is. */
int files_make_directory(const char *path, struct err *ret_err);

/* Write a new file (0600) in an existing directory: after 0, file and directory entry are on disk;
 * after -1 there is no file of that name that was not there before. Never overwrites: an existing
 * file is an error that names it. */
int files_write_new(const char *path, struct span bytes, struct err *ret_err);

/* Could it be written? Before what it will hold is paid for. */
int files_check_new(const char *path, struct err *ret_err);

/* All of a file, or of standard input ("-"), a pipe too; a NUL stands behind it. Fails (ERR_REFUSE), naming
 * it, when it cannot be read, is empty or has more than max_bytes. Not for secrets. */
int files_read(const char *path, size_t max_bytes, struct arena *a, struct span *ret_bytes, struct err *ret_err);

/* The path as sentences name it: "-" is "standard input". */
const char *files_name(const char *path);

#endif
