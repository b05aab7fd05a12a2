/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times and durations as text. The calendar is Howard Hinnant's arithmetic (days since 1970 from year,
 * month and day, and back), not the C library's: that one takes a lock, knows time zones, and accepts
 * what RFC 3339 does not.
 */
#include "service/base/text.h"

#include <stdio.h>

#define DAY 86400
#define YEAR_1 INT64_C(-62135596800)            /* its first second, and the last one of 9999: */
#define YEAR_9999 INT64_C(253402300799)         /* what protobuf's Timestamp holds */
#define TEN_YEARS_MS (UINT64_C(3650) * DAY * 1000)

/* Years begin in March here, so that the leap day is a year's last. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void
date_of(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = (int)(year + era * 400 + (*ret_month <= 2 ? 1 : 0));
}

const char *
text_time(int64_t seconds, int64_t micros, char room[TEXT_RFC3339_ROOM])
{
	int64_t clamped = seconds < YEAR_1 ? YEAR_1 : seconds > YEAR_9999 ? YEAR_9999 : seconds;
	int64_t days = clamped >= 0 ? clamped / DAY : (clamped - (DAY - 1)) / DAY;
	int of_day = (int)(clamped - days * DAY);
	int year, month, day, length;

	date_of(days, &year, &month, &day);
	length = snprintf(room, TEXT_RFC3339_ROOM, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, of_day / 3600,
	    of_day / 60 % 60, of_day % 60);
	if (micros >= 0)
		length += snprintf(room + length, TEXT_RFC3339_ROOM - (size_t)length, ".%06d", (int)(micros % 1000000));
	(void)snprintf(room + length, TEXT_RFC3339_ROOM - (size_t)length, "Z");
	return room;
}

static bool
is_digit(struct span value)
{
	return value.bytes > 0 && value.data[0] >= '0' && value.data[0] <= '9';
}

/* Take exactly n digits off the front. */
static bool
number(struct span *value, int n, int least, int most, int *ret)
{
	int result = 0;

	for (; n > 0; n--) {
		if (!is_digit(*value))
			return false;
		result = result * 10 + (value->data[0] - '0');
		*value = span_of(value->data + 1, value->bytes - 1);
	}
	*ret = result;
	return result >= least && result <= most;
}

/* Take one character of the set off the front; '\0' when there is none. */
static char
one_of(struct span *value, const char *set)
{
	char c;

	if (value->bytes == 0 || !text_only(span_of(value->data, 1), set))
		return '\0';
	c = (char)value->data[0];
	*value = span_of(value->data + 1, value->bytes - 1);
	return c;
}

static int
days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool
parse_date(struct span *value, int64_t *ret_days)
{
	int year, month, day;

	if (!number(value, 4, 1, 9999, &year) || one_of(value, "-") == '\0' || !number(value, 2, 1, 12, &month) ||
	    one_of(value, "-") == '\0' || !number(value, 2, 1, days_in(year, month), &day))
		return false;
	*ret_days = days_of(year, month, day);
	return true;
}

/* A second of 60 is let through for the leap second's sake: it is the next minute's first. */
static bool
parse_clock(struct span *value, int64_t *ret_seconds, int32_t *ret_nanos)
{
	int hour, minute, second;
	int32_t nanos = 0, unit = 100000000;

	if (!number(value, 2, 0, 23, &hour) || one_of(value, ":") == '\0' || !number(value, 2, 0, 59, &minute) ||
	    one_of(value, ":") == '\0' || !number(value, 2, 0, 60, &second))
		return false;
	if (one_of(value, ".") != '\0') {
		if (!is_digit(*value))
			return false;
		for (; is_digit(*value); unit /= 10) {
			int digit;

			(void)number(value, 1, 0, 9, &digit);
			nanos += digit * unit;
		}
	}
	*ret_seconds = hour * 3600 + minute * 60 + second;
	*ret_nanos = nanos;
	return true;
}

static bool
parse_offset(struct span *value, int64_t *ret_seconds)
{
	char sign = one_of(value, "Zz+-");
	int hours, minutes;

	*ret_seconds = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (sign == '\0' || !number(value, 2, 0, 23, &hours))
		return false;
	(void)one_of(value, ":");
	if (!number(value, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return true;
}

bool
text_parse_time(struct span value, int64_t *ret_seconds, int32_t *ret_nanos)
{
	int64_t days, of_day, offset, seconds;
	int32_t nanos;

	if (!parse_date(&value, &days) || one_of(&value, "Tt ") == '\0' || !parse_clock(&value, &of_day, &nanos) ||
	    !parse_offset(&value, &offset) || value.bytes != 0)
		return false;
	seconds = days * DAY + of_day - offset;
	if (seconds < YEAR_1 || seconds > YEAR_9999)
		return false;
	*ret_seconds = seconds;
	*ret_nanos = nanos;
	return true;
}

bool
text_parse_duration(struct span value, uint64_t *ret_ms)
{
	static const struct { const char *unit; uint64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", UINT64_C(86400) * 1000 }
	};
	uint64_t count = 0;
	size_t i = 0;

	for (; i < value.bytes && value.data[i] >= '0' && value.data[i] <= '9'; i++) {
		count = count * 10 + (uint64_t)(value.data[i] - '0');
		if (count > TEN_YEARS_MS)
			return false;
	}
	if (i == 0)
		return false;
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		if (!span_is(span_of(value.data + i, value.bytes - i), units[u].unit))
			continue;
		if (count > TEN_YEARS_MS / units[u].ms)
			return false;
		*ret_ms = count * units[u].ms;
		return true;
	}
	return false;
}
