/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: when a token has been sealed, the stack that was used for it is zero; and as much is zeroed as was used. */
/*
 * The stack is soiled first, then sealing runs on it, then it is looked at: three functions called from one
 * place stand on the same ground. A sanitizer lays out stacks of its own, so under one there is nothing to run.
 */
#include "tests/unit/fixture_request.h"

#include <sodium.h>

#include "service/seal.h"

#define TOKEN "apiv1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WINDOW_BYTES 65536
#define SOIL 0xa5
#define ZEROED_LEAST 8000               /* seal.c's 8192, but for what the frames between take */
#define DEPTH_MOST 10240                /* those 8192 below seal_box's own frame; deeper would be left unwiped */

static __attribute__((noinline)) void
soil(void)
{
	unsigned char room[WINDOW_BYTES + 4096];       /* deeper than what look() sees */

	memset(room, SOIL, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory");
}

struct ground {
	size_t depth;                   /* how far below something was written */
	size_t zeros;                   /* the longest run of them */
	bool holds_token;
};

static __attribute__((noinline)) struct ground
look(void)
{
	unsigned char room[WINDOW_BYTES];
	struct ground g = { 0, 0, false };
	size_t first = 0, run = 0;

	__asm__ volatile("" : "=m"(room));      /* as it was left */
	while (first < sizeof(room) && room[first] == SOIL)
		first++;
	g.depth = sizeof(room) - first;
	for (size_t i = first; i < sizeof(room); i++) {
		run = room[i] == 0 ? run + 1 : 0;
		g.zeros = run > g.zeros ? run : g.zeros;
	}
	for (size_t i = 0; i + 8 <= sizeof(TOKEN); i++)
		g.holds_token = g.holds_token || memmem(room, sizeof(room), TOKEN + i, 8) != NULL;
	return g;
}

static void
the_stack_is_zero_after_sealing(void **state)
{
	unsigned char fingerprint[32] = { 1 }, box_secret[32];
	struct permission permissions[] = { { PERMISSION_READ, "telemetry_a" }, { PERMISSION_WRITE, NULL } };
	struct request r = {
		.request_id = ID, .principal = "telemetry", .service_id = "tokens", .permissions = permissions,
		.n_permissions = 2, .suite = SUITE_SEALEDBOX, .recipient_id = "t-box1",
	};
	const struct seal_token s = {
		.request = &r, .fingerprint = fingerprint, .cluster_name = "prod", .account_id = ACCOUNT,
		.cluster_id = CLUSTER, .description_sent = "orders writer [tokend/1:...]", .token_id = "tok-1",
		.access_token = span_str(TOKEN), .created_at = NOW,
	};
	struct arena a = { 0 };
	struct ground before, after;
	struct span box;
	struct err e;
	int sealed;

	(void)state;
	assert_int_equal(crypto_box_keypair(r.recipient, box_secret), 0);
	assert_int_equal(seal_box(&s, &a, &box, &e), 0);         /* so that what is done once is done */
	soil();
	before = look();
	soil();
	sealed = seal_box(&s, &a, &box, &e);
	after = look();
	assert_int_equal(sealed, 0);
	assert_true(before.zeros < 512);                         /* the ground is what it seems */
	assert_false(after.holds_token);
	assert_in_range(after.zeros, ZEROED_LEAST, DEPTH_MOST);
	assert_in_range(after.depth, ZEROED_LEAST, DEPTH_MOST);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_stack_is_zero_after_sealing) };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)puts("1..0 # SKIP a sanitizer lays out stacks of its own");
	return 0;
#endif
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
