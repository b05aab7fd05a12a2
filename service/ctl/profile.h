/* SPDX-License-Identifier: Apache-2.0 */
/* tokenctl.yaml: which brokers, which service, which keys. Keys are paths, never values. `tokenctl
 * init` writes the first one.
 *
 *   profiles:
 *     - name: default
 *       service_id: tokend
 *       principal: telemetry
 *       kafka: ["bootstrap.servers=broker:9092"]                          # librdkafka's own properties
 *       kafka_secret_files: ["sasl.password=/run/secrets/kafka"]          # optional: the same, the value in a file
 *       topics: {requests: tokend.requests, replies: tokend.replies}
 *       partitions: 6
 *       signing_key: {id: telemetry-sign-1, file: telemetry.signing.key}  # base64 of the 32-byte Ed25519 seed
 *       box_key: {id: telemetry-box-1, file: telemetry.box.key}           # base64 of the 32-byte X25519 secret key
 *       service_keys: [{id: tokend-1, ed25519: <base64>}]                 # whose replies are believed
 *       cluster: main                                                     # optional
 *       state_dir: state                                                  # optional: ~/.local/state/tokend
 */
#ifndef TOKEND_CTL_PROFILE_H
#define TOKEND_CTL_PROFILE_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;

struct profile_key {
	char *id, *file;
};

struct profile_service_key {
	char *id, *ed25519;
	unsigned char public_key[32];
};

struct profile {
	char *name, *service_id, *principal;
	char **kafka; unsigned n_kafka;                         /* "key=value" */
	char **kafka_secret_files; unsigned n_kafka_secret_files;     /* "key=path" */
	struct { char *requests, *replies; } topics;
	int32_t partitions;
	struct profile_key signing_key, box_key;
	struct profile_service_key *service_keys; unsigned n_service_keys;
	char *cluster;                                          /* NULL: none named */
	char *state_dir;
};

/* $XDG_CONFIG_HOME/tokend/tokenctl.yaml, or the same under ~/.config. */
const char *profile_default_path(struct arena *a);

/* What stands before the last slash of path; "." without one. */
const char *profile_directory_of(const char *path, struct arena *a);

/* The profile of that name, checked, its paths resolved against the file's directory. It lives in
 * the arena. Fails (ERR_REFUSE) with a sentence that names the file and what is wrong in it. */
int profile_load(const char *path, const char *name, struct arena *a, const struct profile **ret_profile,
    struct err *ret_err);

/* The names of all profiles of a file, in its order. Fails as profile_load does. */
int profile_names(const char *path, struct arena *a, const char ***ret_names, size_t *ret_n, struct err *ret_err);

/* "key=value" -> the value's place in it, or NULL; what stands before it is name_bytes long. */
const char *profile_property_value(const char *property, size_t *ret_name_bytes);

#endif
