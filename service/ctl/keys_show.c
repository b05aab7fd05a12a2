/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl keys show: what a key file holds, but for the secret.
 *
 * Both kinds of key files look alike, on purpose; what a file is, a profile says that names it. Where
 * none does, --kind says so, and without it the public half is shown as either.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/ctl/ask.h"
#include "service/ctl/command.h"
#include "service/ctl/keys.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

struct flags {
	const char *kind;
};

static const struct option rows[] = {
	{ "kind", 0, OPTION_TEXT, offsetof(struct flags, kind), 0, "signing|box",
	    "what the file is, where no profile says so" },
};

/* What is known of a file. */
struct known {
	bool signing, box;
	const char *id, *where;         /* NULL: no profile names it */
};

static bool
same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Look for the file in all profiles. That there are none, or damaged ones, is config check's to say. */
static struct known
find(const struct invocation *v, const char *file)
{
	const char *config = v->globals->config, **names;
	size_t n = 0;
	struct err e;

	if (profile_names(config, v->arena, &names, &n, &e) != 0)
		return (struct known){ true, true, NULL, NULL };
	for (size_t i = 0; i < n; i++) {
		const struct profile *p;

		if (profile_load(config, names[i], v->arena, &p, &e) != 0)
			continue;
		if (same_file(file, p->signing_key.file))
			return (struct known){ true, false, p->signing_key.id,
			    arena_text(v->arena, "signing_key of profile %s", names[i]) };
		if (same_file(file, p->box_key.file))
			return (struct known){ false, true, p->box_key.id,
			    arena_text(v->arena, "box_key of profile %s", names[i]) };
	}
	return (struct known){ true, true, NULL, NULL };
}

static int
print_public(const char *file, const char *what, int (*read)(const char *, struct keys *, struct err *),
    struct err *ret_err)
{
	struct keys k;
	char text[KEYS_TEXT_ROOM], fingerprint[KEYS_FINGERPRINT_ROOM];

	if (read(file, &k, ret_err) != 0)
		return -1;
	keys_wipe(&k);
	printf("public       %s%s\nfingerprint  %s\n", text_base64(span_of(k.public_key, KEYS_BYTES), text), what,
	    keys_fingerprint(k.public_key, fingerprint));
	return 0;
}

static int
print(const char *file, const struct known *k, struct err *ret_err)
{
	bool either = k->signing && k->box;

	printf("file         %s\nkind         %s", file, either ? "signing or box" : k->signing ? "signing" : "box");
	if (k->where != NULL)
		printf(" (%s)", k->where);
	printf("\n");
	if (k->id != NULL)
		printf("id           %s\n", k->id);
	if (k->signing && print_public(file, either ? " (as a signing key)" : "", keys_read_signing, ret_err) != 0)
		return -1;
	return !k->box ? 0 : print_public(file, either ? " (as a box key)" : "", keys_read_box, ret_err);
}

static enum command_exit
run(struct invocation *v)
{
	const struct flags *f = v->options;
	const char *kind = f->kind;
	char shown[TEXT_SHOWN_ROOM];
	struct known k;
	struct keys keys;
	struct err e;

	if (v->n_words != 1)
		return output_usage("keys show wants one FILE; there are %d", v->n_words);
	if (kind != NULL && strcmp(kind, "signing") != 0 && strcmp(kind, "box") != 0)
		return output_usage("--kind is signing or box, not \"%s\"", text_shown(span_str(kind), shown));
	if (keys_read_box(v->words[0], &keys, &e) != 0)         /* any 32 bytes are a box key's */
		return output_usage("%s", e.text);
	keys_wipe(&keys);
	ask_warn_if_public(v->words[0]);
	k = find(v, v->words[0]);
	if (kind != NULL) {
		k.signing = kind[0] == 's';
		k.box = !k.signing;
	}
	return print(v->words[0], &k, &e) == 0 ? EXIT_DONE : output_usage("%s", e.text);
}

const struct command keys_show_command = {
	.name = "keys show",
	.arguments = "FILE",
	.summary = "show what a key file holds, but for the secret",
	.about =
	    "Prints the key's kind and id, if a profile of --config names the file, its public half, and the "
	    "fingerprint of that: sha256: and 16 hex digits. Never the secret.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.run = run,
};
