/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and journals for tests: what one life writes, and what the next one is told. */
#ifndef TOKEND_FIXTURE_JOURNAL_H
#define TOKEND_FIXTURE_JOURNAL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/journal.h"

#define PARTITION 3

static struct cluster clusters[] = { { .name = "main", .digest = { 7 } } };
static const struct config config = { .clusters = clusters, .n_clusters = 1, .deadline_most_ms = 3600000,
    .max_remembered = 1000000 };
static struct assignment assignment;
static const struct journal_found nothing = { .request_low = 0, .request_high = 100, .journal_high = 0,
    .marker_offsets = 1 };

static __attribute__((unused)) struct journal *
open_empty(void)
{
	struct journal *j = journal_new(PARTITION, &config, 0);
	struct err e;
	int64_t start;

	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	assert_int_equal(start, 0);
	return j;
}

/* The request `id` at that offset; tag makes its fingerprint. */
static __attribute__((unused)) struct ticket *
request(const char *id, int64_t offset, unsigned char tag)
{
	struct ticket *t = ticket_new(&assignment);

	t->record = (struct record){ .partition = PARTITION, .offset = offset, .key = span_str(id) };
	t->request.request_id = id;
	t->request.principal = t->principal = "telemetry";
	t->request.deadline = clock_wall_ms() / 1000 + 600;
	t->verified = true;
	memset(t->fingerprint, tag, 32);
	memset(t->digest, tag + 100, 32);
	t->journal_key = journal_request_key(&t->arena, METHOD_CREATE_TOKEN, "telemetry", id);
	t->key_hash = journal_key_hash(t->journal_key);
	return t;
}

static __attribute__((unused)) void
begin(struct ticket *t)
{
	t->attempts.open = true;
	t->attempts.current = (struct attempt){ .number = ++t->attempts.begun, .cluster = "main",
	    .not_before_ms = 1000, .not_after_ms = 31000 };
	memset(t->attempts.current.uuid, (int)t->attempts.begun, ATTEMPT_UUID_BYTES);
	memcpy(t->attempts.current.cluster_digest, clusters[0].digest, sizeof clusters[0].digest);
}

static __attribute__((unused)) void
remember(struct journal *j, struct span key, struct span value, int64_t offset)
{
	journal_remember(j, key, value, offset);
}

static __attribute__((unused)) enum journal_seen
seen(const struct journal *j, const struct ticket *t)
{
	struct journal_look look;

	journal_look(j, t->key_hash, t->fingerprint, &look);
	return look.seen;
}

#endif
