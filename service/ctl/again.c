/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines for people to paste.
 *
 * Whenever tokenctl stops short of a token it prints the line that goes on, whole: a line that one
 * would have to mend by hand, at the moment when something is wrong, is no help. Every word is quoted
 * as a shell needs it.
 */
#include "service/ctl/again.h"

#include <string.h>

#include "service/base/arena.h"
#include "service/ctl/command.h"
#include "service/ctl/deliver.h"
#include "service/ctl/profile.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";

const char *
again_word(const char *text, struct arena *a)
{
	char *word, *out;

	if (text[0] != '\0' && strspn(text, plain) == strlen(text))
		return text;
	word = out = arena_alloc(a, strlen(text) * 4 + 3);
	*out++ = '\'';
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			out = stpcpy(out, "'\\''");
		else
			*out++ = *text;
	}
	*out = '\'';
	return word;
}

const char *
again_profile(const struct invocation *v, const char *line)
{
	const struct globals *g = v->globals;
	struct arena *a = v->arena;

	if (strcmp(g->config, profile_default_path(a)) != 0)
		line = arena_text(a, "%s --config %s", line, again_word(g->config, a));
	if (strcmp(g->profile, "default") != 0)
		line = arena_text(a, "%s --profile %s", line, again_word(g->profile, a));
	return line;
}

const char *
again_line(const struct invocation *v, const char *command, const char *request_id, const struct deliver_flags *f)
{
	struct arena *a = v->arena;
	const char *line = again_profile(v, arena_text(a, "tokenctl %s --request-id %s", command, request_id));

	if (f == NULL)
		return line;
	if (f->format != NULL)
		line = arena_text(a, "%s --format %s", line, f->format);
	if (f->out != NULL)
		line = arena_text(a, "%s --out %s", line, again_word(f->out, a));
	if (f->wait_active != NULL)
		line = arena_text(a, "%s --wait-active %s", line, again_word(f->wait_active, a));
	if (f->command != NULL)
		line = arena_text(a, "%s --exec", line);
	for (char **word = f->command; word != NULL && *word != NULL; word++)
		line = arena_text(a, "%s %s", line, again_word(*word, a));
	return line;
}
