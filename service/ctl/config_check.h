/* SPDX-License-Identifier: Apache-2.0 */
/* What config check has found so far, and the service's half of it. */
#ifndef TOKEND_CTL_CONFIG_CHECK_H
#define TOKEND_CTL_CONFIG_CHECK_H

#include <stddef.h>

struct arena;
struct config_check_service;            /* opaque: tokend.yaml and its policy */
struct profile;

/* Each finding is printed when it is found. */
struct config_check {
	struct arena *arena;
	unsigned findings;
};

void config_check_found(struct config_check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A file that holds a secret: do others have a right to it? */
void config_check_private(struct config_check *c, const char *path);

/* tokend.yaml and all that it names. NULL when it could not even be loaded, which has been told. */
struct config_check_service *config_check_service_new(struct config_check *c, const char *path);
void config_check_service_free(struct config_check_service *s);

/* Does that requester's profile fit the service? */
void config_check_service_fits(struct config_check *c, const struct config_check_service *s, const struct profile *p);

#endif
