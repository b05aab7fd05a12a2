/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what was typed to a signed request on disk.
 *
 * In this order, and the order is the point: make the request, sign it, store it; only then may
 * anybody hear of it. From the moment the file is on disk the same bytes can be sent again, and the
 * same bytes never make a second token. Bytes under an ID never change: what is typed beside an ID
 * that is known must say the same, or is refused.
 */
#include "service/ctl/ask.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/base/clock.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/earlier.h"
#include "service/ctl/keys.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/wanted.h"
#include "service/ctl/wanted_json.h"

/* what: as whoever typed it calls it. */
static int
check_id(const char *what, const char *request_id, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (request_id == NULL || text_is_request_id(span_str(request_id)))
		return 0;
	return err_set(ret_err, ERR_REFUSE, "%s \"%s\" is not 1 to 128 of A-Z a-z 0-9 . _ : -", what,
	    text_shown(span_str(request_id), room));
}

static int
check_words(const struct invocation *v, const struct ask_flags *f, struct err *ret_err)
{
	char room[TEXT_SHOWN_ROOM];

	if (v->n_words > 1)
		return err_set(ret_err, ERR_REFUSE,
		    "the description is one argument, and there is another: \"%s\"; quote it if it has blanks",
		    text_shown(span_str(v->words[1]), room));
	if (f->json != NULL && (v->n_words > 0 || f->permissions.n > 0 || f->expires_at != NULL))
		return err_set(ret_err, ERR_REFUSE,
		    "--json %s says what is asked for: leave %s away, or write it into the file",
		    text_shown(span_str(f->json), room), v->n_words > 0 ? "the description" :
		    f->permissions.n > 0 ? "--read-database and --write-database" : "--expires-at");
	return check_id("--request-id", f->request_id, ret_err);
}

static int
read_wanted(const struct invocation *v, const struct ask_flags *f, Tokend__V1__CreateTokenRequest **ret_message,
    struct err *ret_err)
{
	const struct globals *g = v->globals;
	struct wanted w = {
		.description = v->n_words > 0 ? v->words[0] : NULL, .expires_at = f->expires_at,
		.cluster = g->cluster, .account = g->account, .cluster_uuid = g->cluster_uuid,
		.permissions = f->permissions, .deadline_ms = f->deadline_ms,
	};

	if (f->json != NULL && wanted_json_read(f->json, v->arena, &w, ret_err) != 0)
		return -1;
	return wanted_message(&w, clock_wall_ms() / 1000, v->arena, ret_message, ret_err);
}

/* What the profile says must be what the stored request says: it is sent, and answered, as it is. */
static int
check_owner(const Tokend__V1__CreateTokenRequest *m, const struct profile *p, struct err *ret_err)
{
	if (strcmp(m->service_id, p->service_id) == 0 && strcmp(m->principal, p->principal) == 0)
		return 0;
	return err_set(ret_err, ERR_REFUSE,
	    "request %s is principal %s's to service %s, and the profile says principal %s, service %s; "
	    "choose its profile with --profile", m->request_id, m->principal, m->service_id, p->principal,
	    p->service_id);
}

static int
check_profile(const Tokend__V1__CreateTokenRequest *m, const struct profile *p, struct err *ret_err)
{
	if (check_owner(m, p, ret_err) != 0)
		return -1;
	if (m->recipient == NULL || m->recipient->key_case != TOKEND__V1__RECIPIENT__KEY_KEY_ID ||
	    strcmp(m->recipient->key_id, p->box_key.id) != 0)
		return err_set(ret_err, ERR_REFUSE,
		    "request %s asks for a box that the profile's box key %s does not open; while keys rotate, a "
		    "second profile with the old box_key reads what was asked with it", m->request_id, p->box_key.id);
	return 0;
}

static int
check_stored(const Tokend__V1__CreateTokenRequest *m, const Tokend__V1__CreateTokenRequest *wanted,
    const struct profile *p, struct err *ret_err)
{
	const char *what;

	if (!request_asks_the_same(m, wanted, &what))
		return err_set(ret_err, ERR_REFUSE,
		    "request %s was made before, and %s was different; leave the flags away to send it again, "
		    "or leave --request-id away to ask for another token", m->request_id, what);
	return check_profile(m, p, ret_err);
}

void
ask_warn_if_public(const char *path)
{
	if (!secret_file_is_private(path))
		output_say("warning: %s can be read by others on this machine; chmod 600 mends it", path);
}

static int
read_signing(const struct profile *p, struct keys *ret_signing, struct err *ret_err)
{
	if (keys_read_signing(p->signing_key.file, ret_signing, ret_err) != 0)
		return -1;
	ask_warn_if_public(p->signing_key.file);
	return 0;
}

/* A new request: made, signed, and on disk before anybody hears of it. */
static int
make(const struct invocation *v, Tokend__V1__CreateTokenRequest *wanted, const char *request_id,
    const struct profile *p, struct signed_request *ret_request, struct err *ret_err)
{
	struct keys signing;

	if (wanted_complete(wanted, request_id, p, v->arena, ret_err) != 0 || read_signing(p, &signing, ret_err) != 0)
		return -1;
	request_sign(wanted, p->signing_key.id, signing.secret, v->arena, ret_request);
	keys_wipe(&signing);
	return request_store(p->state_dir, ret_request, ret_err);
}

int
ask_sign(const struct invocation *v, const struct ask_flags *f, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err)
{
	const char *id = f->request_id;
	char room[REQUEST_ID_ROOM];
	Tokend__V1__CreateTokenRequest *wanted;
	int found = 0;

	if (check_words(v, f, ret_err) != 0 || read_wanted(v, f, &wanted, ret_err) != 0)
		return -1;
	if (id != NULL)
		found = request_load(p->state_dir, id, v->arena, ret_request, ret_err);
	if (found < 0)
		return -1;
	if (found > 0)
		return check_stored(ret_request->message, wanted, p, ret_err);
	if (id != NULL && wanted->description[0] == '\0' && wanted->n_permissions == 0)
		return err_set(ret_err, ERR_REFUSE,
		    "there is no request %s in %s; to make a new one give description and permissions", id,
		    p->state_dir);
	return make(v, wanted, id != NULL ? id : request_new_id(room), p, ret_request, ret_err);
}

int
ask_stored(const struct invocation *v, const char *request_id, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err)
{
	int found = check_id("--request-id", request_id, ret_err) == 0 ?
	    request_load(p->state_dir, request_id, v->arena, ret_request, ret_err) : -1;

	if (found < 0)
		return -1;
	if (found == 0)
		return err_set(ret_err, ERR_REFUSE,
		    "there is no request %s in %s: without its bytes no reply can be told from a forged one; "
		    "token create and request make store them", request_id, p->state_dir);
	return check_profile(ret_request->message, p, ret_err);
}

static struct earlier
about(const struct invocation *v, const char *request_id, const struct profile *p)
{
	return (struct earlier){ request_id, p, clock_wall_ms() / 1000, earlier_life_s(v->globals->timeout_ms) };
}

int
ask_outcome(const struct invocation *v, const char *request_id, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err)
{
	const struct earlier e = about(v, request_id, p);
	struct signed_request create;
	struct keys signing;
	int found = check_id("--request-id", request_id, ret_err) == 0 ?
	    request_load(p->state_dir, request_id, v->arena, &create, ret_err) : -1;

	if (found < 0 || (found > 0 && check_profile(create.message, p, ret_err) != 0) ||
	    read_signing(p, &signing, ret_err) != 0)
		return -1;
	earlier_outcome(&e, found > 0 ? &create : NULL, signing.secret, v->arena, ret_request);
	keys_wipe(&signing);
	return 0;
}

int
ask_revocable(const struct invocation *v, const char *request_id, const struct profile *p,
    const Tokend__V1__CreateTokenRequest **ret_create, struct err *ret_err)
{
	struct signed_request create;
	int found = check_id("the request ID", request_id, ret_err) == 0 ?
	    request_load(p->state_dir, request_id, v->arena, &create, ret_err) : -1;

	if (found < 0 || (found > 0 && check_owner(create.message, p, ret_err) != 0))
		return -1;
	*ret_create = found > 0 ? create.message : NULL;
	return 0;
}

int
ask_revocation(const struct invocation *v, const char *request_id, const char *reason, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err)
{
	const struct earlier e = about(v, request_id, p);
	struct keys signing;

	if (read_signing(p, &signing, ret_err) != 0)
		return -1;
	earlier_revocation(&e, reason, signing.secret, v->arena, ret_request);
	keys_wipe(&signing);
	return 0;
}
