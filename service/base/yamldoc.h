/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML file, read by a schema or refused with one sentence. Any thread.
 *
 * Strict on purpose: an unknown key, a key that stands twice, an alias, a second document, or anything
 * else that libcyaml warns of refuses the file. A configuration that is half understood is worse than
 * none. */
#ifndef TOKEND_BASE_YAMLDOC_H
#define TOKEND_BASE_YAMLDOC_H

#include <stddef.h>

struct cyaml_schema_value;
struct err;

/* The whole file; free() it. NULL, and path and reason, when it cannot be read or has more than max_bytes. */
unsigned char *yamldoc_read(const char *path, size_t max_bytes, size_t *ret_bytes, struct err *ret_err);

/* What the text says, laid out as the schema has it; path is for the sentence, which names what is
 * wrong, and in which line. yamldoc_free it with the same schema. NULL on refusal. */
void *yamldoc_parse(const char *path, const unsigned char *text, size_t bytes, const struct cyaml_schema_value *schema,
    struct err *ret_err);
void yamldoc_free(const struct cyaml_schema_value *schema, void *data);

#endif
