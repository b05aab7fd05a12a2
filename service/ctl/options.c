/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, read by tables.
 *
 * getopt_long could do most of this. It cannot keep the order of two different flags that fill one
 * list (permissions are granted in the order they were typed), cannot stop at the command's name
 * and go on with another table, and its messages name no value. A table of rows does all three, and
 * help is printed from the same rows, so it cannot lie.
 *
 * It is no general parser: flags have one name, switches do not bundle, and a flag given twice
 * takes its last value.
 */
#include "service/ctl/options.h"

#include <stdlib.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/err.h"
#include "service/base/text.h"

#define DURATION_MOST_MS (UINT64_C(10) * 365 * 86400 * 1000)

/* Where a row was found, and in which set. */
struct match {
	const struct option *row;
	void *target;
};

static bool
row_is(const struct option *row, const char *flag, size_t flag_bytes)
{
	if (flag[1] != '-')
		return row->letter != 0 && flag_bytes == 2 && flag[1] == row->letter;
	return strlen(row->name) == flag_bytes - 2 && memcmp(row->name, flag + 2, flag_bytes - 2) == 0;
}

static struct match
find(const struct option_set *sets, size_t n_sets, const char *flag, size_t flag_bytes)
{
	for (size_t s = 0; s < n_sets; s++)
		for (size_t i = 0; i < sets[s].n_rows; i++)
			if (row_is(&sets[s].rows[i], flag, flag_bytes))
				return (struct match){ &sets[s].rows[i], sets[s].target };
	return (struct match){ NULL, NULL };
}

/* Lists double; the arena keeps the old halves, which for a command line is nothing. */
static void
append(struct options_list *list, struct options_item item, struct arena *a)
{
	if ((list->n & (list->n - 1)) == 0) {
		struct options_item *wider = arena_alloc(a, (list->n == 0 ? 1 : list->n * 2) * sizeof(*wider));

		if (list->n > 0)
			memcpy(wider, list->items, list->n * sizeof(*wider));
		list->items = wider;
	}
	list->items[list->n++] = item;
}

static int
number(const char *text, int32_t *ret_number)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 1 || value > INT32_MAX)
		return -1;
	*ret_number = (int32_t)value;
	return 0;
}

static int
store(const struct match *m, const char *value, struct arena *a, struct err *ret_err)
{
	void *at = (char *)m->target + m->row->at;
	char room[TEXT_SHOWN_ROOM];

	switch (m->row->kind) {
	case OPTION_SWITCH:
		*(bool *)at = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)at = value;
		return 0;
	case OPTION_NUMBER:
		if (number(value, at) == 0)
			return 0;
		return err_set(ret_err, ERR_REFUSE, "--%s wants a whole number from 1 on, not \"%s\"", m->row->name,
		    text_shown(span_str(value), room));
	case OPTION_DURATION:
		if (options_duration(value, at))
			return 0;
		return err_set(ret_err, ERR_REFUSE, "--%s wants a duration such as 90s, 1m0s or 1h, not \"%s\"",
		    m->row->name, text_shown(span_str(value), room));
	case OPTION_LIST:
		append(at, (struct options_item){ m->row->tag, value }, a);
		return 0;
	case OPTION_COMMAND:            /* take_command's */
		break;
	}
	return 0;
}

/* Whatever follows is the value, flags and all. Returns how many of argv that is. */
static int
take_command(const struct match *m, bool has_value, char **argv, int argc, struct err *ret_err)
{
	int at = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;

	if (has_value || at >= argc)
		return err_set(ret_err, ERR_REFUSE, "--%s wants a command: --%s CMD [ARG...], behind all else",
		    m->row->name, m->row->name);
	*(char ***)((char *)m->target + m->row->at) = argv + at;
	return argc;
}

/* The flag at argv[0], with its value behind `=` or in argv[1]. Returns how many of argv it took,
 * or -1. */
static int
take(const struct option_set *sets, size_t n_sets, char **argv, int argc, struct arena *a, struct err *ret_err)
{
	const char *flag = argv[0];
	size_t flag_bytes = strcspn(flag, "=");
	const char *value = flag[flag_bytes] == '=' ? flag + flag_bytes + 1 : NULL;
	struct match m = find(sets, n_sets, flag, flag_bytes);
	char room[TEXT_SHOWN_ROOM];
	int taken = 1;

	if (m.row == NULL)
		return err_set(ret_err, ERR_REFUSE, "there is no flag %s here",
		    text_shown(span_of(flag, flag_bytes), room));
	if (m.row->kind == OPTION_COMMAND)
		return take_command(&m, value != NULL, argv, argc, ret_err);
	if (m.row->kind == OPTION_SWITCH && value != NULL)
		return err_set(ret_err, ERR_REFUSE, "--%s takes no value", m.row->name);
	if (m.row->kind != OPTION_SWITCH && value == NULL) {
		if (argc < 2)
			return err_set(ret_err, ERR_REFUSE, "--%s wants a value: %s", m.row->name, m.row->value_name);
		value = argv[1];
		taken = 2;
	}
	return store(&m, value, a, ret_err) == 0 ? taken : -1;
}

int
options_parse(const struct option_set *sets, size_t n_sets, enum options_extent extent, char **argv, int *argc,
    struct arena *a, struct err *ret_err)
{
	int n_words = 0, i = 0, taken;

	while (i < *argc) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (extent == OPTIONS_UNTIL_FIRST_WORD)
				break;
			argv[n_words++] = argv[i++];
			continue;
		}
		if ((taken = take(sets, n_sets, argv + i, *argc - i, a, ret_err)) < 0)
			return -1;
		i += taken;
	}
	while (i < *argc)
		argv[n_words++] = argv[i++];
	argv[n_words] = NULL;           /* no further than where a command behind it begins */
	*argc = n_words;
	return 0;
}

bool
options_duration(const char *text, uint64_t *ret_ms)
{
	static const struct { const char *name; uint64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	uint64_t total = 0;

	while (*text != '\0') {
		size_t digits = strspn(text, "0123456789"), letters = strcspn(text + digits, "0123456789"), u = 0;

		if (digits == 0 || digits > 10)
			return false;
		while (u < sizeof(units) / sizeof(units[0]) &&
		    !span_is(span_of(text + digits, letters), units[u].name))
			u++;
		if (u == sizeof(units) / sizeof(units[0]))
			return false;
		total += strtoull(text, NULL, 10) * units[u].ms;
		if (total > DURATION_MOST_MS)
			return false;
		text += digits + letters;
	}
	if (total == 0)
		return false;
	*ret_ms = total;
	return true;
}
