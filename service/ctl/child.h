/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is given a token. */
#ifndef TOKEND_CTL_CHILD_H
#define TOKEND_CTL_CHILD_H

struct err;

/* Is there such a program, by its path or in $PATH? */
int child_check(const char *program, struct err *ret_err);

/* Run it (argv ends with NULL) with token on its standard input, and nothing behind, and wait for its end. 0 when
 * it ended with 0; else a sentence that says how it ended. */
int child_run(char *const *argv, const char *token, struct err *ret_err);

#endif
