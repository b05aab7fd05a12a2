/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl keys make: a new key pair, and the lines that make it known.
 *
 * A rotation is a new pair beside the old one, made known before it is used: so what to paste is
 * printed, and nothing is changed. The secret half goes into a file of its own and is never shown.
 */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/keys.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/templates.h"

#define ID_MOST 64
#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

struct flags {
	const char *id;
};

static const struct option rows[] = {
	{ "id", 0, OPTION_TEXT, offsetof(struct flags, id), 0, "ID",
	    "what the key is called in configurations and records (default: the file's name without .key)" },
};

/* What kinds there are, how each is made, and where its halves are named. */
static const struct kind {
	const char *name;
	int (*make)(const char *path, char ret_public[KEYS_TEXT_ROOM], struct err *ret_err);
	const char *(*known_as)(const char *id, const char *public_key, struct arena *a);
	const char *public_place, *private_place, *private_member;
} kinds[] = {
	{ "signing", keys_make_signing, templates_signing_key,
	    "policy.yaml, one more of the principal's signing_keys", "tokenctl.yaml, in the profile", "signing_key" },
	{ "box", keys_make_box, templates_box_key,
	    "policy.yaml, one more of the principal's recipient_keys", "tokenctl.yaml, in the profile", "box_key" },
	{ "service", keys_make_signing, templates_signing_key,
	    "each requester's tokenctl.yaml, one more of the service_keys", "tokend.yaml", "signing_key" },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int
check(const struct invocation *v, const struct kind **ret_kind, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	size_t i = 0;

	if (v->n_words != 2)
		return err_set(ret_err, ERR_REFUSE,
		    "keys make wants two words: signing, box or service, and a FILE; there %s %d",
		    v->n_words == 1 ? "is" : "are", v->n_words);
	while (i < KINDS && strcmp(v->words[0], kinds[i].name) != 0)
		i++;
	if (i == KINDS)
		return err_set(ret_err, ERR_REFUSE, "keys make makes a signing, box or service key, not \"%s\"",
		    text_shown(span_str(v->words[0]), shown));
	*ret_kind = &kinds[i];
	return 0;
}

/* The file's name, without its directory and ".key". */
static const char *
default_id(const char *path, struct arena *a)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	size_t bytes = strlen(name);

	if (bytes > 4 && strcmp(name + bytes - 4, ".key") == 0)
		bytes -= 4;
	return arena_text(a, "%.*s", (int)bytes, name);
}

static int
check_id(const char *id, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	if (id[0] != '\0' && strlen(id) <= ID_MOST && text_only(span_str(id), ID_CHARACTERS))
		return 0;
	return err_set(ret_err, ERR_REFUSE,
	    "the key's id \"%s\" is not 1 to %d of A-Z a-z 0-9 . _ -; choose one with --id",
	    text_shown(span_str(id), shown), ID_MOST);
}

static void
print(const struct kind *k, const char *id, const char *path, const char *public_key, struct arena *a)
{
	unsigned char bytes[KEYS_BYTES];
	char fingerprint[KEYS_FINGERPRINT_ROOM], whole[PATH_MAX];

	(void)text_parse_base64(span_str(public_key), bytes, sizeof(bytes));
	printf("file         %s\nkind         %s\nid           %s\n", path, k->name, id);
	printf("public       %s\nfingerprint  %s\n\n", public_key, keys_fingerprint(bytes, fingerprint));
	printf("%s:\n      - %s\n", k->public_place, k->known_as(id, public_key, a));
	printf("%s:\n    %s: %s\n", k->private_place, k->private_member,
	    templates_key_file(id, realpath(path, whole) != NULL ? whole : path, a));
}

static enum command_exit
run(struct invocation *v)
{
	const struct flags *f = v->options;
	const struct kind *k = NULL;
	const char *id;
	char public_key[KEYS_TEXT_ROOM];
	struct err e;

	if (check(v, &k, &e) != 0)
		return output_usage("%s", e.text);
	id = f->id != NULL ? f->id : default_id(v->words[1], v->arena);
	if (check_id(id, &e) != 0 || k->make(v->words[1], public_key, &e) != 0)
		return output_usage("%s", e.text);
	print(k, id, v->words[1], public_key, v->arena);
	return EXIT_DONE;
}

static const struct command_note examples[] = {
	{ "tokenctl keys make signing telemetry-2.key --id telemetry-sign-2", "The next key of a requester:" },
	{ NULL, NULL }
};

const struct command keys_make_command = {
	.name = "keys make",
	.arguments = "signing|box|service FILE",
	.summary = "make a key pair, and say what makes it known",
	.about =
	    "Writes the secret half of a new pair to FILE, readable by you alone and never over an existing file, and "
	    "prints the public half and the lines to paste. A signing key signs requests, a box key opens replies, a "
	    "service key signs what the service answers.\n"
	    "\n"
	    "To rotate a requester's key: paste the public line into policy.yaml beside the old one, then change the "
	    "profile; take the old line out a week later. To rotate the service's: let every requester have the new "
	    "line in service_keys first, then change tokend.yaml.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.examples = examples,
	.run = run,
};
