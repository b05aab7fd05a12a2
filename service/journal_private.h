/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal's own files share: journal.c (what is known, and how much of it), journal_restore.c (what an
 * earlier life left), journal_hold.c (requests in work, and what is written of them). */
#ifndef TOKEND_JOURNAL_PRIVATE_H
#define TOKEND_JOURNAL_PRIVATE_H

#include "service/index.h"
#include "service/journal.h"
#include "service/journal_record.h"
#include "service/lineage.h"

struct config;

/* An INTENT of an earlier life. */
struct begun {
	struct begun *next;
	int64_t record_offset;
	unsigned char digest[32];
	uint64_t key_hash;
	struct arena arena;
	struct record_read read;                /* strings live in the arena */
	struct span key;
};

/* An offset answered by an earlier life, at or above the start. */
struct answered {
	int64_t offset, journal_offset;
	unsigned char digest[32];
};

struct journal {
	const struct config *config;
	int32_t partition;
	int64_t keep_from;                      /* answers below it are not asked for */
	struct lineage lineage;
	int64_t least;                          /* the next record is delivered at or above this */
	int marker_offsets;

	struct index *index;
	size_t crowded;                         /* with so many entries, some must go */
	int64_t crowded_at;                     /* Unix seconds: in vain before */
	int64_t aged_at;
	int64_t floor;                          /* of what went */
	struct begun *begun;
	struct journal_cluster *clusters;       /* where attempts were made */
	size_t n_clusters;

	struct answered *answered;              /* sorted once opened */
	size_t n_answered, answered_room, answered_from;
};

/* ---- journal.c --------------------------------------------------------------------------------------------------- */

/* Let a share of the entries go, the oldest first, and what is too much (a smaller bound than that of the life
 * before). False: not so many may go, and asking again soon is in vain. */
bool journal_make_room(struct journal *j, int64_t now);
void journal_begun_free(struct begun *b);
/* Take b off the list; the caller owns it then. */
void journal_begun_unlink(struct journal *j, struct begun *b);
/* An attempt was made: what is kept of it, by its cluster, is when it was over. Gives the cluster's place in the
 * configuration. */
uint16_t journal_note_attempt(struct journal *j, const struct attempt *t, bool unknown);

#endif
