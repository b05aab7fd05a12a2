/* SPDX-License-Identifier: Apache-2.0 */
/* When does which ticket want to be looked at again? One timer a ticket. Loop thread only. */
#ifndef TOKEND_TIMERS_H
#define TOKEND_TIMERS_H

#include <stdint.h>

struct ticket;
struct timers;

struct timers *timers_new(void);
void timers_free(struct timers *h);

/* (Re)set t's timer; boot clock. */
void timers_set(struct timers *h, struct ticket *t, uint64_t due_boot_ms);
void timers_clear(struct timers *h, struct ticket *t);

/* The earliest due time; UINT64_MAX without timers. */
uint64_t timers_next(const struct timers *h);
/* Take one that is due, its timer cleared; NULL when none is. */
struct ticket *timers_take(struct timers *h, uint64_t now_boot_ms);

#endif
