/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line, or a JSON file, asks for, as a CreateTokenRequest.
 *
 * The service checks all of this again and does not trust us. It is checked here as well, because a
 * typing error that is found before the request is stored and sent costs a second and no ID. What
 * needs the service's knowledge (policy, clusters, the longest deadline) is left to it.
 */
#include "service/ctl/wanted.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/profile.h"

#define PERMISSIONS_MOST 1000
#define EVERY_DATABASE "*"

static Google__Protobuf__Timestamp *
new_time(int64_t seconds, struct arena *a)
{
	Google__Protobuf__Timestamp *t = arena_alloc(a, sizeof(*t));

	google__protobuf__timestamp__init(t);
	t->seconds = seconds;
	return t;
}

static char *
copy(const char *text, struct arena *a)
{
	return arena_text(a, "%s", text);
}

/* Where the i-th permission was found, for a sentence. */
static const char *
place_of(const struct wanted *w, size_t i, struct arena *a)
{
	if (w->source != NULL)
		return arena_text(a, "%s: permissions[%zu].resource", w->source, i);
	return w->permissions.items[i].tag == TOKEND__V1__ACTION__READ ? "--read-database" : "--write-database";
}

static int
add_permission(const struct wanted *w, size_t at, Tokend__V1__CreateTokenRequest *m, struct arena *a,
    struct err *ret_err)
{
	const struct options_item *item = &w->permissions.items[at];
	Tokend__V1__Permission *p = arena_alloc(a, sizeof(*p));
	char room[TEXT_SHOWN_ROOM];

	tokend__v1__permission__init(p);
	p->action = (Tokend__V1__Action)item->tag;
	if (strcmp(item->value, EVERY_DATABASE) == 0) {
		p->resource_case = TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES;
		p->all_databases = 1;
	} else if (text_is_database(span_str(item->value))) {
		p->resource_case = TOKEND__V1__PERMISSION__RESOURCE_DATABASE;
		p->database = copy(item->value, a);
	} else {
		return err_set(ret_err, ERR_REFUSE,
		    "%s \"%s\": a database's name is 1 to 64 of A-Z a-z 0-9 _ / -, or * for every database",
		    place_of(w, at, a), text_shown(span_str(item->value), room));
	}
	for (size_t i = 0; i < m->n_permissions; i++)
		if (m->permissions[i]->action == p->action && m->permissions[i]->resource_case == p->resource_case &&
		    (p->resource_case == TOKEND__V1__PERMISSION__RESOURCE_ALL_DATABASES ||
		    strcmp(m->permissions[i]->database, p->database) == 0))
			return err_set(ret_err, ERR_REFUSE, "%s %s stands there twice, with the same action",
			    place_of(w, at, a), item->value);
	m->permissions[m->n_permissions++] = p;
	return 0;
}

static int
read_permissions(const struct wanted *w, Tokend__V1__CreateTokenRequest *m, struct arena *a, struct err *ret_err)
{
	const struct options_list *list = &w->permissions;

	if (list->n > PERMISSIONS_MOST)
		return err_set(ret_err, ERR_REFUSE, "%zu permissions are more than a request may hold, which is %d",
		    list->n, PERMISSIONS_MOST);
	m->permissions = arena_alloc(a, (list->n + 1) * sizeof(*m->permissions));
	for (size_t i = 0; i < list->n; i++)
		if (add_permission(w, i, m, a, ret_err) != 0)
			return -1;
	return 0;
}

static int
read_target(const struct wanted *w, Tokend__V1__CreateTokenRequest *m, struct arena *a, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];
	Tokend__V1__Target *t;

	if (w->cluster == NULL && w->account == NULL && w->cluster_uuid == NULL)
		return 0;
	if ((w->account == NULL) != (w->cluster_uuid == NULL))
		return err_set(ret_err, ERR_REFUSE,
		    "--account and --cluster-uuid belong together: one alone names no cluster");
	if (w->cluster != NULL && w->account != NULL)
		return err_set(ret_err, ERR_REFUSE,
		    "the cluster is named twice: --cluster, or --account with --cluster-uuid, not both");
	if (w->account != NULL && !text_is_uuid(span_str(w->account)))
		return err_set(ret_err, ERR_REFUSE, "--account \"%s\" is not a UUID in lower case",
		    text_shown(span_str(w->account), room));
	if (w->cluster_uuid != NULL && !text_is_uuid(span_str(w->cluster_uuid)))
		return err_set(ret_err, ERR_REFUSE, "--cluster-uuid \"%s\" is not a UUID in lower case",
		    text_shown(span_str(w->cluster_uuid), room));
	t = arena_alloc(a, sizeof(*t));
	tokend__v1__target__init(t);
	if (w->cluster != NULL) {
		t->cluster = copy(w->cluster, a);
	} else {
		t->account_id = copy(w->account, a);
		t->cluster_id = copy(w->cluster_uuid, a);
	}
	m->target = t;
	return 0;
}

static int
read_times(const struct wanted *w, int64_t now, Tokend__V1__CreateTokenRequest *m, struct arena *a, struct err *ret_err)
{
	int64_t seconds;
	int32_t nanos;
	const char *place = w->source != NULL ? arena_text(a, "%s: expiresAt", w->source) : "--expires-at";
	char room[TEXT_SHOWN_ROOM];

	m->issued_at = new_time(now, a);
	if (w->expires_at != NULL) {
		if (!text_parse_time(span_str(w->expires_at), &seconds, &nanos))
			return err_set(ret_err, ERR_REFUSE,
			    "%s \"%s\" is not a time such as 2026-12-01T00:00:00Z or 2026-12-01T00:00:00+0000",
			    place, text_shown(span_str(w->expires_at), room));
		if (nanos != 0)
			return err_set(ret_err, ERR_REFUSE,
			    "%s \"%s\" has a fraction; tokens expire at whole seconds", place,
			    text_shown(span_str(w->expires_at), room));
		m->expires_at = new_time(seconds, a);
	}
	if (w->deadline_ms != 0) {
		if (w->deadline_ms % 1000 != 0)
			return err_set(ret_err, ERR_REFUSE, "--deadline has a fraction; deadlines are whole seconds");
		m->deadline = new_time(now + (int64_t)(w->deadline_ms / 1000), a);
	}
	return 0;
}

int
wanted_message(const struct wanted *w, int64_t now, struct arena *a, Tokend__V1__CreateTokenRequest **ret_message,
    struct err *ret_err)
{
	Tokend__V1__CreateTokenRequest *m = arena_alloc(a, sizeof(*m));
	char room[TEXT_SHOWN_ROOM];

	tokend__v1__create_token_request__init(m);
	if (w->description != NULL) {
		if (!text_is_description(span_str(w->description)))
			return err_set(ret_err, ERR_REFUSE,
			    "%s%sthe description \"%s\" is not 1 to 200 bytes of UTF-8 without control "
			    "characters, without a blank at either end and without \"[tokend/\"",
			    w->source != NULL ? w->source : "", w->source != NULL ? ": " : "",
			    text_shown(span_str(w->description), room));
		m->description = copy(w->description, a);
	}
	if (read_permissions(w, m, a, ret_err) != 0 || read_target(w, m, a, ret_err) != 0 ||
	    read_times(w, now, m, a, ret_err) != 0)
		return -1;
	*ret_message = m;
	return 0;
}

int
wanted_complete(Tokend__V1__CreateTokenRequest *message, const char *request_id, const struct profile *p,
    struct arena *a, struct err *ret_err)
{
	char room[TEXT_RFC3339_ROOM];

	if (message->description[0] == '\0')
		return err_set(ret_err, ERR_REFUSE,
		    "a description is missing: what people will read beside the token in InfluxDB");
	if (message->n_permissions == 0)
		return err_set(ret_err, ERR_REFUSE,
		    "a token that may do nothing: give --read-database or --write-database");
	if (message->expires_at != NULL && message->expires_at->seconds <= message->issued_at->seconds)
		return err_set(ret_err, ERR_REFUSE, "the expiry %s is in the past",
		    text_time(message->expires_at->seconds, -1, room));
	message->request_id = copy(request_id, a);
	message->principal = p->principal;
	message->service_id = p->service_id;
	if (message->target == NULL && p->cluster != NULL) {
		message->target = arena_alloc(a, sizeof(*message->target));
		tokend__v1__target__init(message->target);
		message->target->cluster = p->cluster;
	}
	message->recipient = arena_alloc(a, sizeof(*message->recipient));
	tokend__v1__recipient__init(message->recipient);
	message->recipient->key_case = TOKEND__V1__RECIPIENT__KEY_KEY_ID;
	message->recipient->key_id = p->box_key.id;
	return 0;
}
