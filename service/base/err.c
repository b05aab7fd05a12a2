/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences for people, with what to do next for programs.
 *
 * A struct err lives on the caller's stack and allocates nothing, so that "out of memory" can be told
 * like everything else. The sentence must stay one line of valid UTF-8 wherever it ends up (a log line,
 * a terminal, a reply), and it may hold words of a library or of a file: whatever would break the line
 * is replaced here, once, rather than at each of a hundred callers. Offending values still go through
 * text_shown, which says precisely which bytes they had.
 */
#include "service/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/base/span.h"
#include "service/base/text.h"

/* What err.h tells an analyzer is no way to define them. */
#undef err_set
#undef err_prefix

/* Cut where a character ends, and keep it one line. */
static void
settle(char text[ERR_TEXT_BYTES])
{
	text[text_cut(span_str(text), ERR_TEXT_BYTES - 4).bytes] = '\0';
	if (!text_is_utf8(span_str(text)))
		for (char *p = text; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	for (size_t end = strlen(text); end > 0 && text[end - 1] == ' '; end--)
		text[end - 1] = '\0';
}

int
err_set(struct err *ret_err, enum err_next next, const char *format, ...)
{
	char text[ERR_TEXT_BYTES];      /* an argument may be the old sentence */
	va_list args;

	if (ret_err == NULL)
		return -1;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	settle(text);
	ret_err->next = next;
	memcpy(ret_err->text, text, sizeof(text));
	return -1;
}

int
err_prefix(struct err *e, const char *format, ...)
{
	char context[ERR_TEXT_BYTES];
	va_list args;

	if (e == NULL)
		return -1;
	va_start(args, format);
	(void)vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	return err_set(e, e->next, "%s: %s", context, e->text);
}
