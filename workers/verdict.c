/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a result means.
 *
 * Everything the service promises hangs on this table: a token that was created while we believed it was refused is a
 * live credential that nobody holds. So only what the API said in so many words counts as known. An answer
 * that did not arrive whole, a status that nobody documented and a success that makes no sense are AMBIGUOUS: it may
 * have been created, and the sweep will look.
 *
 * The reverse mistake is cheaper, but not free: an ambiguous attempt counts towards the request's cap. Therefore what
 * certainly never left is told apart first, whatever went wrong afterwards.
 */
#include "workers/verdict.h"

#include <assert.h>

const char *
verdict_label(enum verdict v)
{
	static const char *const labels[VERDICT_COUNT] = {
#define ROW(verdict, label, fate, meaning) label,
		VERDICTS(ROW)
#undef ROW
	};

	assert(v < VERDICT_COUNT);
	return labels[v];
}

enum job_fate
verdict_fate(enum verdict v)
{
	static const enum job_fate fates[VERDICT_COUNT] = {
#define ROW(verdict, label, fate, meaning) JOB_FATE_##fate,
		VERDICTS(ROW)
#undef ROW
	};

	assert(v < VERDICT_COUNT);
	return fates[v];
}

/* What the API says when it does not do what it was asked to. */
static enum verdict
of_status(int status)
{
	switch (status) {
	case 400: case 405: case 413: case 415: case 422: case 501:
		return VERDICT_REJECTED;
	case 401: case 403:
		return VERDICT_CREDENTIAL;
	case 404:
		return VERDICT_NOT_FOUND;
	case 409:
		return VERDICT_CONFLICT;
	case 425: case 429:
		return VERDICT_THROTTLED;
	default:
		return status >= 300 && status < 400 ? VERDICT_REDIRECTED : VERDICT_AMBIGUOUS;
	}
}

enum verdict
verdict_of(const struct exchange *e)
{
	if (!e->left)
		return VERDICT_NOT_SENT;
	if (!e->whole)
		return VERDICT_AMBIGUOUS;

	switch (e->verb) {
	case JOB_CREATE:
		if ((e->http_status == 200 || e->http_status == 201) && e->as_asked)
			return VERDICT_CREATED;
		break;
	case JOB_DELETE:
		if (e->http_status == 200 || e->http_status == 204 || e->http_status == 404 || e->http_status == 410)
			return VERDICT_DELETED;
		break;
	case JOB_LIST:
		if (e->http_status == 200 && e->as_asked)
			return VERDICT_LISTED;
		break;
	}
	return of_status(e->http_status);
}
