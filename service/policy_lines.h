/* SPDX-License-Identifier: Apache-2.0 */
/* Where in the file everything stands: for policy_file.c. Any thread. */
#ifndef TOKEND_POLICY_LINES_H
#define TOKEND_POLICY_LINES_H

#include "service/base/span.h"

struct policy_file;

/* Fill the line of each principal, key and grant of f, which was read from this text. */
void policy_lines_fill(struct policy_file *f, struct span text);

#endif
