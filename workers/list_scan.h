/* SPDX-License-Identifier: Apache-2.0 */
/* A list of tokens, read while it streams: it may be 100 MB long, and of it only what was looked for is kept.
 * A scan belongs to one thread. */
#ifndef TOKEND_WORKERS_LIST_SCAN_H
#define TOKEND_WORKERS_LIST_SCAN_H

#include <stddef.h>
#include <stdint.h>

#define LIST_SCAN_ELEMENT_MOST (256 * 1024)     /* bytes of one token in the list */
#define LIST_SCAN_KEPT_MOST 250000              /* tokens that match; more: the list is not read to its end */

struct cluster;
struct job_listed;
struct list_scan;                               /* opaque */

/* For a list of that cluster's tokens (Dedicated: each must say so). looked_for is a text to be found in
 * descriptions, not empty; NULL: nothing is kept. Both outlive the scan. What was created before created_from (Unix
 * seconds) is not kept; what does not say when, is. NULL: no memory. */
struct list_scan *list_scan_new(const struct cluster *c, const char *looked_for, int64_t created_from);
void list_scan_free(struct list_scan *s);

/* The next bytes of the answer, in pieces of any size. -1: it is no list that could be believed, and
 * list_scan_why says why; whatever follows changes nothing. */
int list_scan_feed(struct list_scan *s, const void *data, size_t bytes);
/* There are no more. -1: the list is not whole. */
int list_scan_end(struct list_scan *s);

/* After a -1: one sentence, printable, without anything that the list holds but UUIDs. */
const char *list_scan_why(const struct list_scan *s);

/* How many tokens there were so far, revoked ones too. */
size_t list_scan_tokens(const struct list_scan *s);
/* After list_scan_end: what was kept, ordered by marker, one allocation (markers and all) that free() takes and
 * the caller owns; NULL and 0 when nothing was. Once. -1: no memory. */
int list_scan_take(struct list_scan *s, struct job_listed **ret_listed, size_t *ret_n);

#endif
