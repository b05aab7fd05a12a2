/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl config check: all that can be known to be wrong before anything is sent.
 *
 * A profile that is half right shows it as a timeout: the reply came, and nobody could believe or open
 * it. So every file is read here, every key derived, every Kafka property tried on librdkafka; and
 * with --tokend-config, both ends are held against each other. It goes on after the first finding, for whoever mends a
 * configuration wants the whole list.
 *
 * It talks to nobody: whether the brokers are there, the first request will say.
 */
#include "service/ctl/config_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/command.h"
#include "service/ctl/kafka_conf.h"
#include "service/ctl/keys.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

struct flags {
	const char *service;
};

static const struct option rows[] = {
	{ "tokend-config", 0, OPTION_TEXT, offsetof(struct flags, service), 0, "FILE",
	    "this tokend.yaml, too, with its policy and keys, and whether the profiles fit it" },
};

void
config_check_found(struct config_check *c, const char *format, ...)
{
	va_list arguments;
	char text[ERR_TEXT_BYTES * 2];

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	output_say("%s", text);
	c->findings++;
}

void
config_check_private(struct config_check *c, const char *path)
{
	if (access(path, F_OK) == 0 && !secret_file_is_private(path))
		config_check_found(c, "%s can be read by others on this machine; chmod 600 mends it", path);
}

static void
check_key(struct config_check *c, const char *name, const char *path,
    int (*read)(const char *, struct keys *, struct err *))
{
	struct keys k;
	struct err e;

	if (read(path, &k, &e) != 0) {
		config_check_found(c, "%s: %s", name, e.text);
		return;
	}
	keys_wipe(&k);
	config_check_private(c, path);
}

static void
check_kafka(struct config_check *c, const char *name, const struct profile *p)
{
	struct kafka_complaint complaint = { 0 };
	struct err e;
	rd_kafka_conf_t *conf = kafka_conf_of_profile(p, &complaint, &e);

	if (conf == NULL)
		config_check_found(c, "%s: %s", name, e.text);
	else
		rd_kafka_conf_destroy(conf);
	for (unsigned i = 0; i < p->n_kafka_secret_files; i++) {
		size_t name_bytes;

		config_check_private(c, profile_property_value(p->kafka_secret_files[i], &name_bytes));
	}
}

/* It is made when the first request is; one that is there must be a directory to write to. */
static void
check_state_dir(struct config_check *c, const char *name, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (!S_ISDIR(st.st_mode) || access(path, W_OK | X_OK) != 0))
		config_check_found(c, "%s: state_dir %s is no directory that can be written to", name, path);
}

static void
check_service_keys(struct config_check *c, const char *name, const struct profile *p)
{
	for (unsigned i = 0; i < p->n_service_keys; i++)
		for (unsigned j = 0; j < i; j++)
			if (memcmp(p->service_keys[i].public_key, p->service_keys[j].public_key, KEYS_BYTES) == 0)
				config_check_found(c, "%s: the service keys %s and %s are one and the same key", name,
				    p->service_keys[j].id, p->service_keys[i].id);
}

static void
check_profile(struct config_check *c, const char *path, const char *profile, const struct config_check_service *service)
{
	unsigned before = c->findings;
	const struct profile *p;
	const char *name;
	char shown[TEXT_SHOWN_ROOM];
	struct err e;

	if (profile_load(path, profile, c->arena, &p, &e) != 0) {
		config_check_found(c, "%s", e.text);
		return;
	}
	name = arena_text(c->arena, "profile \"%s\" in %s", text_shown(span_str(profile), shown), path);
	check_key(c, arena_text(c->arena, "%s: signing_key", name), p->signing_key.file, keys_read_signing);
	check_key(c, arena_text(c->arena, "%s: box_key", name), p->box_key.file, keys_read_box);
	check_kafka(c, name, p);
	check_state_dir(c, name, p->state_dir);
	check_service_keys(c, name, p);
	if (service != NULL)
		config_check_service_fits(c, service, p);
	if (c->findings == before)
		printf("%s: good\n", name);
}

static void
check_file(struct config_check *c, const char *path, const struct config_check_service *service)
{
	const char **names;
	size_t n;
	struct err e;

	if (profile_names(path, c->arena, &names, &n, &e) != 0) {
		config_check_found(c, "%s", e.text);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				config_check_found(c, "%s has two profiles of the name \"%s\"; the first counts", path,
				    names[i]);
		check_profile(c, path, names[i], service);
	}
}

static enum command_exit
run(struct invocation *v)
{
	const struct flags *f = v->options;
	struct config_check c = { .arena = v->arena };
	struct config_check_service *service = NULL;
	char shown[TEXT_SHOWN_ROOM];

	if (v->n_words > 1)
		return output_usage("config check takes one FILE, not \"%s\" too",
		    text_shown(span_str(v->words[1]), shown));
	if (f->service != NULL)
		service = config_check_service_new(&c, f->service);
	check_file(&c, v->n_words > 0 ? v->words[0] : v->globals->config, service);
	config_check_service_free(service);
	if (c.findings == 0)
		return EXIT_DONE;
	output_say("%u finding%s", c.findings, c.findings > 1 ? "s" : "");
	return EXIT_REFUSED;
}

static const struct command_note examples[] = {
	{ "tokenctl config check", "One's own profiles:" },
	{ "tokenctl config check /etc/tokend/tokenctl.yaml --tokend-config /etc/tokend/tokend.yaml", "Both ends:" },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "All is well, as far as files can tell." },
	{ "1", "Something was found; each finding stands on standard error." },
	{ "2", "The command line is wrong." },
	{ NULL, NULL }
};

const struct command config_check_command = {
	.name = "config check",
	.arguments = "[FILE]",
	.summary = "check profiles, keys and, with --tokend-config, the service's side",
	.about =
	    "Reads tokenctl.yaml (FILE, or where --config points) and all that it names: every profile, whether its "
	    "keys can be read, and by nobody else, whether librdkafka knows the Kafka properties, whether the service "
	    "keys are keys. With --tokend-config, tokend.yaml and its policy are checked as tokend --check-config "
	    "does, and each profile of that service is held against them: keys, topics, partitions.\n"
	    "\n"
	    "Nothing is sent and nobody is asked.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.examples = examples,
	.run = run,
};
