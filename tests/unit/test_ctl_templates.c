/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what tokenctl init writes is what the service and tokenctl read: every file loads, and says
 * what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/base/arena.h"
#include "service/base/config.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/span.h"
#include "service/ctl/files.h"
#include "service/ctl/profile.h"
#include "service/ctl/templates.h"
#include "service/policy.h"
#include "service/status.h"

struct world {
	struct arena arena;
	char directory[64];
	struct templates t;
};

static struct options_item kafka[] = { { 0, "fetch.wait.max.ms=10" } };
static struct options_item globs[] = { { 0, "cpu_*" }, { 0, "mem" } };

static const char *
path_of(struct world *w, const char *name)
{
	return arena_text(&w->arena, "%s/%s", w->directory, name);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	(void)snprintf(w->directory, sizeof(w->directory), "/tmp/test_ctl_templates.XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	w->t = (struct templates){
		.service_id = "prod-tokens", .principal = "telemetry", .instance = "prod-tokens-0",
		.bootstrap = "127.0.0.1:1", .kafka = { kafka, 1 }, .topics = "tok", .partitions = 3,
		.topic_checks = "partitions",
		.cluster = "main", .product = "clustered", .url = "https://influx.example",
		.management_token_file = "management-token", .databases = { globs, 2 }, .ops_port = 9464,
		.state_dir = "state",
	};
	w->t.service = (struct templates_key){ "svc-1", "signing.key", "" };
	w->t.signing = (struct templates_key){ "t-sign-1", "t.signing.key", "" };
	w->t.box = (struct templates_key){ "t-box-1", "t.box.key", "" };
	assert_int_equal(keys_make_signing(path_of(w, "signing.key"), w->t.service.public_key, &e), 0);
	assert_int_equal(keys_make_signing(path_of(w, "t.signing.key"), w->t.signing.public_key, &e), 0);
	assert_int_equal(keys_make_box(path_of(w, "t.box.key"), w->t.box.public_key, &e), 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "signing.key", "t.signing.key", "t.box.key", "policy.yaml", "tokend.yaml",
		"tokenctl.yaml" };
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(w, names[i]));
	assert_int_equal(rmdir(w->directory), 0);
	arena_free(&w->arena);
	free(w);
	return 0;
}

static const char *
write_file(struct world *w, const char *name, const char *text)
{
	const char *path = path_of(w, name);
	struct err e;

	if (files_write_new(path, span_str(text), &e) != 0)
		fail_msg("%s", e.text);
	return path;
}

static struct config *
load_config(struct world *w)
{
	const char *path = write_file(w, "tokend.yaml", templates_tokend(&w->t, &w->arena));
	struct err e;
	struct config *c = config_load(path, &e);

	if (c == NULL)
		fail_msg("%s", e.text);
	return c;
}

static void
test_the_service_reads_its_configuration(void **state)
{
	struct world *w = *state;
	struct config *c = load_config(w);

	assert_string_equal(c->service_id, "prod-tokens");
	assert_string_equal(c->instance, "prod-tokens-0");
	assert_string_equal(c->topic_journal, "tok.journal");
	assert_int_equal(c->partitions, 3);
	assert_int_equal(c->topic_checks, TOPIC_CHECKS_PARTITIONS);
	assert_int_equal(c->n_kafka, 2);
	assert_string_equal(c->kafka[0].value, "127.0.0.1:1");
	assert_string_equal(c->signing_key_id, "svc-1");
	assert_string_equal(c->signing_key_file, path_of(w, "signing.key"));
	assert_int_equal(c->n_clusters, 1);
	assert_int_equal(c->clusters[0].product, CLUSTER_CLUSTERED);
	assert_int_equal(c->ops_port, 9464);
	config_free(c);
}

static void
test_a_dedicated_cluster_has_its_ids(void **state)
{
	struct world *w = *state;
	struct config *c;

	w->t.product = "dedicated";
	w->t.account = "11111111-1111-4111-8111-111111111111";
	w->t.cluster_uuid = "22222222-2222-4222-8222-222222222222";
	c = load_config(w);
	assert_string_equal(c->clusters[0].account_id, w->t.account);
	assert_string_equal(c->clusters[0].cluster_id, w->t.cluster_uuid);
	config_free(c);
}

static void
test_the_policy_grants_what_was_asked_and_no_more(void **state)
{
	struct world *w = *state;
	struct config *c = load_config(w);
	const struct permission granted[] = { { PERMISSION_READ, "cpu_1" }, { PERMISSION_WRITE, "mem" } };
	const struct permission other = { PERMISSION_READ, "disk" }, every = { PERMISSION_READ, NULL };
	struct status refusal;
	struct err e;
	struct policy *p = policy_load(write_file(w, "policy.yaml", templates_policy(&w->t, &w->arena)), c, &e);

	if (p == NULL)
		fail_msg("%s", e.text);
	assert_string_equal(policy_key(p, span_str("t-sign-1"))->principal, "telemetry");
	assert_non_null(policy_recipient(p, "telemetry", "t-box-1"));
	assert_int_equal(policy_allows(p, "telemetry", "main", granted, 2, false, 0, 0, &refusal), 0);
	assert_int_equal(policy_allows(p, "telemetry", "main", &other, 1, false, 0, 0, &refusal), -1);
	assert_int_equal(policy_allows(p, "telemetry", "main", &every, 1, false, 0, 0, &refusal), -1);
	policy_release(p);
	config_free(c);
}

static void
test_all_databases_is_granted_when_asked(void **state)
{
	struct world *w = *state;
	const struct permission every = { PERMISSION_READ, NULL };
	struct status refusal;
	struct err e;
	struct policy *p;

	w->t.all_databases = true;
	p = policy_load(write_file(w, "policy.yaml", templates_policy(&w->t, &w->arena)), NULL, &e);
	if (p == NULL)
		fail_msg("%s", e.text);
	assert_int_equal(policy_allows(p, "telemetry", "main", &every, 1, false, 0, 0, &refusal), 0);
	policy_release(p);
}

static void
test_tokenctl_reads_its_profile(void **state)
{
	struct world *w = *state;
	const char *path = write_file(w, "tokenctl.yaml", templates_tokenctl(&w->t, &w->arena));
	const struct profile *p;
	struct keys signing, box;
	struct err e;

	if (profile_load(path, "default", &w->arena, &p, &e) != 0)
		fail_msg("%s", e.text);
	assert_string_equal(p->principal, "telemetry");
	assert_string_equal(p->topics.replies, "tok.replies");
	assert_string_equal(p->state_dir, path_of(w, "state"));
	assert_int_equal(p->n_service_keys, 1);
	assert_int_equal(keys_read_signing(p->signing_key.file, &signing, &e), 0);
	assert_int_equal(keys_read_box(p->box_key.file, &box, &e), 0);
	keys_wipe(&signing);
	keys_wipe(&box);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_service_reads_its_configuration),
		TEST(test_a_dedicated_cluster_has_its_ids),
		TEST(test_the_policy_grants_what_was_asked_and_no_more),
		TEST(test_all_databases_is_granted_when_asked),
		TEST(test_tokenctl_reads_its_profile),
	};
	size_t locked_bytes;
	struct err e;

	if (secret_process_harden(&locked_bytes, &e) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
