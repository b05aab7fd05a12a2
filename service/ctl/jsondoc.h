/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as the RFC has it, and nothing beside; what is wrong is told with its place. */
#ifndef TOKEND_CTL_JSONDOC_H
#define TOKEND_CTL_JSONDOC_H

#include <stddef.h>

#include <cjson/cJSON.h>

#include "service/base/span.h"

struct err;

/* The value that text holds; a NUL stands behind text. cJSON_Delete it. NULL, and a sentence that begins with
 * name:line:column, when it is no JSON: a trailing comma, anything behind the value, a control character or
 * \u0000 in a string, a name twice in one object, bytes that are no UTF-8. */
cJSON *jsondoc_parse(const char *name, struct span text, struct err *ret_err);

/* Does the object have no other members than these? place: what the object is called in the sentence. */
int jsondoc_only(const cJSON *object, const char *place, const char *const *members, size_t n_members,
    struct err *ret_err);

/* A member that is a string; *ret_text stays NULL when it is absent. */
int jsondoc_text(const cJSON *object, const char *place, const char *member, const char **ret_text,
    struct err *ret_err);

#endif
