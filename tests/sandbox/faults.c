/* SPDX-License-Identifier: Apache-2.0 */
/* The rules, kept in the order in which they came. Everything about a rule is checked when it is given, so that a
 * test with a misspelt fault, or with one that its operation cannot have, fails there and does not pass for the wrong
 * reason.
 *
 * A rule owns nothing: its texts are arrays, so that an action can be copied out and outlive its rule. */
#include "tests/sandbox/faults.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/err.h"
#include "service/base/text.h"

#define RULES_MOST 1000
#define ANY STORE_OPERATIONS

struct rule {
	int operation;                  /* enum store_operation, or ANY */
	int64_t after, times, acted;    /* times -1: for ever */
	double probability;
	uint64_t random;
	char description[256], token_id[40], account[40], cluster[40];
	struct fault_action action;
};

struct faults {
	pthread_mutex_t lock;
	struct rule rules[RULES_MOST];
	size_t count;
	uint64_t seed, given;           /* given: rules since the start, for their names and dice */
};

static const char *const fault_words[] = {
#define ROW(fault, name, ...) name,
	FAULTS(ROW)
#undef ROW
	NULL
};
static const char *const operation_words[] = { "create", "list", "get", "update", "delete", "any", NULL };
static const char *const at_words[] = { "start", "status", "headers", "body", NULL };       /* enum http_at */
static const char *const shape_words[] = { "number", "null", "array", "html", "empty", NULL };

static const struct { unsigned operations; bool commits; const char *what; } facts[] = {
#define ROW(fault, name, operations, commits, what) { operations, commits, what },
	FAULTS(ROW)
#undef ROW
};

enum kind { KIND_TEXT, KIND_NUMBER, KIND_SHARE, KIND_FLAG, KIND_WORD };

static const struct member {
	const char *name;
	enum kind kind;
	double least, most;
	const char *const *words;
	size_t at, bytes;               /* in struct rule */
	const char *absent, *what;
	bool always;                    /* shown even if it is what it would be when absent */
} members[] = {
#define ROW(field, name, kind, least, most, words, shown, absent, what) \
	{ name, KIND_##kind, least, most, words, offsetof(struct rule, field), sizeof ((struct rule *)NULL)->field, \
	    absent, what, shown },
	MEMBERS(ROW)
#undef ROW
};
#define N_MEMBERS (sizeof members / sizeof *members)

const char *
faults_name(int fault)
{
	return fault_words[fault];
}

struct faults *
faults_new(uint64_t seed)
{
	struct faults *f = calloc(1, sizeof *f);

	if (f == NULL)
		abort();
	pthread_mutex_init(&f->lock, NULL);
	f->seed = seed;
	return f;
}

void
faults_clear(struct faults *f)
{
	pthread_mutex_lock(&f->lock);
	f->count = 0;
	pthread_mutex_unlock(&f->lock);
}

void
faults_free(struct faults *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- reading rules ----------------------------------------------------------------------------------------------- */

static const struct rule nothing = { .operation = STORE_CREATE, .times = 1, .probability = 1,
	.action = { .fault = FAULT_NONE, .commit = -1, .at = -1, .lag_ms = -1, .pad = 1000 } };

static int
word(const char *const *words, const cJSON *value)
{
	const char *text = cJSON_GetStringValue(value);

	for (int i = 0; text != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

/* One member of a rule; false: it is not one, or its value is not. */
static bool
read_member(const cJSON *o, struct rule *r)
{
	const struct member *m = members;
	const char *text = cJSON_GetStringValue(o);
	double n = o->valuedouble;
	void *to;
	int i;

	while (m < members + N_MEMBERS && strcmp(m->name, o->string) != 0)
		m++;
	if (m == members + N_MEMBERS)
		return false;
	to = (char *)r + m->at;
	switch (m->kind) {
	case KIND_TEXT:
		return text != NULL && strlen(text) < m->bytes && strcpy(to, text) != NULL;
	case KIND_WORD:
		if ((i = word(m->words, o)) >= 0)
			*(int *)to = i;
		return i >= 0;
	case KIND_FLAG:
		*(int *)to = cJSON_IsTrue(o);
		return cJSON_IsBool(o);
	case KIND_NUMBER:
	case KIND_SHARE:
		break;
	}
	if (!cJSON_IsNumber(o) || !(n >= m->least && n <= m->most))
		return false;
	if (m->kind == KIND_SHARE)
		*(double *)to = n;
	else
		*(int64_t *)to = (int64_t)n;
	return true;
}

/* splitmix64: neighbouring seeds and numbers give dice that have nothing in common. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static bool
is_id(const char *text)
{
	return text[0] == '\0' || text_is_uuid(span_str(text));
}

static int
read_rule(const cJSON *o, uint64_t seed, uint64_t number, struct rule *r, struct err *ret_err)
{
	const cJSON *m;

	*r = nothing;
	r->random = mix(mix(seed + 0x9e3779b97f4a7c15u) + number) | 1;
	(void)snprintf(r->action.name, sizeof r->action.name, "#%ju", (uintmax_t)number);
	if (!cJSON_IsObject(o))
		return err_set(ret_err, ERR_REFUSE, "a rule is a JSON object");
	cJSON_ArrayForEach(m, o)
		if (!read_member(m, r)) {
			char *shown = cJSON_PrintUnformatted(m);

			err_set(ret_err, ERR_REFUSE, "a rule cannot have \"%.64s\": %.200s (see the sandbox's README)",
			    m->string, shown);
			free(shown);
			return -1;
		}
	if (r->action.fault == FAULT_NONE)
		return err_set(ret_err, ERR_REFUSE, "a rule without \"fault\"");
	if (r->operation != ANY && (facts[r->action.fault].operations & 1u << r->operation) == 0)
		return err_set(ret_err, ERR_REFUSE, "the operation \"%s\" cannot have the fault \"%s\"",
		    operation_words[r->operation], fault_words[r->action.fault]);
	if (!is_id(r->token_id) || !is_id(r->account) || (!is_id(r->cluster) && strcmp(r->cluster, "clustered") != 0))
		return err_set(ret_err, ERR_REFUSE, "token_id \"%s\", account \"%s\" and cluster \"%s\" are UUIDs in "
		    "lower case, or the cluster is \"clustered\"", r->token_id, r->account, r->cluster);
	if (r->action.commit < 0)
		r->action.commit = facts[r->action.fault].commits;
	if (r->action.mid_body == 1)
		r->action.at = word(at_words, &(cJSON){ .type = cJSON_String, .valuestring = "body" });
	return 0;
}

/* Rules that will not act again make room, when there is none: until then they can be looked at. The lock is held. */
static void
forget_spent(struct faults *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++)
		if (f->rules[i].times != 0)
			f->rules[kept++] = f->rules[i];
	f->count = kept;
}

/* All of them, or none. The lock is held. */
static int
add(struct faults *f, const cJSON *list, struct err *ret_err)
{
	size_t first;
	const cJSON *o;

	if (f->count + (size_t)cJSON_GetArraySize(list) > RULES_MOST)
		forget_spent(f);
	first = f->count;
	cJSON_ArrayForEach(o, list) {
		int rc = f->count == RULES_MOST ? err_set(ret_err, ERR_REFUSE, "more than %d rules", RULES_MOST) :
		    read_rule(o, f->seed, f->given + f->count - first + 1, &f->rules[f->count], ret_err);

		if (rc != 0) {
			f->count = first;
			return rc;
		}
		f->count++;
	}
	f->given += f->count - first;
	return 0;
}

int
faults_add(struct faults *f, const char *json, size_t bytes, struct err *ret_err)
{
	char *text = bytes > 0 ? strndup(json, bytes) : NULL;
	cJSON *list = text != NULL ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
	int rc;

	free(text);
	if (!cJSON_IsArray(list)) {
		cJSON_Delete(list);
		return err_set(ret_err, ERR_REFUSE, "faults are a JSON array of rules");
	}
	pthread_mutex_lock(&f->lock);
	rc = add(f, list, ret_err);
	pthread_mutex_unlock(&f->lock);
	cJSON_Delete(list);
	return rc;
}

/* ---- showing rules ----------------------------------------------------------------------------------------------- */

static void
show_member(cJSON *o, const struct member *m, const struct rule *r)
{
	const void *at = (const char *)r + m->at;

	switch (m->kind) {
	case KIND_TEXT:
		cJSON_AddStringToObject(o, m->name, at);
		break;
	case KIND_WORD:
		cJSON_AddStringToObject(o, m->name, m->words[*(const int *)at]);
		break;
	case KIND_FLAG:
		cJSON_AddBoolToObject(o, m->name, *(const int *)at);
		break;
	case KIND_SHARE:
		cJSON_AddNumberToObject(o, m->name, *(const double *)at);
		break;
	case KIND_NUMBER:
		cJSON_AddNumberToObject(o, m->name, (double)*(const int64_t *)at);
		break;
	}
}

cJSON *
faults_list(struct faults *f)
{
	cJSON *list = cJSON_CreateArray();

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->count; i++) {
		const struct rule *r = &f->rules[i];
		cJSON *o = cJSON_CreateObject();

		for (const struct member *m = members; m < members + N_MEMBERS; m++) {
			bool given = memcmp((const char *)r + m->at, (const char *)&nothing + m->at, m->bytes) != 0;

			if (given || m->always)
				show_member(o, m, r);
		}
		cJSON_AddNumberToObject(o, "acted", (double)r->acted);
		cJSON_AddItemToArray(list, o);
	}
	pthread_mutex_unlock(&f->lock);
	return list;
}

void
faults_print_tables(void)
{
	puts("| member | | default |\n| --- | --- | --- |");
	for (const struct member *m = members; m < members + N_MEMBERS; m++)
		printf("| `%s` | %s | %s |\n", m->name, m->what, m->absent);
	puts("\n| fault | | of | `commit` |\n| --- | --- | --- | --- |");
	for (int i = 0; i < FAULT_NONE; i++) {
		printf("| `%s` | %s | ", fault_words[i], facts[i].what);
		for (int o = 0; o < STORE_OPERATIONS && facts[i].operations != ALL; o++)
			if (facts[i].operations & 1u << o)
				printf("%s ", operation_words[o]);
		printf("%s| `%s` |\n", facts[i].operations == ALL ? "all " : "", facts[i].commits ? "true" : "false");
	}
}

/* ---- acting ------------------------------------------------------------------------------------------------------ */

/* xorshift: the same seed and the same calls give the same faults again. */
static double
dice(struct rule *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (double)(r->random >> 11) / 9007199254740992.0;
}

static bool
is(const char *wanted, const char *got)
{
	return wanted[0] == '\0' || (got != NULL && strcmp(wanted, got) == 0);
}

static bool
matches(const struct rule *r, const struct faults_call *c)
{
	return r->times != 0 && (r->operation == ANY || r->operation == (int)c->operation) &&
	    (facts[r->action.fault].operations & 1u << c->operation) != 0 &&
	    (r->description[0] == '\0' || (c->description != NULL && strstr(c->description, r->description) != NULL)) &&
	    is(r->token_id, c->token_id) && is(r->account, c->account) && is(r->cluster, c->cluster);
}

void
faults_pick(struct faults *f, const struct faults_call *c, struct fault_action *ret_action)
{
	*ret_action = nothing.action;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->count && ret_action->fault == FAULT_NONE; i++) {
		struct rule *r = &f->rules[i];

		if (!matches(r, c))
			continue;
		if (r->after > 0) {
			r->after--;
			continue;
		}
		if (r->probability < 1 && dice(r) >= r->probability)
			continue;
		if (r->times > 0)
			r->times--;
		r->acted++;
		*ret_action = r->action;
	}
	pthread_mutex_unlock(&f->lock);
	if (ret_action->fault == FAULT_NONE)
		ret_action->commit = true;
}
