/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster made ready to be called, once, so that a call copies no secret and looks up no metric.
 *
 * The Authorization line is kept whole: libcurl takes the memory we give it as it is, and only its own request
 * buffer, which comes from the wiping allocator, ever holds a copy.
 */
#include "workers/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/metrics.h"
#include "service/base/secret.h"
#include "workers/management_api.h"

#define MANAGEMENT_TOKEN_MOST 8192      /* a JWT may be long */
#define SCHEME "Authorization: Bearer "

/* A blank or a control character would end the token, or begin another header. */
static bool
fits_header(struct span token)
{
	for (size_t i = 0; i < token.bytes; i++)
		if (token.data[i] <= ' ' || token.data[i] > '~')
			return false;
	return true;
}

static int
read_credential(struct upstream *u, const char *path, struct err *ret_err)
{
	struct secret *file = secret_read_file(path, MANAGEMENT_TOKEN_MOST, true, ret_err);
	const size_t scheme_bytes = strlen(SCHEME);
	struct span token;
	int rc = -1;

	if (file == NULL)
		return -1;
	token = secret_bytes(file);
	if (!fits_header(token)) {
		(void)err_set(ret_err, ERR_REFUSE, "%s: holds blanks or characters that no token has", path);
		goto out;
	}
	u->authorization = (char *)secret_guarded_new(scheme_bytes + token.bytes + 1);
	if (u->authorization == NULL) {
		(void)err_set(ret_err, ERR_RETRY, "no guarded memory for the management token");
		goto out;
	}
	memcpy(u->authorization, SCHEME, scheme_bytes);
	memcpy(u->authorization + scheme_bytes, token.data, token.bytes);
	u->authorization[scheme_bytes + token.bytes] = '\0';
	u->management_token = span_of(u->authorization + scheme_bytes, token.bytes);
	rc = 0;
out:
	secret_release(file);
	return rc;
}

int
upstream_init(struct upstream *u, const struct cluster *c, struct err *ret_err)
{
	*u = (struct upstream){ .cluster = c };
	u->tokens_url = management_api_tokens_url(c, ret_err);
	if (u->tokens_url == NULL || read_credential(u, c->management_token_file, ret_err) != 0) {
		upstream_close(u);
		return err_prefix(ret_err, "cluster %s", c->name);
	}
	for (int v = 0; v < VERDICT_COUNT; v++)
		u->requests[v] = metrics_at(METRIC_API_REQUESTS, c->name, verdict_label((enum verdict)v));
	u->seconds = metrics_at(METRIC_API_SECONDS, c->name, NULL);
	return 0;
}

void
upstream_close(struct upstream *u)
{
	free(u->tokens_url);
	secret_guarded_free((unsigned char *)u->authorization);
	*u = (struct upstream){ 0 };
}

void
upstream_count(const struct upstream *u, enum verdict v, uint64_t took_us)
{
	metrics_add(u->requests[v], 1);
	metrics_observe(u->seconds, took_us);
}
