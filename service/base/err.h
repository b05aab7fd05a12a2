/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong, as a sentence, and what the caller should do about it.
 *
 * Functions return 0 or -1 and fill a struct err last.  Leaves never log: the error travels up to where it is
 * settled, and is logged there, once. */
#ifndef TOKEND_BASE_ERR_H
#define TOKEND_BASE_ERR_H

#define ERR_TEXT_BYTES 512

enum err_next {
	ERR_RETRY,       /* passes by itself: the same call again, later */
	ERR_REFUSE,      /* the input is wrong: say so to whoever gave it */
	ERR_FATAL        /* the process cannot go on */
};

struct err {
	enum err_next next;
	char text[ERR_TEXT_BYTES];   /* one sentence, no newline, the offending value in it */
};

/* Fill *ret_err (which may be NULL) and return -1.  A text that does not fit is cut. */
int err_set(struct err *ret_err, enum err_next next, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of what *e already says.  Returns -1. */
int err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__       /* it looks at one file at a time, and would not know what these return */
#define err_set(...) ((err_set)(__VA_ARGS__), -1)
#define err_prefix(...) ((err_prefix)(__VA_ARGS__), -1)
#endif

#endif
