/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of bytes, one per offset between the lowest unanswered one and the newest taken.
 *
 * A plain counter will not do: requests finish out of order, and an offset that is committed too far loses a
 * request at the next restart. The state STAGED is between: its answer lies in a transaction whose fate is
 * not known yet, so that transaction may carry the offset past it, and nobody else may. */
#include "service/watermark.h"

#include <assert.h>
#include <stdlib.h>

enum mark { MARK_TAKEN, MARK_STAGED, MARK_ANSWERED };

struct watermark {
	int64_t lowest;                 /* unanswered, or next when all are answered */
	int64_t next;                   /* one above the newest taken */
	size_t room;                    /* a power of two */
	unsigned char *marks;           /* of offset o at o & (room - 1) */
};

static unsigned char *
mark_at(const struct watermark *w, int64_t offset)
{
	return &w->marks[(uint64_t)offset & (w->room - 1)];
}

struct watermark *
watermark_new(int64_t start)
{
	struct watermark *w = malloc(sizeof *w);

	if (w == NULL || (w->marks = malloc(256)) == NULL)
		abort();
	w->lowest = w->next = start;
	w->room = 256;
	return w;
}

void
watermark_free(struct watermark *w)
{
	if (w == NULL)
		return;
	free(w->marks);
	free(w);
}

bool
watermark_room(const struct watermark *w)
{
	return w->next - w->lowest < WATERMARK_SPAN_MOST;
}

static void
grow(struct watermark *w, size_t need)
{
	struct watermark narrow = *w;

	while (w->room < need)
		w->room *= 2;
	if ((w->marks = malloc(w->room)) == NULL)
		abort();
	for (int64_t o = w->lowest; o < w->next; o++)
		*mark_at(w, o) = *mark_at(&narrow, o);
	free(narrow.marks);
}

static void
advance(struct watermark *w)
{
	while (w->lowest < w->next && *mark_at(w, w->lowest) == MARK_ANSWERED)
		w->lowest++;
}

bool
watermark_take(struct watermark *w, int64_t offset)
{
	if (offset < w->next)
		return false;
	if (w->lowest == w->next)
		w->lowest = w->next = offset;      /* a gap with nothing open before it costs no ring */
	if ((size_t)(offset + 1 - w->lowest) > w->room)
		grow(w, (size_t)(offset + 1 - w->lowest));
	while (w->next < offset)
		*mark_at(w, w->next++) = MARK_ANSWERED;
	*mark_at(w, w->next++) = MARK_TAKEN;
	return true;
}

void
watermark_stage(struct watermark *w, int64_t offset)
{
	assert(offset >= w->lowest && offset < w->next && *mark_at(w, offset) == MARK_TAKEN);
	*mark_at(w, offset) = MARK_STAGED;
}

int64_t
watermark_staged(const struct watermark *w)
{
	int64_t o = w->lowest;

	while (o < w->next && *mark_at(w, o) != MARK_TAKEN)
		o++;
	return o;
}

void
watermark_settle(struct watermark *w, int64_t offset, bool committed)
{
	assert(offset >= w->lowest && offset < w->next && *mark_at(w, offset) == MARK_STAGED);
	*mark_at(w, offset) = committed ? MARK_ANSWERED : MARK_TAKEN;
	advance(w);
}

void
watermark_answered(struct watermark *w, int64_t offset)
{
	assert(offset >= w->lowest && offset < w->next && *mark_at(w, offset) == MARK_TAKEN);
	*mark_at(w, offset) = MARK_ANSWERED;
	advance(w);
}

int64_t
watermark_lowest(const struct watermark *w)
{
	return w->lowest;
}
