/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl keys export: the service's public keys, as its requesters pin them.
 *
 * Run where the service's own key is, by whoever may read it; what is printed is no secret and goes
 * into every requester's tokenctl.yaml. While keys rotate it holds the current one and the next.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/ask.h"
#include "service/ctl/command.h"
#include "service/ctl/keys.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"
#include "service/ctl/templates.h"

struct flags {
	const char *tokend_config;
};

static const struct option rows[] = {
	{ "tokend-config", 0, OPTION_TEXT, offsetof(struct flags, tokend_config), 0, "FILE",
	    "tokend.yaml (default: beside the file of --config)" },
};

/* One line of service_keys. */
static int
add(const char *id, const char *file, struct arena *a, const char **text, struct err *ret_err)
{
	struct keys k;
	char public_key[KEYS_TEXT_ROOM];

	if (keys_read_signing(file, &k, ret_err) != 0)
		return -1;
	keys_wipe(&k);
	ask_warn_if_public(file);
	*text = arena_text(a, "%s      - %s\n", *text,
	    templates_signing_key(id, text_base64(span_of(k.public_key, KEYS_BYTES), public_key), a));
	return 0;
}

static int
add_configured(const struct invocation *v, const char **text, struct err *ret_err)
{
	const struct flags *f = v->options;
	const char *path = f->tokend_config != NULL ? f->tokend_config :
	    arena_text(v->arena, "%s/tokend.yaml", profile_directory_of(v->globals->config, v->arena));
	struct config *c = config_load(path, ret_err);
	int result;

	if (c == NULL)
		return -1;
	result = add(c->signing_key_id, c->signing_key_file, v->arena, text, ret_err);
	config_free(c);
	return result;
}

static int
add_named(const struct invocation *v, const char *word, const char **text, struct err *ret_err)
{
	size_t id_bytes;
	const char *file = profile_property_value(word, &id_bytes);
	char shown[TEXT_SHOWN_ROOM];

	if (file == NULL)
		return err_set(ret_err, ERR_REFUSE, "\"%s\" is not ID=FILE: the key's id, and the file with its seed",
		    text_shown(span_str(word), shown));
	return add(arena_text(v->arena, "%.*s", (int)id_bytes, word), file, v->arena, text, ret_err);
}

static enum command_exit
run(struct invocation *v)
{
	const char *text = "    service_keys:\n";
	struct err e;

	if (v->n_words == 0 && add_configured(v, &text, &e) != 0)
		return output_usage("%s", e.text);
	for (int i = 0; i < v->n_words; i++)
		if (add_named(v, v->words[i], &text, &e) != 0)
			return output_usage("%s", e.text);
	(void)fputs(text, stdout);
	return EXIT_DONE;
}

static const struct command_note examples[] = {
	{ "tokenctl keys export --tokend-config /etc/tokend/tokend.yaml", "The key that the service uses:" },
	{ "tokenctl keys export tokend-1=signing.key tokend-2=next.key",
	    "While keys rotate, the current one and the next:" },
	{ NULL, NULL }
};

const struct command keys_export_command = {
	.name = "keys export",
	.arguments = "[ID=FILE...]",
	.summary = "print the service's public keys for its requesters",
	.about =
	    "Prints the service_keys entry of tokenctl.yaml: whose replies are believed. It is made from the signing "
	    "key that tokend.yaml names, or from the seed files that are given, each with the id that stands in the "
	    "replies.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.examples = examples,
	.run = run,
};
