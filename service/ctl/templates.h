/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the files that tokenctl init writes. Pure: from values to YAML. */
#ifndef TOKEND_CTL_TEMPLATES_H
#define TOKEND_CTL_TEMPLATES_H

#include <stdbool.h>
#include <stdint.h>

#include "service/ctl/keys.h"
#include "service/ctl/options.h"

struct arena;

/* A key, or a pair of them, as the files name it: id, public half in base64, the secret half's file
 * name. */
struct templates_key {
	const char *id, *file;
	char public_key[KEYS_TEXT_ROOM];
};

struct templates {
	const char *service_id, *principal, *instance;
	const char *bootstrap;
	struct options_list kafka;               /* "key=value" */
	const char *topics;                      /* what the topics' names begin with */
	int32_t partitions;
	const char *topic_checks;
	const char *cluster, *product, *url, *account, *cluster_uuid, *management_token_file;
	struct options_list databases;           /* globs */
	bool all_databases;
	int32_t ops_port;
	const char *state_dir;                   /* NULL: the default */
	struct templates_key service, signing, box;
};

/* A public key as policy.yaml and service_keys, and as recipient_keys have it: {id: "...", ...}. */
const char *templates_signing_key(const char *id, const char *public_key, struct arena *a);
const char *templates_box_key(const char *id, const char *public_key, struct arena *a);
/* A private one as tokenctl.yaml and tokend.yaml have it: {id: "...", file: "..."}. */
const char *templates_key_file(const char *id, const char *file, struct arena *a);

/* All in the arena. Values are quoted: whatever they hold, they stay values. */
const char *templates_policy(const struct templates *t, struct arena *a);
const char *templates_tokend(const struct templates *t, struct arena *a);
const char *templates_tokenctl(const struct templates *t, struct arena *a);

#endif
