/* SPDX-License-Identifier: Apache-2.0 */
/* Which journal a partition's is, and whether it is whole: R11's judgement. Pure; any one thread. */
#ifndef TOKEND_LINEAGE_H
#define TOKEND_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/err.h"
#include "service/journal.h"

struct record_read;

/* What the records said of their journal, in their order. All zero at first. */
struct lineage {
	bool has_id;
	unsigned char id[JOURNAL_ID_BYTES];
	uint64_t seq;                           /* the largest; journal.c gives out what follows */
	uint64_t last_seq;                      /* of the last record */
	bool doubted;                           /* something is wrong with it, and no #loss came since */
	struct err doubt;

	bool lost;                              /* there was a #loss; the rest is about the last one */
	bool lost_last;                         /* and nothing was written since */
	unsigned char replaced[JOURNAL_ID_BYTES];
	unsigned char loss_id[JOURNAL_ID_BYTES];        /* that it gave the journal */
	int64_t loss_offset;                    /* in the journal */
	int64_t loss_moment;                    /* Unix seconds */
};

/* The record at that journal offset was read; was it a #loss, then all before it is forgiven. */
void lineage_read(struct lineage *l, const struct record_read *r, int32_t partition, int64_t offset);
/* It could not be read, and why. */
void lineage_unreadable(struct lineage *l, const struct err *why, int32_t partition, int64_t offset);

/* May the partition be worked on, and from which offset of its request log? Fails ERR_REFUSE when not. On success
 * l has an id, if the committed metadata or a record had one, and a seq above which new records start. */
int lineage_judge(struct lineage *l, const struct journal_found *f, int64_t now_ms, int64_t *ret_start,
    struct err *ret_err);

/* What a #loss would take the place of. */
void lineage_past(const struct lineage *l, const struct journal_found *f, struct journal_past *ret);

/* What is committed beside an offset. */
void lineage_metadata(const struct lineage *l, uint64_t seq, int64_t now_ms, const char *transactional_id,
    char ret_text[OFFSET_METADATA_ROOM]);

#endif
