/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON object a line on stderr (or text, for people): ts level msg logger, then the fields.
 * Any thread; a line is one write. Values are escaped; no function here takes a secret: see that none is given.
 *
 * Add an event: call log_event with a constant message; what varies goes into fields. */
#ifndef TOKEND_BASE_LOG_H
#define TOKEND_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/span.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };
enum log_format { LOG_JSON, LOG_TEXT };

struct log_field {
	const char *name;
	enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_BOOL } kind;
	struct span text;
	int64_t number;
};

#define LOG_S(name, value) { (name), LOG_FIELD_TEXT, span_str(value), 0 }
#define LOG_B(name, value) { (name), LOG_FIELD_TEXT, (value), 0 }              /* a span */
#define LOG_N(name, value) { (name), LOG_FIELD_NUMBER, { NULL, 0 }, (int64_t)(value) }
#define LOG_T(name, value) { (name), LOG_FIELD_BOOL, { NULL, 0 }, (value) ? 1 : 0 }

/* Before threads start. Lines below least are dropped. */
void log_setup(enum log_format format, enum log_level least);

/* A field whose text is NULL is left out. logger is the room's name. */
void log_event(enum log_level level, const char *logger, const char *msg, const struct log_field *fields,
    size_t n_fields);

#define log_debug(logger, msg, ...) LOG_CALL_(LOG_DEBUG_, logger, msg, __VA_ARGS__)
#define log_info(logger, msg, ...) LOG_CALL_(LOG_INFO_, logger, msg, __VA_ARGS__)
#define log_warn(logger, msg, ...) LOG_CALL_(LOG_WARN_, logger, msg, __VA_ARGS__)
#define log_error(logger, msg, ...) LOG_CALL_(LOG_ERROR_, logger, msg, __VA_ARGS__)
/* log_info("intake", "assigned", LOG_N("partition", p), LOG_N("offset", o)); at least one field. */
#define LOG_CALL_(level, logger, msg, ...) \
	log_event((level), (logger), (msg), (const struct log_field[]){ __VA_ARGS__ }, \
	    sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

#endif
