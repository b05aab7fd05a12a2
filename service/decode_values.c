/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a CreateToken: what each field may hold, apart from who is asking and when.
 *
 * Every refusal here is the request's OUTCOME, for the same bytes would fail again; so each names the field
 * by its path, shows the value and says what would do. Names are held to the vendor's character sets, not
 * escaped: they end up in a URL, in JSON and in logs.
 */
#include "service/decode.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/text.h"
#include "service/decode_parts.h"

#define PERMISSIONS_MOST 1000
#define KEY_ID_BYTES_MOST 64
#define PATH_ROOM 48

static const char key_id_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

static const char *
or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static int
find_by_ids(const struct config *c, const struct request *r, struct status *ret_refusal)
{
	char shown[TEXT_SHOWN_ROOM];
	int found;

	if (r->account_id == NULL || r->cluster_id == NULL)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target",
		    "%s is missing: the two ids go together", r->account_id == NULL ? "account_id" : "cluster_id");
	if (!text_is_uuid(span_str(r->account_id)))
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target.account_id",
		    "\"%s\" is no UUID in lower case", text_shown(span_str(r->account_id), shown));
	if (!text_is_uuid(span_str(r->cluster_id)))
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target.cluster_id",
		    "\"%s\" is no UUID in lower case", text_shown(span_str(r->cluster_id), shown));
	found = config_cluster_by_ids(c, r->account_id, r->cluster_id);
	if (found < 0)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target",
		    "this service knows no cluster %s of account %s", r->cluster_id, r->account_id);
	return found;
}

static int
find_cluster(const struct config *c, const struct request *r, struct status *ret_refusal)
{
	bool by_ids = r->account_id != NULL || r->cluster_id != NULL;
	char shown[TEXT_SHOWN_ROOM];
	int found;

	if (r->cluster_name != NULL && by_ids)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target",
		    "names a cluster both by name and by ids; one of the two is enough");
	if (by_ids)
		return find_by_ids(c, r, ret_refusal);
	if (r->cluster_name == NULL)
		return c->n_clusters == 1 ? 0 : decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target",
		    "is missing, and this service has %zu clusters", c->n_clusters);
	found = config_cluster(c, r->cluster_name);
	if (found < 0)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "target.cluster",
		    "this service knows no cluster \"%s\"", text_shown(span_str(r->cluster_name), shown));
	return found;
}

static int
take_target(const struct config *c, const Tokend__V1__Target *t, struct request *r, struct status *ret_refusal)
{
	if (t != NULL) {
		r->cluster_name = or_null(t->cluster);
		r->account_id = or_null(t->account_id);
		r->cluster_id = or_null(t->cluster_id);
	}
	r->cluster = find_cluster(c, r, ret_refusal);
	return r->cluster >= 0 ? 0 : -1;
}

static int
take_description(const char *description, struct request *r, struct status *ret_refusal)
{
	char shown[TEXT_SHOWN_ROOM];

	r->description = description;
	r->description_bytes = strlen(description);
	if (text_is_description(span_str(description)))
		return 0;
	return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "description",
	    "takes 1 to 200 bytes without control characters, blanks at an end or \"[tokend/\"; these are %zu: \"%s\"",
	    r->description_bytes, text_shown(span_str(description), shown));
}

static int
take_permission(const Tokend__V1__Permission *p, size_t index, struct permission *ret, struct status *ret_refusal)
{
	char path[PATH_ROOM], shown[TEXT_SHOWN_ROOM];

	if (p->action != TOKEND__V1__ACTION__READ && p->action != TOKEND__V1__ACTION__WRITE) {
		(void)snprintf(path, sizeof(path), "permissions[%zu].action", index);
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, path, "%d is neither READ nor WRITE",
		    (int)p->action);
	}
	ret->action = p->action == TOKEND__V1__ACTION__READ ? PERMISSION_READ : PERMISSION_WRITE;

	switch (p->resource_case) {
	case TOKEND__V1__PERMISSION__RESOURCE_DATABASE:
		ret->database = p->database;
		if (text_is_database(span_str(p->database)))
			return 0;
		(void)snprintf(path, sizeof(path), "permissions[%zu].database", index);
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, path,
		    "\"%s\" is not 1 to 64 of A-Z a-z 0-9 _ / -%s", text_shown(span_str(p->database), shown),
		    strcmp(p->database, "*") == 0 ? "; every database is all_databases" : "");
	case TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES:
		ret->database = NULL;
		if (p->all_databases)
			return 0;
		(void)snprintf(path, sizeof(path), "permissions[%zu].all_databases", index);
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, path, "is false; name a database instead");
	default:
		(void)snprintf(path, sizeof(path), "permissions[%zu]", index);
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, path,
		    "names neither a database nor all_databases");
	}
}

/* Any order will do that puts equal permissions side by side; equal ones in the request's order. */
static int
compare_permissions(const void *left, const void *right)
{
	const struct permission *a = *(const struct permission *const *)left,
	    *b = *(const struct permission *const *)right;
	int order = (int)a->action - (int)b->action;

	if (order == 0)
		order = (a->database != NULL) - (b->database != NULL);
	if (order == 0 && a->database != NULL)
		order = strcmp(a->database, b->database);
	if (order == 0)
		order = (a > b) - (a < b);
	return order;
}

static bool
same_permission(const struct permission *a, const struct permission *b)
{
	if (a->action != b->action || (a->database == NULL) != (b->database == NULL))
		return false;
	return a->database == NULL || strcmp(a->database, b->database) == 0;
}

static int
check_distinct(const struct request *r, struct arena *a, struct status *ret_refusal)
{
	const struct permission **sorted = arena_alloc(a, r->n_permissions * sizeof(*sorted));
	char path[PATH_ROOM];

	for (size_t i = 0; i < r->n_permissions; i++)
		sorted[i] = &r->permissions[i];
	qsort(sorted, r->n_permissions, sizeof(*sorted), compare_permissions);
	for (size_t i = 1; i < r->n_permissions; i++) {
		if (!same_permission(sorted[i - 1], sorted[i]))
			continue;
		(void)snprintf(path, sizeof(path), "permissions[%zu]", (size_t)(sorted[i] - r->permissions));
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, path, "repeats permissions[%zu]",
		    (size_t)(sorted[i - 1] - r->permissions));
	}
	return 0;
}

static int
take_permissions(const Tokend__V1__CreateTokenRequest *m, struct arena *a, struct request *r,
    struct status *ret_refusal)
{
	if (m->n_permissions == 0)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "permissions",
		    "a token without any is of no use");
	if (m->n_permissions > PERMISSIONS_MOST) {
		(void)decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "permissions", "are %zu; at most %d are taken",
		    m->n_permissions, PERMISSIONS_MOST);
		status_detail(ret_refusal, "limit", "%d", PERMISSIONS_MOST);
		return -1;
	}
	r->n_permissions = m->n_permissions;
	r->permissions = arena_alloc(a, r->n_permissions * sizeof(*r->permissions));
	for (size_t i = 0; i < r->n_permissions; i++)
		if (take_permission(m->permissions[i], i, &r->permissions[i], ret_refusal) != 0)
			return -1;
	return check_distinct(r, a, ret_refusal);
}

static int
take_inline_key(const Tokend__V1__InlineKey *k, struct request *r, struct status *ret_refusal)
{
	r->inline_key = true;
	r->inline_suite = (uint32_t)k->suite;
	r->inline_public_key = span_of(k->public_key.data, k->public_key.len);
	if (k->suite != TOKEND__V1__SUITE__SEALEDBOX_X25519)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "recipient.inline_key.suite",
		    "%d is not a suite that this service seals with", (int)k->suite);
	if (k->public_key.len != RECIPIENT_KEY_BYTES)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "recipient.inline_key.public_key",
		    "has %zu bytes; an X25519 key has %d", k->public_key.len, RECIPIENT_KEY_BYTES);
	return 0;
}

static int
take_recipient(const Tokend__V1__Recipient *to, struct request *r, struct status *ret_refusal)
{
	char shown[TEXT_SHOWN_ROOM];

	if (to == NULL || to->key_case == TOKEND__V1__RECIPIENT__KEY__NOT_SET)
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "recipient",
		    "is missing: to whom shall the token be sealed?");
	if (to->key_case == TOKEND__V1__RECIPIENT__KEY_INLINE_KEY)
		return take_inline_key(to->inline_key, r, ret_refusal);

	struct span id = span_str(to->key_id);

	if (id.bytes == 0 || id.bytes > KEY_ID_BYTES_MOST || !text_only(id, key_id_characters))
		return decode_refuse(ret_refusal, STATUS_INVALID_FIELD, "recipient.key_id",
		    "\"%s\" is not 1 to %d of A-Z a-z 0-9 . _ -", text_shown(id, shown), KEY_ID_BYTES_MOST);
	r->recipient_key_id = to->key_id;
	return 0;
}

static int
take_expiry(const Google__Protobuf__Timestamp *t, struct request *r, struct status *ret_refusal)
{
	if (decode_check_seconds("expires_at", t, STATUS_INVALID_FIELD, ret_refusal) != 0)
		return -1;
	r->has_expires_at = t != NULL;
	r->expires_at = t != NULL ? t->seconds : 0;
	return 0;
}

int
decode_values(const struct config *c, struct arena *a, struct request *r, struct status *ret_refusal)
{
	const Tokend__V1__CreateTokenRequest *m = r->decoded;

	if (take_target(c, m->target, r, ret_refusal) != 0 ||
	    take_description(m->description, r, ret_refusal) != 0 ||
	    take_permissions(m, a, r, ret_refusal) != 0 ||
	    take_expiry(m->expires_at, r, ret_refusal) != 0 ||
	    decode_check_deadline(c, r->issued_at, m->deadline, STATUS_INVALID_FIELD, ret_refusal) != 0 ||
	    take_recipient(m->recipient, r, ret_refusal) != 0)
		return -1;
	return 0;
}
