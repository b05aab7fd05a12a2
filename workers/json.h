/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from others, read strictly with cJSON. Any thread. */
#ifndef TOKEND_WORKERS_JSON_H
#define TOKEND_WORKERS_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "service/base/span.h"

/* The one JSON value that text[bytes] is (text[bytes] is a NUL), for cJSON_Delete; NULL when it is anything else, holds
 * a NUL in whatever spelling, or there is no memory. */
cJSON *json_parse(const unsigned char *text, size_t bytes);

/* The one member of that name, NULL when there is none; false when there are several. */
bool json_member(const cJSON *object, const char *name, const cJSON **ret_member);

/* The text of the one member of that name, pointing into the tree; the empty span, data NULL, when it is absent or
 * no string; false when there are several. */
bool json_text(const cJSON *object, const char *name, struct span *ret_text);

#endif
