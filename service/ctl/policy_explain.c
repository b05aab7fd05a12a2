/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl policy explain: would this request be granted, by which grant, or why not?
 *
 * It is the service that answers: a request as the decoder would have left it goes through the functions
 * that the service calls, authorize.c and through it policy_allows. Nothing is matched here. What is added
 * is each grant's own answer, so that whoever wrote the policy sees which line to change.
 *
 * Left out: quotas, which depend on what was asked before, and whatever is refused for its form alone.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "service/authorize.h"
#include "service/base/arena.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/policy_words.h"
#include "service/policy_snapshot.h"
#include "service/request.h"
#include "service/status.h"

struct flags {
	const char *principal, *expires_at, *at, *key, *recipient, *tokend_config;
	struct options_list permissions;
	bool inline_key;
};

static const struct option rows[] = {
	{ "principal", 0, OPTION_TEXT, offsetof(struct flags, principal), 0, "NAME", "who asks" },
	{ "read-database", 0, OPTION_LIST, offsetof(struct flags, permissions), PERMISSION_READ, "NAME",
	    "the token may query it; * for every database; repeatable" },
	{ "write-database", 0, OPTION_LIST, offsetof(struct flags, permissions), PERMISSION_WRITE, "NAME",
	    "the token may write to it; * for every database; repeatable" },
	{ "expires-at", 0, OPTION_TEXT, offsetof(struct flags, expires_at), 0, "TIME",
	    "when the token expires; without it, never" },
	{ "key", 0, OPTION_TEXT, offsetof(struct flags, key), 0, "ID",
	    "the signing key (default: one of the principal's that is valid)" },
	{ "recipient", 0, OPTION_TEXT, offsetof(struct flags, recipient), 0, "ID",
	    "the recipient key (default: one of the principal's that is valid)" },
	{ "inline-key", 0, OPTION_SWITCH, offsetof(struct flags, inline_key), 0, NULL,
	    "the request brings its recipient key along" },
	{ "at", 0, OPTION_TEXT, offsetof(struct flags, at), 0, "TIME", "when it is asked (default now)" },
	{ "tokend-config", 0, OPTION_TEXT, offsetof(struct flags, tokend_config), 0, "FILE",
	    "tokend.yaml: which clusters there are, and which are retiring" },
};

/* Who asks for what, as the service would see it. */
struct asking {
	const struct flags *flags;
	const char *cluster_name;
	struct arena *arena;
	struct config *config;          /* loaded; NULL: a cluster of that name is believed to exist */
	struct policy *policy;
	const struct policy_principal *who;     /* NULL: the policy has none of that name */
	int64_t at;
	struct request request;
};

/* ---- what was typed ------------------------------------------------------------------------------- */

static int
read_time(const char *flag, const char *text, int64_t *ret_seconds, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	int32_t nanos;

	if (!text_parse_time(span_str(text), ret_seconds, &nanos))
		return err_set(ret_err, ERR_REFUSE, "--%s \"%s\" is not a time such as 2026-12-01T00:00:00Z", flag,
		    text_shown(span_str(text), shown));
	return 0;
}

static int
read_permissions(struct asking *q, struct err *ret_err)
{
	const struct options_list *typed = &q->flags->permissions;
	struct request *r = &q->request;
	char shown[TEXT_SHOWN_ROOM];

	if (typed->n == 0)
		return err_set(ret_err, ERR_REFUSE, "what is asked for? give --read-database or --write-database");
	r->permissions = arena_alloc(q->arena, typed->n * sizeof(*r->permissions));
	for (; r->n_permissions < typed->n; r->n_permissions++) {
		const struct options_item *i = &typed->items[r->n_permissions];
		bool every = strcmp(i->value, "*") == 0;

		if (!every && !text_is_database(span_str(i->value)))
			return err_set(ret_err, ERR_REFUSE,
			    "--%s-database \"%s\": a database's name is 1 to 64 of A-Z a-z 0-9 _ / -, or * for every "
			    "database", i->tag == PERMISSION_READ ? "read" : "write",
			    text_shown(span_str(i->value), shown));
		r->permissions[r->n_permissions] = (struct permission){ i->tag, every ? NULL : i->value };
	}
	return 0;
}

static const struct policy_principal *
find_principal(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->n_principals; i++)
		if (strcmp(p->principals[i].name, name) == 0)
			return &p->principals[i];
	return NULL;
}

/* The key that was named, else one that is valid, else any. */
static void
choose_recipient(struct asking *q)
{
	static const unsigned char basepoint[RECIPIENT_KEY_BYTES] = { 9 };
	const struct policy_principal *who = q->who;
	struct request *r = &q->request;

	r->recipient_key_id = q->flags->recipient != NULL ? q->flags->recipient : "";
	for (size_t i = 0; q->flags->recipient == NULL && who != NULL && i < who->n_recipients; i++) {
		const struct policy_recipient *k = &who->recipients[i];

		if (r->recipient_key_id[0] == '\0' || (q->at >= k->not_before && q->at <= k->not_after))
			r->recipient_key_id = k->id;
	}
	if (q->flags->inline_key || (r->recipient_key_id[0] == '\0' && who != NULL && who->allow_inline_key)) {
		r->recipient_key_id = NULL;
		r->inline_key = true;
		r->inline_suite = SUITE_SEALEDBOX;
		r->inline_public_key = span_of(basepoint, sizeof(basepoint));
	}
}

static int
find_cluster(struct asking *q, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (q->cluster_name == NULL)
		return err_set(ret_err, ERR_REFUSE, "on which cluster? give --cluster");
	if (q->flags->tokend_config == NULL)
		return 0;
	q->config = config_load(q->flags->tokend_config, ret_err);
	if (q->config == NULL)
		return -1;
	q->request.cluster = config_cluster(q->config, q->cluster_name);
	if (q->request.cluster < 0)
		return err_set(ret_err, ERR_REFUSE, "%s has no cluster \"%s\"", q->flags->tokend_config,
		    text_shown(span_str(q->cluster_name), shown));
	return 0;
}

static int
prepare(struct asking *q, const char *path, struct err *ret_err)
{
	const struct flags *f = q->flags;
	struct request *r = &q->request;

	if (f->principal == NULL)
		return err_set(ret_err, ERR_REFUSE, "who asks? give --principal");
	if (f->inline_key && f->recipient != NULL)
		return err_set(ret_err, ERR_REFUSE, "--inline-key and --recipient exclude each other");
	q->at = clock_wall_ms() / 1000;
	r->has_expires_at = f->expires_at != NULL;
	if ((f->at != NULL && read_time("at", f->at, &q->at, ret_err) != 0) ||
	    (f->expires_at != NULL && read_time("expires-at", f->expires_at, &r->expires_at, ret_err) != 0) ||
	    read_permissions(q, ret_err) != 0 || find_cluster(q, ret_err) != 0)
		return -1;
	q->policy = policy_load(path, q->config, ret_err);
	if (q->policy == NULL)
		return -1;
	q->who = find_principal(q->policy, f->principal);
	r->principal = f->principal;
	r->issued_at = q->at;
	choose_recipient(q);
	return 0;
}

/* ---- the service's answer ------------------------------------------------------------------------- */

/* The principal's key that would sign: the one that was named, else one that is valid, else any. */
static const struct policy_key *
choose_key(const struct asking *q)
{
	const struct policy_key *chosen = NULL;

	if (q->flags->key != NULL)
		return policy_key(q->policy, span_str(q->flags->key));
	for (size_t i = 0; i < q->policy->n_keys; i++) {
		const struct policy_key *k = &q->policy->keys[i];

		if (strcmp(k->principal, q->flags->principal) == 0 &&
		    (chosen == NULL || (q->at >= k->not_before && q->at <= k->not_after)))
			chosen = k;
	}
	return chosen;
}

static int
ask_about_the_record(const struct asking *q, struct status *ret_refusal)
{
	const struct policy_key *k = choose_key(q);
	char shown[TEXT_SHOWN_ROOM];

	if (k == NULL && q->flags->key != NULL)
		return status_set(ret_refusal, STATUS_UNKNOWN_KEY, "the policy knows no signing key \"%s\"",
		    text_shown(span_str(q->flags->key), shown));
	if (k == NULL)
		return 0;               /* an unknown principal; policy_allows says so */
	if (strcmp(k->principal, q->flags->principal) != 0)
		return status_set(ret_refusal, STATUS_WRONG_PRINCIPAL, "signing key \"%s\" is principal %s's", k->id,
		    k->principal);
	return authorize_record(k, &q->request, q->at, ret_refusal);
}

static int
ask_service(struct asking *q, struct status *ret_refusal)
{
	struct cluster alone = { .name = arena_text(q->arena, "%s", q->cluster_name) };
	const struct config believed = { .clusters = &alone, .n_clusters = 1 };
	struct authorize *a = authorize_new(q->config != NULL ? q->config : &believed);
	int result = -1;

	if (ask_about_the_record(q, ret_refusal) == 0) {
		if (q->who == NULL)
			result = policy_allows(q->policy, q->flags->principal, q->cluster_name, q->request.permissions,
			    q->request.n_permissions, false, 0, q->at, ret_refusal);
		else
			result = authorize_request(a, q->policy, 0, &q->request, q->at, 0, ret_refusal);
	}
	authorize_free(a);
	return result;
}

/* ---- what is printed ------------------------------------------------------------------------------ */

static const char *
denied_by(const struct asking *q, size_t grant, const struct permission *wanted, char room[POLICY_WHY_ROOM])
{
	return policy_grant_denies(q->policy, q->flags->principal, grant, q->cluster_name, wanted,
	    q->request.has_expires_at, q->request.expires_at, q->at, room);
}

static void
print_permission(const struct asking *q, const struct permission *wanted)
{
	const struct policy_principal *who = q->who;
	char room[POLICY_WHY_ROOM];
	size_t by = 0;

	printf("  %s %s on %s: ", wanted->action == PERMISSION_READ ? "read" : "write",
	    wanted->database != NULL ? wanted->database : "every database", q->cluster_name);
	while (by < who->n_grants && denied_by(q, by, wanted, room) != NULL)
		by++;
	if (by < who->n_grants) {
		printf("by grant %zu, line %u, which %s\n", by + 1, who->grants[by].line,
		    policy_words_grant(&who->grants[by], q->arena));
		return;
	}
	printf("by no grant\n");
	for (size_t i = 0; i < who->n_grants; i++)
		printf("    grant %zu, line %u, %s: it %s\n", i + 1, who->grants[i].line, denied_by(q, i, wanted, room),
		    policy_words_grant(&who->grants[i], q->arena));
}

static void
print_answer(const struct asking *q, bool granted, const struct status *refusal)
{
	const struct policy_principal *who = q->who;

	if (granted)
		printf("granted\n");
	else
		printf("refused: %s/%s: %s\n", status_row(refusal->cause)->code_name,
		    status_row(refusal->cause)->reason, refusal->message);
	if (who == NULL)
		return;
	for (size_t i = 0; i < q->request.n_permissions; i++)
		print_permission(q, &q->request.permissions[i]);
	if (granted && (who->limits.per_minute != 0 || who->limits.per_day != 0))
		printf("  as long as its limits last: %s\n", policy_words_limits(&who->limits, q->arena));
}

static enum command_exit
run(struct invocation *v)
{
	struct asking q = { .flags = v->options, .cluster_name = v->globals->cluster, .arena = v->arena };
	struct status refusal = { .message = "" };
	enum command_exit status = EXIT_USAGE;
	struct err e;

	if (v->n_words != 1)
		return output_usage("policy explain takes one policy file");
	if (prepare(&q, v->words[0], &e) == 0) {
		bool granted = ask_service(&q, &refusal) == 0;

		print_answer(&q, granted, &refusal);
		status = granted ? EXIT_DONE : EXIT_REFUSED;
	} else {
		output_say("%s", e.text);
	}
	policy_release(q.policy);
	config_free(q.config);
	return status;
}

static const struct command_note examples[] = {
	{ "tokenctl policy explain policy.yaml --principal telemetry --cluster prod --read-database telemetry_raw "
	    "--expires-at 2027-01-01T00:00:00Z", "May telemetry read telemetry_raw until the new year?" },
	{ NULL, NULL }
};

static const struct command_note files[] = {
	{ "FILE", "The policy: YAML, in the form that the README tells." },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "It would be granted." },
	{ "1", "It would be refused; why, is on standard output." },
	{ "2", "The command line, or a file, is wrong." },
	{ NULL, NULL }
};

const struct command policy_explain_command = {
	.name = "policy explain",
	.arguments = "FILE",
	.summary = "say whether a request would be granted, by which grant, or why not",
	.about =
	    "Asks the policy as the service does, and shows each grant's own answer and its line in the file. Quotas "
	    "are left out: they depend on what was asked before.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.files = files,
	.examples = examples,
	.run = run,
};
