/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault makes of a good answer, in its content and on its way. */
#ifndef SANDBOX_SPOIL_H
#define SANDBOX_SPOIL_H

#include <cjson/cJSON.h>

struct fault_action;
struct http_request;
struct store;

/* Answer 200 with o (a token, or a list of them; freed), spoilt. NULL: 404. */
void spoil_answer(struct http_request *r, struct store *s, int cluster, cJSON *o, const struct fault_action *f);
/* What is planned goes out as the fault has it: another status, late, in part, or never. */
void spoil_way(struct http_request *r, const struct fault_action *f);

#endif
