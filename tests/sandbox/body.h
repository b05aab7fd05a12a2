/* SPDX-License-Identifier: Apache-2.0 */
/* What the API lets into a body. Pure; any thread. */
#ifndef SANDBOX_BODY_H
#define SANDBOX_BODY_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "service/base/span.h"

/* A JSON object and nothing after it; NULL: it is none. */
cJSON *body_parse(struct span body);
/* NULL: absent, or o is NULL. */
const cJSON *body_member(const cJSON *o, const char *name);
/* May it be a POST's, a PATCH's? */
bool body_creates(const cJSON *o);
bool body_updates(const cJSON *o);
/* Are all databases of its permissions among these? Of none: any exists. */
bool body_databases_known(const cJSON *o, const char *const *databases, size_t n);

#endif
