/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a token's description: whose it is, and of which attempt.
 *
 *     <the user's text> [tokend/1:<service_id>:<principal>:<partition>:<attempt uuid>]
 *
 * What a requester may write holds no "[tokend/", so the last '[' of a description that is ours begins it. Pure; any
 * thread. */
#ifndef TOKEND_MARKER_H
#define TOKEND_MARKER_H

#include <stdbool.h>
#include <stdint.h>

struct arena;

#define MARKER_PREFIX_ROOM 48

struct marker {
	int32_t partition;
	unsigned char uuid[16];
};

/* How every marker of this service begins. Returns room. */
const char *marker_prefix(const char *service_id, char room[MARKER_PREFIX_ROOM]);

/* A description that ends in its marker, in the arena. */
const char *marker_describe(struct arena *a, const char *text, const char *service_id, const char *principal,
    const struct marker *m);
/* The marker of such a description, inside of it. */
const char *marker_of(const char *description);

/* False: the text is no marker of this service's, or something stands behind it. */
bool marker_read(const char *text, const char *service_id, struct marker *ret);

#endif
