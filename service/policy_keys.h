/* SPDX-License-Identifier: Apache-2.0 */
/* A policy file's keys, judged: for policy_build.c. Any thread. */
#ifndef TOKEND_POLICY_KEYS_H
#define TOKEND_POLICY_KEYS_H

struct err;
struct policy;
struct policy_file_principal;
struct policy_principal;

/* A principal's signing keys go to the end of p->keys, where there is room, its recipient keys into
 * p's arena. -1 and a sentence that names the key and its line when one of them is of no use. */
int policy_keys_signing(struct policy *p, const struct policy_file_principal *from,
    const struct policy_principal *owner, struct err *ret_err);
int policy_keys_recipients(struct policy *p, const struct policy_file_principal *from, struct policy_principal *to,
    struct err *ret_err);

/* Sort p->keys by id. -1 when an id stands twice, or two principals have the same key. */
int policy_keys_check_unique(struct policy *p, struct err *ret_err);

#endif
