/* SPDX-License-Identifier: Apache-2.0 */
/* A policy in words, for policy check and policy explain. All texts are in the arena. */
#ifndef TOKEND_CTL_POLICY_WORDS_H
#define TOKEND_CTL_POLICY_WORDS_H

#include <stdint.h>

struct arena;
struct policy_grant;
struct policy_limits;

/* "may read telemetry_* on prod; tokens live 90d at most" */
const char *policy_words_grant(const struct policy_grant *g, struct arena *a);

/* "10 a minute, 200 a day, on each partition"; "none" */
const char *policy_words_limits(const struct policy_limits *l, struct arena *a);

enum policy_words_state { POLICY_WORDS_VALID, POLICY_WORDS_ENDS_SOON, POLICY_WORDS_EXPIRED, POLICY_WORDS_NOT_YET };

/* How a key's validity stands at that moment; soon is within 30 days. */
enum policy_words_state policy_words_state(int64_t not_before, int64_t not_after, int64_t now);

/* "always"; "until 2027-06-01T00:00:00Z"; "EXPIRED since …" */
const char *policy_words_validity(int64_t not_before, int64_t not_after, int64_t now, struct arena *a);

#endif
