/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded memory for answers, which may hold a token: allocated once, lent out, wiped when it comes back. Any
 * thread. */
#ifndef TOKEND_WORKERS_BODIES_H
#define TOKEND_WORKERS_BODIES_H

#include <stdbool.h>
#include <stddef.h>

struct bodies;                         /* opaque: the pool's stock */

/* One answer's body. It never grows: what does not fit is dropped, and overlong says so. A NUL stands behind its
 * bytes. */
struct body {
	struct body *next;
	unsigned char *data;
	size_t room, bytes;
	bool overlong;
};

/* NULL when out of memory. bodies_free expects everything back. */
struct bodies *bodies_new(void);
void bodies_free(struct bodies *all);

/* An empty body with room for whatever the API may rightly answer to a request for n_permissions; NULL: no memory. */
struct body *bodies_take(struct bodies *all, size_t n_permissions);
void bodies_append(struct body *b, const void *data, size_t bytes);

/* Wiped, and ready for the next one. NULL does nothing. */
void bodies_give_back(struct bodies *all, struct body *b);

#endif
