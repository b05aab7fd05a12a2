/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy file's words are judged here, once, and become the snapshot that policy.c answers from.
 *
 * Whatever could not mean anything is refused rather than carried along: a glob that no database's name can
 * match, a grant that grants nothing, a cluster that the configuration does not have. An operator hears of
 * a slip when the file is loaded, not when a request is denied at night.
 *
 * Keys are judged in policy_keys.c.
 */
#include "service/policy_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/policy_file.h"
#include "service/policy_keys.h"

#define POLICY_VERSION 1
#define GLOB_BYTES_MOST 64

static const char database_glob_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/-*";
static const char cluster_glob_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789-*";

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
	if (!text_parse_duration(span_str(text), &ms) || ms == 0 || ms % 1000 != 0)
		return err_set(ret_err, ERR_REFUSE, "max_ttl \"%s\" is no duration in whole seconds, like 90d, "
		    "36h or 30m", text_shown(span_str(text), shown));
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
	to->line = from->line;
	if (build_globs(a, from->clusters, to->n_clusters, cluster_glob_characters, &to->clusters, ret_err) != 0)
		return err_prefix(ret_err, "clusters");
	if (build_globs(a, from->databases, to->n_databases, database_glob_characters, &to->databases, ret_err) != 0)
		return err_prefix(ret_err, "databases");
	if (to->n_clusters == 0)
		return err_set(ret_err, ERR_REFUSE, "clusters is empty");
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
			return err_prefix(ret_err, "grant %zu (line %u)", i + 1, from->grants[i].line);
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
build_limits(const struct policy_file_limits *from, struct policy_limits *to, struct err *ret_err)
{
	if (build_limit("per_minute", from->per_minute, &to->per_minute, ret_err) != 0 ||
	    build_limit("per_day", from->per_day, &to->per_day, ret_err) != 0)
		return -1;
	if (to->per_day != 0 && to->per_minute > to->per_day)
		return err_set(ret_err, ERR_REFUSE, "limits: per_minute %u is above per_day %u, and could never be "
		    "reached", to->per_minute, to->per_day);
	return 0;
}

static int
build_principal(struct policy *p, const struct policy_file_principal *from, const struct config *c,
    struct policy_principal *to, struct err *ret_err)
{
	if (!text_is_principal(span_str(from->name)))
		return err_set(ret_err, ERR_REFUSE, "the name is not 1 to 64 of a-z 0-9 . _ -");
	to->name = arena_text(&p->arena, "%s", from->name);
	to->line = from->line;
	to->allow_inline_key = from->allow_inline_key == POLICY_FILE_TRUE;
	if (policy_keys_signing(p, from, to, ret_err) != 0 || policy_keys_recipients(p, from, to, ret_err) != 0 ||
	    build_grants(&p->arena, from, c, to, ret_err) != 0)
		return -1;
	return build_limits(&from->limits, &to->limits, ret_err);
}

static int
compare_principals(const void *left, const void *right)
{
	return strcmp(((const struct policy_principal *)left)->name, ((const struct policy_principal *)right)->name);
}

/* Sorted, so that two of the same stand side by side, and policy.c finds them quickly. */
static int
check_names_unique(struct policy *p, struct err *ret_err)
{
	qsort(p->principals, p->n_principals, sizeof(*p->principals), compare_principals);
	for (size_t i = 1; i < p->n_principals; i++)
		if (compare_principals(&p->principals[i - 1], &p->principals[i]) == 0)
			return err_set(ret_err, ERR_REFUSE, "principal %s stands twice, in lines %u and %u",
			    p->principals[i].name, p->principals[i - 1].line, p->principals[i].line);
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
	if (f->principals_count == 0)
		return err_set(ret_err, ERR_REFUSE, "principals is empty: nobody could ask for anything");
	for (unsigned i = 0; i < f->principals_count; i++)
		n_keys += f->principals[i].signing_keys_count;

	p->principals = arena_alloc(&p->arena, f->principals_count * sizeof(*p->principals));
	p->keys = arena_alloc(&p->arena, n_keys * sizeof(*p->keys));
	for (unsigned i = 0; i < f->principals_count; i++)
		if (build_principal(p, &f->principals[i], c, &p->principals[p->n_principals++], ret_err) != 0)
			return err_prefix(ret_err, "principal \"%s\" (line %u)",
			    text_shown(span_str(f->principals[i].name), shown), f->principals[i].line);
	return check_names_unique(p, ret_err) != 0 ? -1 : policy_keys_check_unique(p, ret_err);
}
