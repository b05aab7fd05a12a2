/* SPDX-License-Identifier: Apache-2.0 */
/* A journal that went backwards must not be worked on (R11): what it forgot may have been answered, and would be
 * answered anew.
 *
 * A journal has an id, and its records are numbered. The id and the number of the last record are committed beside
 * the offset, in the same transaction: two witnesses, in two topics, of which one may be cut, restored from a copy
 * or made anew without the other. Here they are held against each other, once all records are read.
 *
 * The cure is an operator's word, a #loss record. It stands in the journal itself, so that every later life knows
 * of it: what lies before it is taken for what it is worth and held to nothing; the metadata that is still
 * committed names the id that it replaces, or, if it names nothing that can be read, is forgiven until something
 * is written behind the #loss.
 *
 * What is not here: what is done with the requests that a #loss leaves in doubt (journal_restore.c), and what
 * happens to a partition that is refused (pipeline_hold.c). */
#include "service/lineage.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "service/base/chaos.h"
#include "service/base/durations.h"
#include "service/base/text.h"
#include "service/journal_record.h"

/* ---- what records say -------------------------------------------------------------------------------------------- */

/* The first thing that is wrong is what is told. */
static void
doubt(struct lineage *l, const struct err *why)
{
	if (!l->doubted)
		l->doubt = *why;
	l->doubted = true;
}

static void
accept_loss(struct lineage *l, const struct record_read *r, int64_t offset)
{
	l->doubted = false;
	l->lost = true;
	l->loss_offset = offset;
	l->loss_moment = r->loss_moment;
	memcpy(l->replaced, r->replaced_id, sizeof l->replaced);
	memcpy(l->loss_id, r->journal_id, sizeof l->loss_id);
}

void
lineage_read(struct lineage *l, const struct record_read *r, int32_t partition, int64_t offset)
{
	struct err e;

	if (r->state == RECORD_LOSS)
		accept_loss(l, r, offset);
	else if (l->has_id && memcmp(l->id, r->journal_id, sizeof l->id) != 0) {
		err_set(&e, ERR_REFUSE, "journal record %" PRId32 "@%" PRId64
		    " belongs to another journal than those before it", partition, offset);
		doubt(l, &e);
	}
	l->has_id = true;
	memcpy(l->id, r->journal_id, sizeof l->id);
	l->lost_last = r->state == RECORD_LOSS;
	l->last_seq = r->seq;
	if (r->seq > l->seq)
		l->seq = r->seq;
}

void
lineage_unreadable(struct lineage *l, const struct err *why, int32_t partition, int64_t offset)
{
	struct err e = *why;

	err_prefix(&e, "journal record %" PRId32 "@%" PRId64, partition, offset);
	e.next = ERR_REFUSE;
	doubt(l, &e);
	l->lost_last = false;
}

/* ---- the committed offset's metadata ----------------------------------------------------------------------------- */

struct committed {
	unsigned char id[JOURNAL_ID_BYTES];
	uint64_t seq;                           /* of the last journal record of its transaction */
	int64_t time_ms;
};

static int
parse(const char *text, struct committed *ret)
{
	char id[2 * JOURNAL_ID_BYTES + 1];
	int end = 0;

	if (text == NULL || sscanf(text, "tokend/1 %32[0-9a-f] %" SCNu64 " %" SCNd64 " %n", id, &ret->seq,
	    &ret->time_ms, &end) != 3 || strlen(id) != 2 * JOURNAL_ID_BYTES || end == 0)
		return -1;
	for (size_t i = 0; i < JOURNAL_ID_BYTES; i++) {
		unsigned byte;

		if (sscanf(id + 2 * i, "%2x", &byte) != 1)
			return -1;
		ret->id[i] = (unsigned char)byte;
	}
	return 0;
}

void
lineage_metadata(const struct lineage *l, uint64_t seq, int64_t now_ms, const char *transactional_id,
    char ret_text[OFFSET_METADATA_ROOM])
{
	char id[2 * JOURNAL_ID_BYTES + 1];
	int n = snprintf(ret_text, OFFSET_METADATA_ROOM, "tokend/1 %s %" PRIu64 " %" PRId64 " %s",
	    text_hex(span_of(l->id, JOURNAL_ID_BYTES), id), seq, now_ms, transactional_id);

	assert(n > 0 && n < OFFSET_METADATA_ROOM);      /* config.c bounds the transactional id */
	(void)n;
}

/* ---- the judgement ----------------------------------------------------------------------------------------------- */

/* The two witnesses, neither of them forgiven. */
static int
compare(struct lineage *l, const struct journal_found *f, const struct committed *c, int64_t now_ms,
    struct err *ret_err)
{
	int64_t forgotten_ms = (int64_t)(duration_ms(DURATION_WINDOW) - 2 * duration_ms(DURATION_SKEW));

	if (!l->has_id) {
		if (now_ms < c->time_ms + forgotten_ms)
			return err_set(ret_err, ERR_REFUSE,
			    "the journal is empty, but offset %" PRId64 " was committed with its record %" PRIu64,
			    f->offset, c->seq);
		l->has_id = true;               /* idle past the window: the floor covers what is gone */
		memcpy(l->id, c->id, sizeof l->id);
		return 0;
	}
	if (memcmp(l->id, c->id, sizeof l->id) != 0)
		return err_set(ret_err, ERR_REFUSE, "the journal is another one than offset %" PRId64
		    " was committed with", f->offset);
	if (l->last_seq < c->seq)
		return err_set(ret_err, ERR_REFUSE, "the journal ends with record %" PRIu64 ", but %" PRIu64
		    " was committed", l->last_seq, c->seq);
	return 0;
}

static int
judge_committed(struct lineage *l, const struct journal_found *f, int64_t now_ms, int64_t *ret_start,
    struct err *ret_err)
{
	struct committed c;
	bool outside = f->offset < f->request_low || f->offset > f->request_high;
	bool readable = parse(f->metadata, &c) == 0;
	bool forgiven = readable ? l->lost && memcmp(l->replaced, c.id, sizeof c.id) == 0 : l->lost_last;

	if (!forgiven && !RULE_OFF("R11")) {
		if (!readable)
			return err_set(ret_err, ERR_REFUSE, "committed offset %" PRId64 " carries no metadata of ours",
			    f->offset);
		if (outside)
			return err_set(ret_err, ERR_REFUSE, "committed offset %" PRId64
			    " lies outside the request log (%" PRId64 " to %" PRId64 ")", f->offset,
			    f->request_low, f->request_high);
		if (compare(l, f, &c, now_ms, ret_err) != 0)
			return -1;
	}
	if (readable && l->seq < c.seq)
		l->seq = c.seq;
	*ret_start = outside ? f->request_low : f->offset;
	return 0;
}

void
lineage_past(const struct lineage *l, const struct journal_found *f, struct journal_past *ret)
{
	struct committed c;

	*ret = (struct journal_past){ .seq = l->seq };
	memcpy(ret->id, l->id, sizeof ret->id);
	if (!f->has_offset || parse(f->metadata, &c) != 0)
		return;
	memcpy(ret->id, c.id, sizeof ret->id);
	if (ret->seq < c.seq)
		ret->seq = c.seq;
}

int
lineage_judge(struct lineage *l, const struct journal_found *f, int64_t now_ms, int64_t *ret_start,
    struct err *ret_err)
{
	if (l->doubted) {
		*ret_err = l->doubt;
		return -1;
	}
	if (f->has_offset)
		return judge_committed(l, f, now_ms, ret_start, ret_err);
	*ret_start = f->request_low;    /* the broker has forgotten it: what is answered is skipped */
	return 0;
}
