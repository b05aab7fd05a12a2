/* SPDX-License-Identifier: Apache-2.0 */
/* One journal record, read and written: the only place that knows journal.proto. Pure; any thread. */
#ifndef TOKEND_JOURNAL_RECORD_H
#define TOKEND_JOURNAL_RECORD_H

#include "service/ticket.h"

struct err;

#define RECORD_FORMAT 1                 /* what is written, and the newest that is understood */

enum record_state { RECORD_INTENT = 1, RECORD_DONE = 2, RECORD_LOSS = 3 };     /* journal.proto's numbers */

struct record_read {
	unsigned char journal_id[16];
	uint64_t seq;
	enum record_state state;
	unsigned char fingerprint[32], digest[32];      /* zero where the record has none */
	int64_t offset, deadline;
	uint32_t attempts;
	enum fate previous;
	bool has_attempt;
	struct attempt attempt;
	size_t n_closed;
	struct attempt *closed;                         /* in the arena, as all strings */
	unsigned char delivered[8];                     /* DONE with a token: the random half of its attempt's uuid */
	int64_t last_not_after_ms;                      /* over all attempts; 0: none */
	int64_t revoked_at;                             /* DONE of a RevokeToken, Unix seconds; 0: none */
	const char *token_id;                           /* DONE: the delivered one; "" when none */
	/* LOSS */
	unsigned char replaced_id[16];                  /* zero: none was known */
	int64_t loss_moment;                            /* Unix seconds */
};

/* Refused: what does not parse, a newer lowest_reader, fields of the wrong size, a key that is not of our forms or
 * does not go with the state. */
int record_read(struct span key, struct span value, struct arena *a, struct record_read *ret, struct err *ret_err);

struct record_written {
	const unsigned char *journal_id;
	uint64_t seq;
	enum record_state state;
	const unsigned char *fingerprint, *digest;      /* NULL: none */
	int64_t offset, deadline;
	const struct attempts *attempts;                /* NULL: none */
	const struct attempt *attempt;
	/* DONE */
	struct span stored;                             /* the packed reply; empty: none */
	const char *token_id;
	const char *cluster;                            /* with token_id: where it lives */
	int64_t revoked_at;                             /* and when it was deleted; 0: it was not */
	const struct request *request;                  /* with token_id: permissions, for the inventory */
	bool token_expires;
	int64_t token_expires_at;
};

struct span record_write(const struct record_written *w, struct arena *a);

#endif
