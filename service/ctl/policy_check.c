/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl policy check: would the service take this policy, and what does it mean?
 *
 * The file is read by the service's own code, so what is good here is good there. A policy that is good
 * may still not say what was meant; so it is told in words, and what is lawful but looks like a slip is
 * noted below.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/ctl/command.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/policy_words.h"
#include "service/policy_snapshot.h"

struct flags {
	const char *tokend_config;
};

static const struct option rows[] = {
	{ "tokend-config", 0, OPTION_TEXT, offsetof(struct flags, tokend_config), 0, "FILE",
	    "tokend.yaml: clusters that it does not have refuse the policy" },
};

/* One reading of a policy. */
struct reading {
	const struct policy *policy;
	struct arena *arena;
	int64_t now;
	const char *notes;              /* lines */
};

static void
note(struct reading *r, const struct policy_principal *who, const char *what)
{
	r->notes = arena_text(r->arena, "%snote: %s: %s\n", r->notes, who->name, what);
}

static void
print_key(struct reading *r, const struct policy_principal *who, const char *kind, const char *id, int64_t not_before,
    int64_t not_after)
{
	const char *validity = policy_words_validity(not_before, not_after, r->now, r->arena);
	enum policy_words_state state = policy_words_state(not_before, not_after, r->now);

	printf("  %-14s %s: %s\n", kind, id, validity);
	if (state == POLICY_WORDS_ENDS_SOON || state == POLICY_WORDS_EXPIRED)
		note(r, who, arena_text(r->arena, "%s %s: %s", kind, id, validity));
}

static bool
is_valid(int64_t not_before, int64_t not_after, int64_t now)
{
	return now >= not_before && now <= not_after;
}

static void
print_signing_keys(struct reading *r, const struct policy_principal *who)
{
	bool valid = false;

	for (size_t i = 0; i < r->policy->n_keys; i++) {
		const struct policy_key *k = &r->policy->keys[i];

		if (strcmp(k->principal, who->name) != 0)
			continue;
		print_key(r, who, "signing key", k->id, k->not_before, k->not_after);
		valid = valid || is_valid(k->not_before, k->not_after, r->now);
	}
	if (!valid)
		note(r, who, "no signing key is valid now: whatever it asks for is refused");
}

static void
print_recipients(struct reading *r, const struct policy_principal *who)
{
	bool valid = who->allow_inline_key;

	for (size_t i = 0; i < who->n_recipients; i++) {
		const struct policy_recipient *k = &who->recipients[i];

		print_key(r, who, "recipient key", k->id, k->not_before, k->not_after);
		valid = valid || is_valid(k->not_before, k->not_after, r->now);
	}
	printf("  %-14s %s\n", "inline keys",
	    who->allow_inline_key ? "allowed: a request may bring any key along" : "refused");
	if (!valid)
		note(r, who, "no recipient key is valid now, and inline keys are refused: no token could be sealed");
}

static void
print_grants(struct reading *r, const struct policy_principal *who)
{
	for (size_t i = 0; i < who->n_grants; i++) {
		const struct policy_grant *g = &who->grants[i];
		const char *name = arena_text(r->arena, "grant %zu", i + 1);

		printf("  %-14s line %u: %s\n", name, g->line, policy_words_grant(g, r->arena));
		if (g->all_databases && g->n_databases > 0)
			note(r, who, arena_text(r->arena,
			    "%s (line %u): its databases narrow nothing beside all_databases: true", name, g->line));
	}
	if (who->n_grants == 0)
		note(r, who, "has no grants: whatever it asks for is denied");
}

static void
print_policy(struct reading *r, const char *path)
{
	printf("%s: good; %zu principal%s, %zu signing key%s\n", path, r->policy->n_principals,
	    r->policy->n_principals == 1 ? "" : "s", r->policy->n_keys, r->policy->n_keys == 1 ? "" : "s");
	for (size_t i = 0; i < r->policy->n_principals; i++) {
		const struct policy_principal *who = &r->policy->principals[i];

		printf("\n%s (line %u)\n", who->name, who->line);
		print_signing_keys(r, who);
		print_recipients(r, who);
		print_grants(r, who);
		printf("  %-14s %s\n", "limits", policy_words_limits(&who->limits, r->arena));
	}
	if (r->notes[0] != '\0')
		printf("\n%s", r->notes);
}

static enum command_exit
run(struct invocation *v)
{
	const struct flags *f = v->options;
	struct reading r = { .arena = v->arena, .now = clock_wall_ms() / 1000, .notes = "" };
	enum command_exit status = EXIT_REFUSED;
	struct config *config = NULL;
	struct policy *policy;
	struct err e;

	if (v->n_words != 1)
		return output_usage("policy check takes one policy file");
	if (f->tokend_config != NULL && (config = config_load(f->tokend_config, &e)) == NULL)
		return output_usage("%s", e.text);
	policy = policy_load(v->words[0], config, &e);
	if (policy != NULL) {
		r.policy = policy;
		print_policy(&r, v->words[0]);
		status = EXIT_DONE;
	} else {
		output_say("%s", e.text);
	}
	policy_release(policy);
	config_free(config);
	return status;
}

static const struct command_note examples[] = {
	{ "tokenctl policy check policy.yaml --tokend-config tokend.yaml",
	    "Before it is rolled out:" },
	{ NULL, NULL }
};

static const struct command_note files[] = {
	{ "FILE", "The policy: YAML, in the form that the README tells." },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "The service would take the file." },
	{ "1", "It would refuse it; why, is on standard error." },
	{ "2", "The command line, or the file of --tokend-config, is wrong." },
	{ NULL, NULL }
};

const struct command policy_check_command = {
	.name = "policy check",
	.arguments = "FILE",
	.summary = "check a policy file, and say what it means",
	.about =
	    "Reads the file as the service does, and tells it in words: whose keys it holds and until when they are "
	    "valid, and what each grant allows. Keys that have expired, or will within 30 days, and what is lawful "
	    "but looks like a slip are noted at the end.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.files = files,
	.examples = examples,
	.run = run,
};
