/* SPDX-License-Identifier: Apache-2.0 */
/* How a configuration is judged, piece by piece: what config.c and its neighbours (config_kafka.c,
 * config_records.c, config_cluster.c) share. */
#ifndef TOKEND_BASE_CONFIG_BUILD_H
#define TOKEND_BASE_CONFIG_BUILD_H

#include <stdint.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/config_file.h"

struct config_build {
	struct arena *arena;            /* all that the configuration holds lives here */
	const char *directory;          /* of the file, for relative paths: "" or with a slash at its end */
};

/* key: "value" must be ... Returns -1. */
int config_refuse(const char *key, const char *value, const char *must_be, struct err *ret_err);

char *config_path(const struct config_build *b, const char *path);
/* "true" or "false", and nothing else. */
int config_bool(const char *key, const char *value, bool *ret, struct err *ret_err);
int config_number(const char *key, const char *value, uint32_t least, uint32_t most, uint32_t *ret,
    struct err *ret_err);

/* A name's characters, and how a sentence calls them. */
struct config_characters {
	const char *set, *called;
};
extern const struct config_characters CONFIG_LOWER;    /* a-z 0-9 - */

/* 1 to most_bytes characters of the set. */
int config_name(const char *key, const char *value, size_t most_bytes, const struct config_characters *of,
    struct err *ret_err);

int config_build_kafka(const struct config_build *b, const struct config_file *f, struct config *c,
    struct err *ret_err);
int config_build_records(const struct config_build *b, const struct config_file *f, struct config *c,
    struct err *ret_err);
int config_build_clusters(const struct config_build *b, const struct config_file *f, struct config *c,
    struct err *ret_err);

#endif
