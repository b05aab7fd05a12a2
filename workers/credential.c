/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A management token, ready to be sent.
 *
 * The Authorization line is kept whole: libcurl takes the memory we give it as it is, and only its own request
 * buffer, which comes from the wiping allocator, ever holds a copy.
 *
 * A token that was replaced lives on until the last call that carries it is back. So users are counted; a counter
 * and no lock, because whoever takes a hold has one already, or takes it from its upstream under that one's lock.
 */
#include "workers/credential.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/err.h"
#include "service/base/secret.h"

#define TOKEN_MOST 8192                 /* a JWT may be long */
#define SCHEME "Authorization: Bearer "

struct credential {
	atomic_uint users;
	char *header;                   /* guarded */
	size_t token_bytes;
};

/* A blank or a control character would end the token, or begin another header. */
static bool
fits_header(struct span token)
{
	for (size_t i = 0; i < token.bytes; i++)
		if (token.data[i] <= ' ' || token.data[i] > '~')
			return false;
	return true;
}

static struct credential *
new_credential(struct span token)
{
	const size_t scheme_bytes = strlen(SCHEME);
	struct credential *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->header = (char *)secret_guarded_new(scheme_bytes + token.bytes + 1);
	if (c->header == NULL) {
		free(c);
		return NULL;
	}
	memcpy(c->header, SCHEME, scheme_bytes);
	memcpy(c->header + scheme_bytes, token.data, token.bytes);
	c->header[scheme_bytes + token.bytes] = '\0';
	c->token_bytes = token.bytes;
	atomic_init(&c->users, 1);
	return c;
}

struct credential *
credential_read(const char *path, struct err *ret_err)
{
	struct secret *file = secret_read_file(path, TOKEN_MOST, true, ret_err);
	struct credential *c = NULL;

	if (file == NULL)
		return NULL;
	if (!fits_header(secret_bytes(file)))
		(void)err_set(ret_err, ERR_REFUSE, "%s: holds blanks or characters that no token has", path);
	else if ((c = new_credential(secret_bytes(file))) == NULL)
		(void)err_set(ret_err, ERR_RETRY, "%s: no guarded memory for the management token", path);
	secret_release(file);
	return c;
}

struct credential *
credential_hold(struct credential *c)
{
	unsigned before = atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
	return c;
}

void
credential_release(struct credential *c)
{
	if (c == NULL || atomic_fetch_sub_explicit(&c->users, 1, memory_order_acq_rel) > 1)
		return;
	secret_guarded_free((unsigned char *)c->header);
	free(c);
}

char *
credential_header(const struct credential *c)
{
	return c->header;
}

struct span
credential_token(const struct credential *c)
{
	return span_of(c->header + strlen(SCHEME), c->token_bytes);
}
