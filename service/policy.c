/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask for what: default deny, all or nothing.
 *
 * A request is never narrowed in silence: each of its permissions must be covered by some grant of its
 * principal, on that cluster, for that long, or the whole of it is denied, with the first permission that
 * is not covered and the grant that came nearest. Nearest is the grant that failed latest in the order
 * cluster, database, action, lifetime: most likely the one that was meant.
 *
 * Every database is more than any glob: it covers those of tomorrow, and in InfluxDB's API it is written
 * `*`. So only all_databases: true covers it, and the glob `*` covers each named database and nothing else.
 * The other way round, all_databases: true covers each single database: who may have a token for all of them
 * gains nothing by one for less, and a policy that denied it would teach people to ask for too much.
 *
 * The file is read in policy_file.c and judged in policy_build.c; a snapshot never changes, so any thread
 * may ask it.
 */
#include "service/policy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/err.h"
#include "service/base/text.h"
#include "service/policy_file.h"
#include "service/policy_snapshot.h"
#include "service/status.h"

struct policy *
policy_load(const char *path, const struct config *c, struct err *ret_err)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct policy_file *f;
	int built;

	if (p == NULL) {
		(void)err_set(ret_err, ERR_RETRY, "%s: out of memory", path);
		return NULL;
	}
	atomic_init(&p->owners, 1);
	f = policy_file_load(path, p->digest, ret_err);
	if (f == NULL) {
		policy_release(p);
		return NULL;
	}
	built = policy_build(f, c, p, ret_err);
	policy_file_free(f);
	if (built != 0) {
		(void)err_prefix(ret_err, "%s", path);
		policy_release(p);
		return NULL;
	}
	return p;
}

struct policy *
policy_hold(struct policy *p)
{
	atomic_fetch_add(&p->owners, 1);
	return p;
}

void
policy_release(struct policy *p)
{
	if (p == NULL || atomic_fetch_sub(&p->owners, 1) != 1)
		return;
	arena_free(&p->arena);
	free(p);
}

const unsigned char *
policy_digest(const struct policy *p)
{
	return p->digest;
}

static int
compare_id(const void *wanted, const void *key)
{
	return strcmp(wanted, ((const struct policy_key *)key)->id);
}

const struct policy_key *
policy_key(const struct policy *p, struct span key_id)
{
	char id[65];

	if (key_id.bytes == 0 || key_id.bytes >= sizeof(id) || memchr(key_id.data, '\0', key_id.bytes) != NULL)
		return NULL;
	memcpy(id, key_id.data, key_id.bytes);
	id[key_id.bytes] = '\0';
	return bsearch(id, p->keys, p->n_keys, sizeof(*p->keys), compare_id);
}

static int
compare_name(const void *wanted, const void *principal)
{
	return strcmp(wanted, ((const struct policy_principal *)principal)->name);
}

static const struct policy_principal *
find_principal(const struct policy *p, const char *name)
{
	return bsearch(name, p->principals, p->n_principals, sizeof(*p->principals), compare_name);
}

const struct policy_recipient *
policy_recipient(const struct policy *p, const char *principal, const char *key_id)
{
	const struct policy_principal *who = find_principal(p, principal);

	for (size_t i = 0; who != NULL && i < who->n_recipients; i++)
		if (strcmp(who->recipients[i].id, key_id) == 0)
			return &who->recipients[i];
	return NULL;
}

bool
policy_inline_allowed(const struct policy *p, const char *principal)
{
	const struct policy_principal *who = find_principal(p, principal);

	return who != NULL && who->allow_inline_key;
}

struct policy_limits
policy_limits(const struct policy *p, const char *principal)
{
	const struct policy_principal *who = find_principal(p, principal);

	return who != NULL ? who->limits : (struct policy_limits){ 0, 0 };
}

/* One star is remembered at a time: a later one can do whatever an earlier one could, so going back to the
 * last is enough. */
bool
policy_glob(const char *glob, const char *name)
{
	const char *star = NULL, *resume = NULL;

	while (*name != '\0') {
		if (*glob == '*') {
			star = glob++;
			resume = name;
		} else if (*glob == *name) {
			glob++;
			name++;
		} else if (star != NULL) {
			glob = star + 1;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}

static bool
matches_any(const char *const *globs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (policy_glob(globs[i], name))
			return true;
	return false;
}

/* Where a permission and a grant part, in the order they are compared. */
enum parting { PARTING_CLUSTER, PARTING_DATABASE, PARTING_ACTION, PARTING_NO_EXPIRY, PARTING_LIFETIME,
    PARTING_NOWHERE };

/* A request for a database named "*" does not get here, since decode_values.c refuses it. Should it ever,
 * then no grant covers it: to InfluxDB it would mean every database. */
static bool
covers_database(const struct policy_grant *g, const char *database)
{
	if (database == NULL)
		return g->all_databases;
	if (!text_is_database(span_str(database)))
		return false;
	return g->all_databases || matches_any(g->databases, g->n_databases, database);
}

struct lifetime {
	bool ends;
	int64_t seconds;     /* from now */
};

static enum parting
compare(const struct policy_grant *g, const char *cluster, const struct permission *wanted, struct lifetime l)
{
	if (!matches_any(g->clusters, g->n_clusters, cluster))
		return PARTING_CLUSTER;
	if (!covers_database(g, wanted->database))
		return PARTING_DATABASE;
	if (wanted->action == PERMISSION_READ ? !g->may_read : !g->may_write)
		return PARTING_ACTION;
	if (g->has_max_ttl && !l.ends)
		return PARTING_NO_EXPIRY;
	if (g->has_max_ttl && l.seconds > g->max_ttl)
		return PARTING_LIFETIME;
	return PARTING_NOWHERE;
}

struct nearest {
	enum parting parting;
	size_t grant;        /* index */
};

static struct nearest
find_nearest(const struct policy_principal *who, const char *cluster, const struct permission *wanted,
    struct lifetime l)
{
	struct nearest best = { PARTING_CLUSTER, 0 };

	for (size_t i = 0; i < who->n_grants && best.parting != PARTING_NOWHERE; i++) {
		enum parting parting = compare(&who->grants[i], cluster, wanted, l);

		if (parting > best.parting)
			best = (struct nearest){ parting, i };
	}
	return best;
}

static const char *
explain(const struct policy_grant *g, const struct permission *wanted, enum parting parting,
    char room[POLICY_WHY_ROOM])
{
	switch (parting) {
	case PARTING_CLUSTER:
		return "is for other clusters";
	case PARTING_DATABASE:
		return wanted->database != NULL ? "is for other databases" : "does not say all_databases: true";
	case PARTING_ACTION:
		return g->may_read ? "allows read only" : "allows write only";
	case PARTING_NO_EXPIRY:
		(void)snprintf(room, POLICY_WHY_ROOM, "requires expires_at, within %lld seconds from now",
		    (long long)g->max_ttl);
		return room;
	case PARTING_LIFETIME:
		(void)snprintf(room, POLICY_WHY_ROOM, "allows expires_at within %lld seconds from now",
		    (long long)g->max_ttl);
		return room;
	case PARTING_NOWHERE:
		break;
	}
	assert(!"a permission that is covered needs no explanation");
	return "";
}

static int
deny(const struct policy_principal *who, const char *cluster, const struct permission *wanted, size_t index,
    struct nearest n, struct status *ret_refusal)
{
	const char *action = wanted->action == PERMISSION_READ ? "read" : "write";
	const char *database = wanted->database != NULL ? wanted->database : "all databases";
	char why[POLICY_WHY_ROOM];

	if (who->n_grants == 0)
		(void)status_set(ret_refusal, STATUS_POLICY_DENIED,
		    "permissions[%zu] (%s %s on cluster %s): principal %s has no grants", index, action, database,
		    cluster, who->name);
	else
		(void)status_set(ret_refusal, STATUS_POLICY_DENIED,
		    "permissions[%zu] (%s %s on cluster %s) is not granted; grant %zu of principal %s comes nearest, "
		    "but %s", index, action, database, cluster, n.grant + 1, who->name,
		    explain(&who->grants[n.grant], wanted, n.parting, why));
	status_detail(ret_refusal, "field", "permissions[%zu]", index);
	return -1;
}

int
policy_allows(const struct policy *p, const char *principal, const char *cluster_name,
    const struct permission *permissions, size_t n_permissions, bool has_expires_at, int64_t expires_at, int64_t now,
    struct status *ret_refusal)
{
	const struct policy_principal *who = find_principal(p, principal);
	struct lifetime l = { has_expires_at, has_expires_at ? expires_at - now : 0 };
	char shown[TEXT_SHOWN_ROOM];

	if (who == NULL)
		return status_set(ret_refusal, STATUS_POLICY_DENIED, "the policy has no principal %s",
		    text_shown(span_str(principal), shown));
	for (size_t i = 0; i < n_permissions; i++) {
		struct nearest n = find_nearest(who, cluster_name, &permissions[i], l);

		if (n.parting != PARTING_NOWHERE)
			return deny(who, cluster_name, &permissions[i], i, n, ret_refusal);
	}
	return 0;
}

const char *
policy_grant_denies(const struct policy *p, const char *principal, size_t grant, const char *cluster_name,
    const struct permission *wanted, bool has_expires_at, int64_t expires_at, int64_t now, char room[POLICY_WHY_ROOM])
{
	const struct policy_grant *g = &find_principal(p, principal)->grants[grant];
	struct lifetime l = { has_expires_at, has_expires_at ? expires_at - now : 0 };
	enum parting parting = compare(g, cluster_name, wanted, l);

	return parting == PARTING_NOWHERE ? NULL : explain(g, wanted, parting, room);
}
