/* SPDX-License-Identifier: Apache-2.0 */
/* The ready file: whoever sees it can connect. */
#ifndef SANDBOX_READY_H
#define SANDBOX_READY_H

struct err;
struct ready;

/* Forget what a run that was killed left at path, and that nothing is ready yet. path NULL: no file is wanted. */
int ready_new(const char *path, struct ready **ret_ready, struct err *ret_err);
/* All at once. */
int ready_write(struct ready *r, const char *text, struct err *ret_err);
/* Remove the file, unless it is another's by now. */
void ready_free(struct ready *r);

#endif
