/* SPDX-License-Identifier: Apache-2.0 */
/* Out-of-order completions -> the offset that may be committed (I7: never past an unanswered record).
 * One per assignment; pure but for its own memory. */
#ifndef TOKEND_WATERMARK_H
#define TOKEND_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

#define WATERMARK_SPAN_MOST 100000      /* between the watermark and the newest offset taken */

struct watermark;

/* Everything below start is answered. */
struct watermark *watermark_new(int64_t start);
void watermark_free(struct watermark *w);

/* May another record be taken, or is the span at its bound? */
bool watermark_room(const struct watermark *w);
/* A record was read. Offsets between it and the one before it (markers, compaction) hold no records: nothing
 * waits for them. False when the offset was taken before, or lies below the start: not to be worked on. */
bool watermark_take(struct watermark *w, int64_t offset);

/* Its answer is in the transaction that is being made. */
void watermark_stage(struct watermark *w, int64_t offset);
/* The offset to commit with that transaction. */
int64_t watermark_staged(const struct watermark *w);
/* The transaction's end: answered for good, or staged no more. */
void watermark_settle(struct watermark *w, int64_t offset, bool committed);
/* Known to be answered already (a restored journal says so). */
void watermark_answered(struct watermark *w, int64_t offset);

/* The lowest unanswered offset. */
int64_t watermark_lowest(const struct watermark *w);

#endif
