/* SPDX-License-Identifier: Apache-2.0 */
/* What FLAVOUR=chaos adds to the program: see chaos.h. Passing a place that nobody asked for costs a few
 * comparisons of strings, which is nothing beside a call of the API. */
#include "service/base/chaos.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/random.h"

#define ORDERS_MOST 16
#define DURING_MOST_US 4000     /* a commit on an idle broker takes as long */

static const char *const points[] = {
#define ROW(name, where) name,
	CHAOS_POINTS(ROW)
#undef ROW
};

static const char *const rules[] = {
#define ROW(rule, what) rule,
	CHAOS_RULES(ROW)
#undef ROW
};

static struct order {
	const char *name;
	int signal;                     /* 0: a rule that is off */
	atomic_uint left;               /* passes until the signal */
} orders[ORDERS_MOST];
static unsigned n_orders;

static _Noreturn void
refuse(const char *what)
{
	fprintf(stderr, "TOKEND_CHAOS: \"%s\" is not understood\n", what);
	_exit(2);
}

static bool
is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool
is_known(const struct order *o)
{
	return o->signal != 0 ? is_among(o->name, points, sizeof points / sizeof points[0]) :
	    is_among(o->name, rules, sizeof rules / sizeof rules[0]);
}

static unsigned
read_count(const char *text)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (*text < '1' || *text > '9' || *end != '\0' || count > UINT_MAX)
		refuse(text);
	return (unsigned)count;
}

static void
read_one(char *text)
{
	struct order *o = &orders[n_orders];
	char *name = strchr(text, ':'), *count;

	if (name == NULL || n_orders == ORDERS_MOST) {
		refuse(text);
		return;
	}
	*name++ = '\0';
	o->signal = strcmp(text, "kill") == 0 ? SIGKILL : strcmp(text, "stop") == 0 ? SIGSTOP : 0;
	if (o->signal == 0 && strcmp(text, "off") != 0)
		refuse(text);
	if ((count = strchr(name, ':')) != NULL)
		*count++ = '\0';
	o->name = name;
	if (!is_known(o) || (o->signal == 0 && count != NULL))
		refuse(name);
	atomic_init(&o->left, count != NULL ? read_count(count) : 1);
	n_orders++;
}

void
chaos_read(void)
{
	const char *asked = getenv("TOKEND_CHAOS");
	char *copy, *rest, *text;

	if (asked == NULL || (copy = strdup(asked)) == NULL)
		return;
	for (text = strtok_r(copy, ",", &rest); text != NULL; text = strtok_r(NULL, ",", &rest))
		read_one(text);
}

/* Appended in one write: several processes share the file. */
static void
note(const char *name)
{
	const char *path = getenv("TOKEND_CHAOS_LOG");
	char line[64];
	int fd, n = snprintf(line, sizeof line, "%s\n", name);

	if (path == NULL || (fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		return;
	(void)!write(fd, line, (size_t)n);
	close(fd);
}

/* The order that is due at this pass of the place; NULL: none. */
static struct order *
due(const char *name)
{
	for (unsigned i = 0; i < n_orders; i++)
		if (orders[i].signal != 0 && strcmp(orders[i].name, name) == 0 &&
		    atomic_fetch_sub(&orders[i].left, 1) == 1)
			return &orders[i];
	return NULL;
}

static void
carry_out(const struct order *o)
{
	note(o->name);
	(void)kill(getpid(), o->signal);
}

void
chaos_point(const char *name)
{
	const struct order *o = due(name);

	if (o != NULL)
		carry_out(o);
}

static void *
soon(void *order)
{
	(void)usleep(random_dice() % DURING_MOST_US);
	carry_out(order);
	return NULL;
}

/* Another thread does it, a moment later. */
void
chaos_during(const char *name)
{
	struct order *o = due(name);
	pthread_t thread;

	if (o != NULL && pthread_create(&thread, NULL, soon, o) == 0)
		(void)pthread_detach(thread);
}

bool
chaos_off(const char *rule)
{
	for (unsigned i = 0; i < n_orders; i++)
		if (orders[i].signal == 0 && strcmp(orders[i].name, rule) == 0)
			return true;
	return false;
}
