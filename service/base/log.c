/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is put together on the stack and leaves by one write(2).
 *
 * No stdio, no allocation, no lock: any thread can log at any time, also when memory is short, and
 * lines of two threads cannot mix, because a write of at most PIPE_BUF bytes to a pipe is never split.
 * So a line ends there, too: a value that does not fit is cut, with "…" behind it, and a field for
 * which there is no room at all is left out. The JSON stays whole in each case.
 *
 * A line that cannot be written is dropped: there is nobody left to tell.
 */
#include "service/base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/text.h"

#define LINE_BYTES PIPE_BUF
#define TAIL_BYTES 8            /* kept free for: "…" a quote, the brace, the newline */
#define ELLIPSIS "…"
#define LOGGER_BYTES 32
#define MSG_BYTES 400

struct line {
	char bytes[LINE_BYTES];
	size_t used;
};

/* Written before threads start. */
static enum log_format format_ = LOG_JSON;
static enum log_level least_ = LOG_INFO_;

static const struct { const char *json, *text; } level_names[] = {
	[LOG_DEBUG_] = { "debug", "DEBUG" },
	[LOG_INFO_] = { "info", "INFO" },
	[LOG_WARN_] = { "warn", "WARN" },
	[LOG_ERROR_] = { "error", "ERROR" }
};

void
log_setup(enum log_format format, enum log_level least)
{
	format_ = format;
	least_ = least;
}

static void
put(struct line *l, struct span bytes)
{
	if (bytes.bytes > 0)
		memcpy(l->bytes + l->used, bytes.data, bytes.bytes);
	l->used += bytes.bytes;
}

static void
put_text(struct line *l, const char *text)
{
	put(l, span_str(text));
}

static bool
fits(const struct line *l, size_t bytes)
{
	return l->used + bytes + TAIL_BYTES <= LINE_BYTES;
}

/* The number of a character of at most three bytes: all that is ever escaped. */
static unsigned
code_point(const unsigned char *p, size_t length)
{
	if (length == 2)
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	if (length == 3)
		return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	return p[0];
}

/* One character as JSON has it; returns how many bytes of value that was. A byte that is not UTF-8
 * becomes \u00XX: JSON has no other place for it, and so it can be told which it was. */
static size_t
escape(struct span value, char room[8], struct span *ret_escaped)
{
	size_t length = text_character(value);

	if (value.data[0] == '"' || value.data[0] == '\\')
		*ret_escaped = span_of(room, (size_t)snprintf(room, 8, "\\%c", value.data[0]));
	else if (text_is_printable(value))
		*ret_escaped = span_of(value.data, length);
	else
		*ret_escaped = span_of(room, (size_t)snprintf(room, 8, "\\u%04x", code_point(value.data, length)));
	return length > 0 ? length : 1;
}

static void
put_escaped(struct line *l, struct span value)
{
	while (value.bytes > 0) {
		char room[8];
		struct span escaped;
		size_t length = escape(value, room, &escaped);

		if (!fits(l, escaped.bytes)) {
			put_text(l, ELLIPSIS);
			return;
		}
		put(l, escaped);
		value = span_of(value.data + length, value.bytes - length);
	}
}

static void
put_quoted(struct line *l, struct span value)
{
	put_text(l, "\"");
	put_escaped(l, value);
	put_text(l, "\"");
}

/* For people, quotes only where a value would not be seen to end. */
static bool
needs_quotes(struct span value)
{
	for (size_t i = 0; i < value.bytes; i++)
		if (value.data[i] <= ' ' || value.data[i] == '"' || value.data[i] == '=' || value.data[i] == '\\')
			return true;
	return value.bytes == 0;
}

static void
put_field(struct line *l, const struct log_field *f)
{
	char number[24];

	if (f->kind == LOG_FIELD_TEXT && f->text.data == NULL)
		return;
	if (!fits(l, strlen(f->name) + sizeof(number) + 4))
		return;
	put_text(l, format_ == LOG_JSON ? ",\"" : " ");
	put_text(l, f->name);
	put_text(l, format_ == LOG_JSON ? "\":" : "=");
	if (f->kind == LOG_FIELD_NUMBER) {
		(void)snprintf(number, sizeof(number), "%lld", (long long)f->number);
		put_text(l, number);
	} else if (f->kind == LOG_FIELD_BOOL) {
		put_text(l, f->number != 0 ? "true" : "false");
	} else if (format_ == LOG_JSON || needs_quotes(f->text)) {
		put_quoted(l, f->text);
	} else {
		put_escaped(l, f->text);
	}
}

static void
put_head_json(struct line *l, const char *time, enum log_level level, struct span logger, struct span msg)
{
	put_text(l, "{\"ts\":\"");
	put_text(l, time);
	put_text(l, "\",\"level\":\"");
	put_text(l, level_names[level].json);
	put_text(l, "\",\"msg\":");
	put_quoted(l, msg);
	put_text(l, ",\"logger\":");
	put_quoted(l, logger);
}

/* Hours to milliseconds, UTC: a person reads today's. */
static void
put_head_text(struct line *l, const char *time, enum log_level level, struct span logger, struct span msg)
{
	put(l, span_of(time + strlen("2026-11-24T"), strlen("08:20:01.123")));
	put_text(l, " ");
	put_text(l, level_names[level].text);
	put_text(l, " ");
	put_escaped(l, logger);
	put_text(l, " ");
	put_escaped(l, msg);
}

void
log_event(enum log_level level, const char *logger, const char *msg, const struct log_field *fields, size_t n_fields)
{
	/* Constants, both; cut all the same, so that the head fits the line with every byte escaped. */
	struct span logger_cut = text_cut(span_str(logger), LOGGER_BYTES), msg_cut = text_cut(span_str(msg), MSG_BYTES);
	struct line l;
	char time[TEXT_RFC3339_ROOM];
	int64_t now_us;
	int saved_errno = errno;

	if (level < least_)
		return;
	l.used = 0;
	now_us = clock_wall_us();
	(void)text_time(now_us / 1000000, now_us % 1000000, time);
	if (format_ == LOG_JSON)
		put_head_json(&l, time, level, logger_cut, msg_cut);
	else
		put_head_text(&l, time, level, logger_cut, msg_cut);
	for (size_t i = 0; i < n_fields; i++)
		put_field(&l, &fields[i]);
	put_text(&l, format_ == LOG_JSON ? "}\n" : "\n");
	while (write(STDERR_FILENO, l.bytes, l.used) < 0 && errno == EINTR)
		continue;
	errno = saved_errno;
}
