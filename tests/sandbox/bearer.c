/* SPDX-License-Identifier: Apache-2.0 */
/* The contract tells apart who is not known (401) and who may not (403), so there are two tokens. A rotation has no
 * time in which both count: what still uses the old one is told so by the next call. */
#include "tests/sandbox/bearer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct bearer {
	pthread_mutex_t lock;
	char *token, *powerless;
};

static char *
copy(const char *text)
{
	char *c = strdup(text);

	if (c == NULL)
		abort();
	return c;
}

struct bearer *
bearer_new(const char *token, const char *powerless)
{
	struct bearer *b = calloc(1, sizeof *b);

	if (b == NULL)
		abort();
	pthread_mutex_init(&b->lock, NULL);
	b->token = copy(token);
	b->powerless = copy(powerless);
	return b;
}

void
bearer_free(struct bearer *b)
{
	if (b == NULL)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b->token);
	free(b->powerless);
	free(b);
}

void
bearer_rotate(struct bearer *b, const char *token)
{
	pthread_mutex_lock(&b->lock);
	free(b->token);
	b->token = copy(token);
	pthread_mutex_unlock(&b->lock);
}

int
bearer_status(struct bearer *b, const char *authorization)
{
	int status = 401;

	if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
		return status;
	pthread_mutex_lock(&b->lock);
	if (strcmp(authorization + 7, b->token) == 0)
		status = 200;
	else if (strcmp(authorization + 7, b->powerless) == 0)
		status = 403;
	pthread_mutex_unlock(&b->lock);
	return status;
}
