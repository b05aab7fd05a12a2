/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before the next try: our guess, and the server's word.
 *
 * Full jitter, because after an outage every caller wakes at once, and spreading them keeps us from knocking
 * the API down again. The server's word outranks our guess: the jitter comes on top of it.
 *
 * HTTP-dates are read by hand. strptime knows them too, but in the language of whatever locale the process is
 * in.
 */
#include "workers/backoff.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

uint64_t
backoff_ms(const struct backoff *b, unsigned attempt, uint64_t retry_after_ms, uint32_t dice)
{
	uint64_t window = b->base_ms;

	while (attempt-- > 0 && window < b->cap_ms)
		window *= 2;
	if (window > b->cap_ms)
		window = b->cap_ms;

	return retry_after_ms + (window * dice >> 32);
}

/* Exactly digits decimal digits at *at, which moves past them; -1: they are not there. */
static int
number(struct span *at, size_t digits)
{
	int n = 0;

	if (at->bytes < digits)
		return -1;
	for (size_t i = 0; i < digits; i++) {
		if (at->data[i] < '0' || at->data[i] > '9')
			return -1;
		n = n * 10 + (at->data[i] - '0');
	}
	*at = span_of(at->data + digits, at->bytes - digits);
	return n;
}

/* Which of the names stands at *at? -1: none. */
static int
name(struct span *at, const char *const names[], int n_names)
{
	for (int i = 0; i < n_names; i++) {
		size_t bytes = strlen(names[i]);

		if (at->bytes >= bytes && memcmp(at->data, names[i], bytes) == 0) {
			*at = span_of(at->data + bytes, at->bytes - bytes);
			return i;
		}
	}
	return -1;
}

/* A year of two digits is the latest that is not more than 50 years ahead (RFC 9110). */
static int
whole_year(int two_digits, int64_t now)
{
	time_t seconds = (time_t)now;
	struct tm today;
	int year;

	if (two_digits < 0 || gmtime_r(&seconds, &today) == NULL)
		return -1;
	year = (today.tm_year + 1900) / 100 * 100 + 100 + two_digits;
	while (year > today.tm_year + 1900 + 50)
		year -= 100;
	return year;
}

/* One piece of a date, named by a letter of the patterns below; any other letter stands for itself. */
static bool
piece(char letter, struct span *at, int64_t now, struct tm *ret_tm)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const long_days[] = {
		"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
	};
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
	};
	static const char *const blank[] = { " " };
	const char itself[] = { letter, '\0' };
	const char *const only_itself[] = { itself };

	switch (letter) {
	case 'w':
		return name(at, days, 7) >= 0;
	case 'W':
		return name(at, long_days, 7) >= 0;
	case 'b':
		return (ret_tm->tm_mon = name(at, months, 12)) >= 0;
	case 'd':
		return (ret_tm->tm_mday = number(at, 2)) >= 1;
	case 'e':       /* padded with a blank */
		return (ret_tm->tm_mday = number(at, name(at, blank, 1) == 0 ? 1 : 2)) >= 1;
	case 'Y':
		return (ret_tm->tm_year = number(at, 4) - 1900) >= 0;
	case 'y':
		return (ret_tm->tm_year = whole_year(number(at, 2), now) - 1900) >= 0;
	case 'h':
		return (ret_tm->tm_hour = number(at, 2)) >= 0 && ret_tm->tm_hour <= 23;
	case 'm':
		return (ret_tm->tm_min = number(at, 2)) >= 0 && ret_tm->tm_min <= 59;
	case 's':       /* 60: a leap second */
		return (ret_tm->tm_sec = number(at, 2)) >= 0 && ret_tm->tm_sec <= 60;
	default:
		return name(at, only_itself, 1) == 0;
	}
}

bool
backoff_http_date(struct span value, int64_t now, int64_t *ret_seconds)
{
	static const char *const patterns[] = {
		"w, d b Y h:m:s GMT",          /* Sun, 06 Nov 1994 08:49:37 GMT */
		"W, d-b-y h:m:s GMT",          /* Sunday, 06-Nov-94 08:49:37 GMT */
		"w b e h:m:s Y",               /* Sun Nov  6 08:49:37 1994 */
	};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		struct span at = value;
		struct tm tm = { 0 };
		const char *p = patterns[i];

		while (*p != '\0' && piece(*p, &at, now, &tm))
			p++;
		if (*p == '\0' && at.bytes == 0) {
			int day = tm.tm_mday;

			if (tm.tm_sec == 60)
				tm.tm_sec = 59;
			*ret_seconds = timegm(&tm);
			return tm.tm_mday == day;      /* timegm makes March out of February 30 */
		}
	}
	return false;
}

uint64_t
backoff_retry_after_ms(struct span value, int64_t now, uint64_t most_ms)
{
	uint64_t seconds = 0;
	int64_t date;
	size_t i = 0;

	for (; i < value.bytes && value.data[i] >= '0' && value.data[i] <= '9'; i++)
		if (seconds <= most_ms)
			seconds = seconds * 10 + (value.data[i] - '0');
	if (i < value.bytes || i == 0) {
		if (!backoff_http_date(value, now, &date) || date <= now)
			return 0;
		seconds = (uint64_t)(date - now);
	}
	return seconds >= most_ms / 1000 ? most_ms : seconds * 1000;
}
