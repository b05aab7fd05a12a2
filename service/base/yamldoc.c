/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcyaml, held to one sentence.
 *
 * It reports by a log function: first what is wrong, then a backtrace from the inside out, line by
 * line. We keep the first of each. Since it goes on after some warnings (a second document is merely
 * left unread), any complaint counts as a refusal here.
 *
 * Not named yaml.c: yaml_ is libyaml's prefix, and a yaml_free of ours would be called by it.
 */
#include "service/base/yamldoc.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/err.h"
#include "service/base/text.h"

struct complaint {
	char what[200];
	unsigned line;          /* near which it is; 0: not told */
};

static void
hear(cyaml_log_t level, void *context, const char *format, va_list args)
{
	static const char module[] = "Load: ", inside[] = "in ", number[] = "line: ";
	struct complaint *c = context;
	char line[200];
	const char *text = line, *at;

	(void)level;
	(void)vsnprintf(line, sizeof(line), format, args);
	line[text_cut(span_str(line), sizeof(line) - 4).bytes] = '\0';  /* where a character ends */
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(text, module, strlen(module)) == 0)
		text += strlen(module);
	text += strspn(text, " ");
	if (strncmp(text, inside, strlen(inside)) == 0) {
		at = strstr(text, number);
		if (at != NULL && c->line == 0)
			c->line = (unsigned)strtoul(at + strlen(number), NULL, 10);
	} else if (c->what[0] == '\0' && strcmp(text, "Backtrace:") != 0) {
		(void)snprintf(c->what, sizeof(c->what), "%s", text);
	}
}

static cyaml_config_t
settings(struct complaint *c)
{
	return (cyaml_config_t){ .log_fn = hear, .log_ctx = c, .log_level = CYAML_LOG_NOTICE, .mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS };
}

unsigned char *
yamldoc_read(const char *path, size_t max_bytes, size_t *ret_bytes, struct err *ret_err)
{
	FILE *f = fopen(path, "re");
	unsigned char *text;
	size_t bytes;

	if (f == NULL) {
		(void)err_set(ret_err, ERR_REFUSE, "%s: cannot be opened: %s", path, strerror(errno));
		return NULL;
	}
	text = malloc(max_bytes + 1);
	if (text == NULL)
		abort();
	bytes = fread(text, 1, max_bytes + 1, f);
	if (ferror(f))
		(void)err_set(ret_err, ERR_REFUSE, "%s: cannot be read: %s", path, strerror(errno));
	else if (bytes > max_bytes)
		(void)err_set(ret_err, ERR_REFUSE, "%s: has more than %zu bytes", path, max_bytes);
	else {
		(void)fclose(f);
		*ret_bytes = bytes;
		return text;
	}
	(void)fclose(f);
	free(text);
	return NULL;
}

void *
yamldoc_parse(const char *path, const unsigned char *text, size_t bytes, const struct cyaml_schema_value *schema,
    struct err *ret_err)
{
	struct complaint c = { "", 0 };
	char where[40] = "";
	cyaml_config_t config = settings(&c);
	cyaml_data_t *data = NULL;
	cyaml_err_t result = cyaml_load_data(text, bytes, &config, schema, &data, NULL);

	if (result == CYAML_OK && data != NULL && c.what[0] == '\0')
		return data;
	if (c.line > 0)
		(void)snprintf(where, sizeof(where), ", near line %u", c.line);
	if (result == CYAML_OK && data == NULL)
		(void)err_set(ret_err, ERR_REFUSE, "%s: is empty", path);
	else
		(void)err_set(ret_err, ERR_REFUSE, "%s: %s%s", path,
		    c.what[0] != '\0' ? c.what : cyaml_strerror(result), where);
	yamldoc_free(schema, data);
	return NULL;
}

void
yamldoc_free(const struct cyaml_schema_value *schema, void *data)
{
	struct complaint unheard = { "", 0 };
	cyaml_config_t config = settings(&unheard);

	if (data != NULL)
		(void)cyaml_free(&config, schema, data, 0);
}
