/* SPDX-License-Identifier: Apache-2.0 */
/* A ticket's life and its states.
 *
 * The table below is the whole of what may follow what; a move that is not in it is a bug in the pipeline, and is
 * better met here than as a request with two answers. */
#include "service/ticket.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	unsigned to;                    /* a bit per state that may follow */
} states[TICKET_STATES] = {
#define TO(state) (1u << TICKET_##state)
	[TICKET_READ] = { TO(FETCHING) | TO(WAITING) | TO(QUEUED) | TO(ANSWERING) },
	[TICKET_FETCHING] = { TO(QUEUED) | TO(ANSWERING) },
	[TICKET_WAITING] = { TO(WAITING) | TO(FETCHING) | TO(QUEUED) | TO(ANSWERING) },
	[TICKET_BACKOFF] = { TO(QUEUED) | TO(ANSWERING) },
	[TICKET_QUEUED] = { TO(INTENT) | TO(CALLING) | TO(ANSWERING) },
	[TICKET_INTENT] = { TO(CALLING) | TO(BACKOFF) | TO(ANSWERING) },
	[TICKET_CALLING] = { TO(BACKOFF) | TO(LOOKING) | TO(ANSWERING) },
	[TICKET_LOOKING] = { TO(BACKOFF) | TO(ANSWERING) },
	[TICKET_ANSWERING] = { 0 },
#undef TO
};

struct ticket *
ticket_new(struct assignment *a)
{
	struct ticket *t = calloc(1, sizeof *t);

	if (t == NULL)
		abort();
	t->assignment = a;
	t->timer = -1;
	t->principal = "";
	arena_init(&t->arena);
	t->next = a->tickets;
	if (a->tickets != NULL)
		a->tickets->prev = t;
	a->tickets = t;
	a->n_tickets++;
	return t;
}

void
ticket_free(struct ticket *t)
{
	if (t == NULL)
		return;
	assert(t->timer < 0 && t->waiters == NULL && t->policy == NULL && t->job.leased == NULL);
	if (t->next != NULL)
		t->next->prev = t->prev;
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		t->assignment->tickets = t->next;
	t->assignment->n_tickets--;
	arena_free(&t->arena);
	free(t);
}

void
ticket_move(struct ticket *t, enum ticket_state to)
{
	assert(states[t->state].to & 1u << to);
	t->state = to;
}

void
attempts_close(struct attempts *a, const struct attempt *what, enum fate fate, struct arena *arena)
{
	if (a->closed == NULL)
		a->closed = arena_alloc(arena, ATTEMPTS_CLOSED_MOST * sizeof *a->closed);
	assert(a->n_closed < ATTEMPTS_CLOSED_MOST);
	a->closed[a->n_closed] = *what;
	a->closed[a->n_closed].fate = fate;
	a->n_closed++;
}

void
attempts_settle(struct attempts *a, enum fate fate, struct arena *arena)
{
	assert(a->open);
	a->open = false;
	a->previous = fate;
	a->current.closure = CLOSURE_ENDED;
	if (fate != FATE_NOT_SENT)
		attempts_close(a, &a->current, fate, arena);
}

void
attempts_committed(struct attempts *a)
{
	for (unsigned i = 0; i < a->n_closed; i++)
		a->closed[i].closure = CLOSURE_COMMITTED;
}

const struct attempt *
attempts_find(const struct attempts *a, const unsigned char uuid[ATTEMPT_UUID_BYTES])
{
	for (unsigned i = 0; i < a->n_closed; i++)
		if (memcmp(a->closed[i].uuid, uuid, ATTEMPT_UUID_BYTES) == 0)
			return &a->closed[i];
	return NULL;
}

unsigned
attempts_unknown(const struct attempts *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->n_closed; i++)
		n += a->closed[i].fate == FATE_UNKNOWN;
	return n;
}
