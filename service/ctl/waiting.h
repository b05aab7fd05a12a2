/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a waiting: how it goes on, and what was passed over meanwhile. */
#ifndef TOKEND_CTL_WAITING_H
#define TOKEND_CTL_WAITING_H

#include <stdbool.h>
#include <stdint.h>

struct invocation;
struct record;

struct waiting {
	const struct invocation *v;
	const char *request_id;
	uint64_t since_boot_ms;
	unsigned ignored;               /* records under our ID that did not verify, */
	const char *ignored_why;        /* and what was wrong with the last */
};

struct waiting waiting_begin(const struct invocation *v, const char *request_id);

/* By when it is over: --timeout after its beginning, by clock_boot_ms. */
uint64_t waiting_until_boot_ms(const struct waiting *w);

/* A record under our ID did not verify: count it. why: a constant. */
void waiting_pass_over(struct waiting *w, const struct record *record, const char *why);

/* One line on a terminal, drawn over and over; and away with it. */
void waiting_show(const struct waiting *w);
void waiting_clear(void);

/* What was passed over, where that may be why nothing came; with --debug also where something did. */
void waiting_tell_ignored(const struct waiting *w, bool settled);

#endif
