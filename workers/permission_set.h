/* SPDX-License-Identifier: Apache-2.0 */
/* Are two lists of permissions the same set? Order and repetition do not count. Pure; any thread. */
#ifndef TOKEND_WORKERS_PERMISSION_SET_H
#define TOKEND_WORKERS_PERMISSION_SET_H

#include <stdbool.h>
#include <stddef.h>

struct permission_set;                 /* opaque */

/* For at most `most` permissions; NULL: no memory. */
struct permission_set *permission_set_new(size_t most);
void permission_set_free(struct permission_set *s);

/* The strings are not copied: they outlive the set. */
void permission_set_add(struct permission_set *s, const char *action, const char *resource);

/* Sorts both. */
bool permission_set_equal(struct permission_set *a, struct permission_set *b);

#endif
