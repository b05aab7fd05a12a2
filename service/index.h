/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of one partition, by the hash of their key: what is kept of each in memory, at most 96 bytes of
 * it, the table's slack included. No threads: whoever holds the index. */
#ifndef TOKEND_INDEX_H
#define TOKEND_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct begun;
struct index;                           /* opaque */
struct ticket;

enum index_state {
	INDEX_FREE,                     /* nobody's */
	INDEX_BEGUN,                    /* an INTENT of an earlier life is open */
	INDEX_IN_FLIGHT,                /* a ticket works on it */
	INDEX_DONE                      /* decided */
};

#define INDEX_NO_CLUSTER UINT16_MAX     /* no attempt, or one at a cluster that the configuration does not hold */

/* Stays where it is until it is dropped. */
struct index_entry {
	uint64_t key_hash;
	unsigned char fingerprint[32];
	union {
		int64_t offset;                 /* DONE: of its journal record */
		struct ticket *holder;          /* IN_FLIGHT */
		struct begun *begun;            /* BEGUN */
	} at;
	unsigned char delivered[8];             /* the random half of the delivered attempt's uuid; zero: none */
	uint32_t deadline;                      /* Unix seconds, as the next */
	uint32_t last_not_after;                /* over all attempts; 0: none. Kind 'R': the moment of revocation */
	uint32_t token;                         /* of the delivered token's id, 32 bits of its hash; 0: none */
	uint16_t cluster;                       /* of its attempts, by its place in the configuration */
	uint8_t kind;                           /* 'C' or 'R' */
	uint8_t state;
};

struct index *index_new(void);
/* What entries point at is not touched. */
void index_free(struct index *x);

/* NULL: none. */
struct index_entry *index_find(const struct index *x, uint64_t key_hash);
/* The one of that hash, made (all zero, state FREE, no cluster) when there is none: give it a state at once. */
struct index_entry *index_insert(struct index *x, uint64_t key_hash);
void index_drop(struct index *x, struct index_entry *e);

size_t index_used(const struct index *x);
/* Every entry once, in no order: *at begins at 0; NULL at the end. Dropping what it gave is fine. */
struct index_entry *index_each(const struct index *x, size_t *at);

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

/* Decided requests alone, and only past what safety needs: deadline + skew, and SWEEP_FOR after last_not_after. */

/* Drop those whose deadline + skew lies at or below the floor: nobody may believe their absence anyway. */
size_t index_age(struct index *x, int64_t now, int64_t floor);
/* Drop `most` of them, or as many as there are, in the order of their deadlines; raises *floor to what is not to be
 * believed any more. Gives how many. */
size_t index_shed(struct index *x, size_t most, int64_t now, int64_t *floor);

/* A token's id as an entry keeps it; "": 0. */
uint32_t index_token(const char *token_id);
/* Unix seconds as an entry keeps them: those outside what fits are moved to its edge. */
uint32_t index_seconds(int64_t unix_seconds);

#endif
