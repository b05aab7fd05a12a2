/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that lives and dies together: one request's bytes, strings and decoded messages.
 * Not thread safe; one owner.  Allocation never fails for sizes below the limit: out of memory aborts the
 * process, for a service that cannot allocate a few kilobytes has nothing better to do than to start anew. */
#ifndef TOKEND_BASE_ARENA_H
#define TOKEND_BASE_ARENA_H

#include <stddef.h>

#include "service/base/span.h"

struct arena {
	struct arena_block *blocks;   /* newest first */
	size_t used_bytes;            /* handed out, over all blocks */
};

/* An empty arena: { 0 } will do, too. */
void arena_init(struct arena *a);

/* bytes, aligned for any type, zeroed. */
void *arena_alloc(struct arena *a, size_t bytes);

/* A copy, with a NUL behind it that the span does not count. */
struct span arena_copy(struct arena *a, struct span bytes);
char *arena_text(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Give everything back.  The arena is empty afterwards and may be used again. */
void arena_free(struct arena *a);

#endif
