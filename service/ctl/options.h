/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, read by tables: a row per flag says where its value goes and what help prints. */
#ifndef TOKEND_CTL_OPTIONS_H
#define TOKEND_CTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;

enum option_kind {
	OPTION_SWITCH,                  /* bool: takes no value */
	OPTION_TEXT,                    /* const char * */
	OPTION_NUMBER,                  /* int32_t, at least 1 */
	OPTION_DURATION,                /* uint64_t, milliseconds, at least 1 */
	OPTION_LIST,                    /* struct options_list: every mention is one more item */
	OPTION_COMMAND                  /* char **: all that follows, up to the NULL that ends argv */
};

struct options_item {
	int tag;                        /* its row's */
	const char *value;
};

struct options_list {
	struct options_item *items;     /* in the command line's order, over all rows that share the list */
	size_t n;
};

struct option {
	const char *name;               /* without the dashes */
	char letter;                    /* -h; 0: none */
	enum option_kind kind;
	size_t at;                      /* offset of its value in the target */
	int tag;
	const char *value_name;         /* what help calls the value; NULL for a switch */
	const char *help;
};

/* Rows and the struct that they fill. */
struct option_set {
	const struct option *rows;
	size_t n_rows;
	void *target;
};

enum options_extent { OPTIONS_ALL, OPTIONS_UNTIL_FIRST_WORD };

/* Take the flags out of argv[0..*argc), behind which a NULL stands: what remains, moved together and with a NULL
 * behind it, is words (after "--" everything is a word). With OPTIONS_UNTIL_FIRST_WORD nothing behind the
 * first word is looked at.
 * Both `--flag value` and `--flag=value` are understood. Fails (ERR_REFUSE) with a sentence that
 * names the flag. Values point into argv; lists are in the arena. */
int options_parse(const struct option_set *sets, size_t n_sets, enum options_extent extent, char **argv, int *argc,
    struct arena *a, struct err *ret_err);

/* "90s", "1m0s", "1h30m": the units are ms, s, m, h and d. False on anything else, on zero, and
 * above ten years. */
bool options_duration(const char *text, uint64_t *ret_ms);

#endif
