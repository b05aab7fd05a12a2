/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy file's words are judged here, once, and become the snapshot that policy.c answers from.
 *
 * Whatever could not mean anything is refused rather than carried along: a glob that no database's name can
 * match, a grant that grants nothing, a cluster that the configuration does not have, a key to which
 * nothing could be sealed. An operator hears of a slip when the file is loaded, not when a request is
 * denied at night.
 */
#include "service/policy_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/boxkey.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/policy_file.h"

#define POLICY_VERSION 1
#define ID_BYTES_MOST 64
#define GLOB_BYTES_MOST 64
#define KEY_BYTES 32

static const char id_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char database_glob_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/-*";
static const char cluster_glob_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789-*";

static int
build_time(const char *key, const char *text, int64_t absent, int64_t *ret_seconds, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	int32_t nanos;

	if (text == NULL) {
		*ret_seconds = absent;
		return 0;
	}
	if (!text_parse_time(span_str(text), ret_seconds, &nanos))
		return err_set(ret_err, ERR_REFUSE, "%s \"%s\" is no time like 2027-06-01T00:00:00Z", key,
		    text_shown(span_str(text), shown));
	return 0;
}

static int
build_validity(const struct policy_file_key *k, int64_t *ret_not_before, int64_t *ret_not_after, struct err *ret_err)
{
	if (build_time("not_before", k->not_before, INT64_MIN, ret_not_before, ret_err) != 0 ||
	    build_time("not_after", k->not_after, INT64_MAX, ret_not_after, ret_err) != 0)
		return -1;
	if (*ret_not_before > *ret_not_after)
		return err_set(ret_err, ERR_REFUSE, "not_after lies before not_before");
	return 0;
}

static int
build_id(struct arena *a, const char *id, const char **ret_id, struct err *ret_err)
{
	struct span s = span_str(id);

	if (s.bytes == 0 || s.bytes > ID_BYTES_MOST || !text_only(s, id_characters))
		return err_set(ret_err, ERR_REFUSE, "the id is not 1 to %d of A-Z a-z 0-9 . _ -", ID_BYTES_MOST);
	*ret_id = arena_text(a, "%s", id);
	return 0;
}

static int
build_key_bytes(const char *base64, unsigned char ret[KEY_BYTES], struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (text_parse_base64(span_str(base64), ret, KEY_BYTES) != KEY_BYTES)
		return err_set(ret_err, ERR_REFUSE, "\"%s\" is not the base64 of %d bytes",
		    text_shown(span_str(base64), shown), KEY_BYTES);
	return 0;
}

static int
build_signing_key(struct arena *a, const struct policy_file_key *from, const char *principal, struct policy_key *to,
    struct err *ret_err)
{
	to->principal = principal;
	if (build_id(a, from->id, &to->id, ret_err) != 0 ||
	    build_key_bytes(from->key, to->public_key, ret_err) != 0 ||
	    build_validity(from, &to->not_before, &to->not_after, ret_err) != 0)
		return -1;
	return 0;
}

static int
build_recipient(struct arena *a, const struct policy_file_key *from, struct policy_recipient *to, struct err *ret_err)
{
	to->suite = from->suite;
	if (build_id(a, from->id, &to->id, ret_err) != 0 ||
	    build_key_bytes(from->key, to->public_key, ret_err) != 0 ||
	    build_validity(from, &to->not_before, &to->not_after, ret_err) != 0)
		return -1;
	if (!boxkey_usable(to->public_key))
		return err_set(ret_err, ERR_REFUSE,
		    "the key is a point of low order: anybody could open what is sealed to it");
	return 0;
}

static int
build_recipients(struct arena *a, const struct policy_file_principal *from, struct policy_principal *to,
    struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	to->n_recipients = from->recipient_keys_count;
	to->recipients = arena_alloc(a, to->n_recipients * sizeof(*to->recipients));
	for (size_t i = 0; i < to->n_recipients; i++) {
		const struct policy_file_key *k = &from->recipient_keys[i];

		if (build_recipient(a, k, &to->recipients[i], ret_err) != 0)
			return err_prefix(ret_err, "recipient key \"%s\"", text_shown(span_str(k->id), shown));
		for (size_t j = 0; j < i; j++)
			if (strcmp(to->recipients[j].id, k->id) == 0)
				return err_set(ret_err, ERR_REFUSE, "recipient key \"%s\" stands twice", k->id);
	}
	return 0;
}

static int
build_globs(struct arena *a, char *const *from, size_t n, const char *characters, const char ***ret,
    struct err *ret_err)
{
	const char **to = arena_alloc(a, n * sizeof(*to));
	char shown[TEXT_SHOWN_ROOM];

	for (size_t i = 0; i < n; i++) {
		struct span g = span_str(from[i]);

		if (g.bytes == 0 || g.bytes > GLOB_BYTES_MOST || !text_only(g, characters))
			return err_set(ret_err, ERR_REFUSE,
			    "\"%s\" can match no name; a glob is 1 to %d of the characters of a name and *",
			    text_shown(g, shown), GLOB_BYTES_MOST);
		to[i] = arena_text(a, "%s", from[i]);
	}
	*ret = to;
	return 0;
}

static int
check_clusters_known(const struct policy_grant *g, const struct config *c, struct err *ret_err)
{
	for (size_t i = 0; i < g->n_clusters; i++) {
		bool known = false;

		for (size_t j = 0; j < c->n_clusters; j++)
			known = known || policy_glob(g->clusters[i], c->clusters[j].name);
		if (!known)
			return err_set(ret_err, ERR_REFUSE, "the configuration has no cluster \"%s\"", g->clusters[i]);
	}
	return 0;
}

static int
build_max_ttl(const char *text, struct policy_grant *to, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	uint64_t ms;

	to->has_max_ttl = text != NULL;
	if (text == NULL)
		return 0;
	if (!text_parse_duration(span_str(text), &ms) || ms < 1000)
		return err_set(ret_err, ERR_REFUSE, "max_ttl \"%s\" is no duration like 90d, 12h or 30m",
		    text_shown(span_str(text), shown));
	to->max_ttl = (int64_t)(ms / 1000);
	return 0;
}

static int
build_grant(struct arena *a, const struct policy_file_grant *from, const struct config *c, struct policy_grant *to,
    struct err *ret_err)
{
	to->n_clusters = from->clusters_count;
	to->n_databases = from->databases_count;
	to->all_databases = from->all_databases == POLICY_FILE_TRUE;
	to->may_read = (from->actions & POLICY_FILE_READ) != 0;
	to->may_write = (from->actions & POLICY_FILE_WRITE) != 0;
	if (build_globs(a, from->clusters, to->n_clusters, cluster_glob_characters, &to->clusters, ret_err) != 0)
		return err_prefix(ret_err, "clusters");
	if (build_globs(a, from->databases, to->n_databases, database_glob_characters, &to->databases, ret_err) != 0)
		return err_prefix(ret_err, "databases");
	if (to->n_databases == 0 && !to->all_databases)
		return err_set(ret_err, ERR_REFUSE, "it names no databases, and all_databases is not true");
	if (!to->may_read && !to->may_write)
		return err_set(ret_err, ERR_REFUSE, "actions is empty");
	if (c != NULL && check_clusters_known(to, c, ret_err) != 0)
		return -1;
	return build_max_ttl(from->max_ttl, to, ret_err);
}

static int
build_grants(struct arena *a, const struct policy_file_principal *from, const struct config *c,
    struct policy_principal *to, struct err *ret_err)
{
	to->n_grants = from->grants_count;
	to->grants = arena_alloc(a, to->n_grants * sizeof(*to->grants));
	for (size_t i = 0; i < to->n_grants; i++)
		if (build_grant(a, &from->grants[i], c, &to->grants[i], ret_err) != 0)
			return err_prefix(ret_err, "grant %zu", i + 1);
	return 0;
}

static int
build_limit(const char *key, const uint32_t *from, uint32_t *ret, struct err *ret_err)
{
	if (from != NULL && *from == 0)
		return err_set(ret_err, ERR_REFUSE,
		    "limits: %s is 0; leave it out for no limit, take the grants away for no tokens", key);
	*ret = from != NULL ? *from : 0;
	return 0;
}

static int
build_principal(struct policy *p, const struct policy_file_principal *from, const struct config *c,
    struct policy_principal *to, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (!text_is_principal(span_str(from->name)))
		return err_set(ret_err, ERR_REFUSE, "the name is not 1 to 64 of a-z 0-9 . _ -");
	to->name = arena_text(&p->arena, "%s", from->name);
	to->allow_inline_key = from->allow_inline_key == POLICY_FILE_TRUE;
	for (unsigned i = 0; i < from->signing_keys_count; i++)
		if (build_signing_key(&p->arena, &from->signing_keys[i], to->name, &p->keys[p->n_keys++], ret_err) != 0)
			return err_prefix(ret_err, "signing key \"%s\"",
			    text_shown(span_str(from->signing_keys[i].id), shown));
	if (build_recipients(&p->arena, from, to, ret_err) != 0 ||
	    build_grants(&p->arena, from, c, to, ret_err) != 0 ||
	    build_limit("per_minute", from->limits.per_minute, &to->limits.per_minute, ret_err) != 0 ||
	    build_limit("per_day", from->limits.per_day, &to->limits.per_day, ret_err) != 0)
		return -1;
	return 0;
}

static int
compare_principals(const void *left, const void *right)
{
	return strcmp(((const struct policy_principal *)left)->name, ((const struct policy_principal *)right)->name);
}

static int
compare_keys(const void *left, const void *right)
{
	return strcmp(((const struct policy_key *)left)->id, ((const struct policy_key *)right)->id);
}

/* Sorted, so that two of the same stand side by side, and policy.c finds them quickly. */
static int
sort_and_check_unique(struct policy *p, struct err *ret_err)
{
	qsort(p->principals, p->n_principals, sizeof(*p->principals), compare_principals);
	qsort(p->keys, p->n_keys, sizeof(*p->keys), compare_keys);
	for (size_t i = 1; i < p->n_principals; i++)
		if (compare_principals(&p->principals[i - 1], &p->principals[i]) == 0)
			return err_set(ret_err, ERR_REFUSE, "principal %s stands twice", p->principals[i].name);
	for (size_t i = 1; i < p->n_keys; i++)
		if (compare_keys(&p->keys[i - 1], &p->keys[i]) == 0)
			return err_set(ret_err, ERR_REFUSE,
			    "signing key \"%s\" stands twice (%s, %s); ids are unique over all principals",
			    p->keys[i].id, p->keys[i - 1].principal, p->keys[i].principal);
	return 0;
}

int
policy_build(const struct policy_file *f, const struct config *c, struct policy *p, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	size_t n_keys = 0;

	if (f->version != POLICY_VERSION)
		return err_set(ret_err, ERR_REFUSE, "version %u is not known; this tokend reads version %d",
		    f->version, POLICY_VERSION);
	for (unsigned i = 0; i < f->principals_count; i++)
		n_keys += f->principals[i].signing_keys_count;

	p->principals = arena_alloc(&p->arena, f->principals_count * sizeof(*p->principals));
	p->keys = arena_alloc(&p->arena, n_keys * sizeof(*p->keys));
	for (unsigned i = 0; i < f->principals_count; i++)
		if (build_principal(p, &f->principals[i], c, &p->principals[p->n_principals++], ret_err) != 0)
			return err_prefix(ret_err, "principal \"%s\"",
			    text_shown(span_str(f->principals[i].name), shown));
	return sort_and_check_unique(p, ret_err);
}
