/* SPDX-License-Identifier: Apache-2.0 */
/* The rules, kept in the order in which they came. Everything about a rule is checked when it is given, so that a test with a misspelt fault fails there and
 * does not pass for the wrong reason. */
#include "tests/sandbox/faults.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/err.h"

#define RULES_MOST 1000
#define ANY STORE_OPERATIONS

struct rule {
	unsigned operation;             /* enum store_operation, or ANY */
	char *description;              /* NULL: any */
	long after, times;              /* times -1: for ever */
	double probability;
	struct fault_action action;
};

struct faults {
	pthread_mutex_t lock;
	struct rule rules[RULES_MOST];
	size_t count;
	uint64_t random;
};

static const char *const names[] = {
#define ROW(fault, name, what) name,
	FAULTS(ROW)
#undef ROW
	NULL
};
static const char *const operations[] = { "create", "list", "get", "update", "delete", "any", NULL };

const char *
faults_name(enum fault f)
{
	return names[f];
}

struct faults *
faults_new(uint64_t seed)
{
	struct faults *f = calloc(1, sizeof *f);

	if (f == NULL)
		abort();
	pthread_mutex_init(&f->lock, NULL);
	f->random = seed * 0x9e3779b97f4a7c15u + 1;
	return f;
}

static void
drop(struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(rules[i].description);
}

void
faults_clear(struct faults *f)
{
	pthread_mutex_lock(&f->lock);
	drop(f->rules, f->count);
	f->count = 0;
	pthread_mutex_unlock(&f->lock);
}

void
faults_free(struct faults *f)
{
	if (f == NULL)
		return;
	faults_clear(f);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- reading rules ------------------------------------------------------------------------------------------------- */

static int
word(const char *const *words, const cJSON *value)
{
	const char *text = cJSON_GetStringValue(value);

	for (int i = 0; text != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static bool
number(const cJSON *value, double least, double most, double *ret)
{
	if (!cJSON_IsNumber(value) || value->valuedouble < least || value->valuedouble > most)
		return false;
	*ret = value->valuedouble;
	return true;
}

/* One member of a rule; false: it is not one, or its value is not. */
static bool
read_member(const cJSON *m, struct rule *r)
{
	const char *name = m->string, *text = cJSON_GetStringValue(m);
	double n = 0;
	int i;

	if (strcmp(name, "operation") == 0) {
		if ((i = word(operations, m)) >= 0)
			r->operation = (unsigned)i;
		return i >= 0;
	}
	if (strcmp(name, "fault") == 0) {
		if ((i = word(names, m)) >= 0)
			r->action.fault = (enum fault)i;
		return i >= 0;
	}
	if (strcmp(name, "description") == 0 && text != NULL) {
		free(r->description);
		return (r->description = strdup(text)) != NULL;
	}
	if (strcmp(name, "retry_after") == 0 && text != NULL && strlen(text) < sizeof r->action.retry_after) {
		strcpy(r->action.retry_after, text);
		return true;
	}
	if ((strcmp(name, "commit") == 0 || strcmp(name, "mid_body") == 0) && cJSON_IsBool(m)) {
		*(name[0] == 'c' ? &r->action.commit : &r->action.mid_body) = cJSON_IsTrue(m);
		return true;
	}
	if (strcmp(name, "after") == 0 && number(m, 0, 1e9, &n))
		r->after = (long)n;
	else if (strcmp(name, "times") == 0 && number(m, -1, 1e9, &n))
		r->times = (long)n;
	else if (strcmp(name, "probability") == 0 && number(m, 0, 1, &n))
		r->probability = n;
	else if (strcmp(name, "delay_ms") == 0 && number(m, 0, 3600000, &n))
		r->action.delay_ms = (uint64_t)n;
	else if (strcmp(name, "status") == 0 && number(m, 200, 599, &n))
		r->action.status = (int)n;
	else
		return false;
	return true;
}

static int
read_rule(const cJSON *o, struct rule *r, struct err *ret_err)
{
	const cJSON *m;

	*r = (struct rule){ .operation = STORE_CREATE, .times = 1, .probability = 1, .action.fault = FAULT_NONE };
	if (!cJSON_IsObject(o))
		return err_set(ret_err, ERR_REFUSE, "a rule is a JSON object");
	cJSON_ArrayForEach(m, o)
		if (!read_member(m, r)) {
			char *shown = cJSON_PrintUnformatted(m);

			err_set(ret_err, ERR_REFUSE, "a rule cannot have \"%s\": %s (see the sandbox's README)", m->string, shown);
			free(shown);
			return -1;
		}
	if (r->action.fault == FAULT_NONE)
		return err_set(ret_err, ERR_REFUSE, "a rule without \"fault\"");
	return 0;
}

/* Rules that will not act again make room, when there is none: until then they can be looked at. The lock is held. */
static void
forget_spent(struct faults *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++)
		if (f->rules[i].times == 0)
			free(f->rules[i].description);
		else
			f->rules[kept++] = f->rules[i];
	f->count = kept;
}

int
faults_add(struct faults *f, const char *json, size_t bytes, struct err *ret_err)
{
	char *text = bytes > 0 ? strndup(json, bytes) : NULL;
	cJSON *list = text != NULL ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
	const cJSON *o;
	size_t first;
	int rc = 0;

	free(text);
	if (!cJSON_IsArray(list)) {
		cJSON_Delete(list);
		return err_set(ret_err, ERR_REFUSE, "faults are a JSON array of rules");
	}
	pthread_mutex_lock(&f->lock);
	if (f->count + (size_t)cJSON_GetArraySize(list) > RULES_MOST)
		forget_spent(f);
	first = f->count;
	cJSON_ArrayForEach(o, list) {
		if (f->count == RULES_MOST) {
			rc = err_set(ret_err, ERR_REFUSE, "more than %d rules", RULES_MOST);
			break;
		}
		rc = read_rule(o, &f->rules[f->count++], ret_err);
		if (rc != 0)
			break;
	}
	if (rc != 0) {
		drop(f->rules + first, f->count - first);
		f->count = first;
	}
	pthread_mutex_unlock(&f->lock);
	cJSON_Delete(list);
	return rc;
}

cJSON *
faults_list(struct faults *f)
{
	cJSON *list = cJSON_CreateArray();

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->count; i++) {
		const struct rule *r = &f->rules[i];
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "operation", operations[r->operation]);
		cJSON_AddStringToObject(o, "fault", names[r->action.fault]);
		if (r->description != NULL)
			cJSON_AddStringToObject(o, "description", r->description);
		cJSON_AddNumberToObject(o, "after", (double)r->after);
		cJSON_AddNumberToObject(o, "times", (double)r->times);
		cJSON_AddItemToArray(list, o);
	}
	pthread_mutex_unlock(&f->lock);
	return list;
}

/* ---- acting -------------------------------------------------------------------------------------------------------- */

/* xorshift: the same seed gives the same faults again. */
static double
dice(struct faults *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return (double)(f->random >> 11) / 9007199254740992.0;
}

struct fault_action
faults_pick(struct faults *f, enum store_operation o, const char *description)
{
	struct fault_action action = { .fault = FAULT_NONE };

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->count && action.fault == FAULT_NONE; i++) {
		struct rule *r = &f->rules[i];

		if (r->times == 0 || (r->operation != ANY && r->operation != (unsigned)o) ||
		    (r->description != NULL && (description == NULL || strstr(description, r->description) == NULL)))
			continue;
		if (r->after > 0) {
			r->after--;
			continue;
		}
		if (r->probability < 1 && dice(f) >= r->probability)
			continue;
		if (r->times > 0)
			r->times--;
		action = r->action;
	}
	pthread_mutex_unlock(&f->lock);
	return action;
}
