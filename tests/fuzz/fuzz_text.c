/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: service/base/text.c service/base/text_time.c service/base/text_base64.c workers/backoff.c
 *
 * The small formats, of which every other parser is made: base64, times, durations, Retry-After, names, and
 * what is shown of foreign bytes.
 *
 * Input: the text; all of them read it.
 *
 * Promises: whatever is read is written back as the same value; nothing exceeds its bounds; what is shown is
 * printable, and a longer text is not shown as a shorter one. */
#include "tests/fuzz/harness.h"

#include <stdlib.h>

#include "service/base/text.h"
#include "workers/backoff.h"

#define BYTES_MOST 300
#define TEN_YEARS_MS (UINT64_C(3650) * 86400 * 1000)
#define RETRY_MOST_MS 600000

static void
check_base64(struct span s)
{
	unsigned char *bytes = malloc(64);
	char written[89];
	long n;

	HOLDS(bytes != NULL);
	n = text_parse_base64(s, bytes, 64);
	HOLDS(n >= -1 && n <= 64);
	if (n >= 0)
		HOLDS(span_is(s, text_base64(span_of(bytes, (size_t)n), written)));
	free(bytes);
}

static void
check_time(struct span s)
{
	int64_t seconds = 0, again = 0;
	int32_t nanos = -1, again_nanos = -1;
	char written[TEXT_RFC3339_ROOM];

	if (!text_parse_time(s, &seconds, &nanos))
		return;
	HOLDS(s.bytes >= 18);
	HOLDS(nanos >= 0 && nanos < 1000000000);
	HOLDS(text_parse_time(span_str(text_time(seconds, -1, written)), &again, &again_nanos));
	HOLDS(again == seconds && again_nanos == 0);
	HOLDS(text_parse_time(span_str(text_time(seconds, nanos / 1000, written)), &again, &again_nanos));
	HOLDS(again == seconds && again_nanos == nanos / 1000 * 1000);
}

static void
check_duration(struct span s)
{
	uint64_t ms = 0;

	if (text_parse_duration(s, &ms))
		HOLDS(ms <= TEN_YEARS_MS && s.bytes >= 2);
}

static void
check_retry_after(struct span s)
{
	uint64_t ms = backoff_retry_after_ms(s, HARNESS_NOW, RETRY_MOST_MS);
	bool digits = s.bytes > 0 && text_only(s, "0123456789");
	uint64_t seconds = 0;

	HOLDS(ms <= RETRY_MOST_MS && (ms % 1000 == 0 || ms == RETRY_MOST_MS));
	HOLDS(ms == 0 || digits || s.bytes >= 24);
	if (!digits)
		return;
	for (size_t i = 0; i < s.bytes && seconds * 1000 < RETRY_MOST_MS; i++)
		seconds = seconds * 10 + (s.data[i] - '0');
	HOLDS(ms == (seconds * 1000 < RETRY_MOST_MS ? seconds * 1000 : RETRY_MOST_MS));
}

static void
check_names(struct span s)
{
	static const char lower[] = "abcdef0123456789-";

	HOLDS(!text_is_uuid(s) || (s.bytes == 36 && text_only(s, lower)));
	HOLDS(!text_is_request_id(s) || (s.bytes >= 1 && s.bytes <= 128));
	HOLDS(!text_is_principal(s) || text_is_request_id(s));
	HOLDS(!text_is_service_id(s) || text_is_principal(s));
	HOLDS(!text_is_database(s) || (s.bytes <= 64 && memchr(s.data, '*', s.bytes) == NULL));
	if (text_is_description(s)) {
		HOLDS(s.bytes <= 200 && text_is_utf8(s));
		for (size_t i = 0; i < s.bytes; i++)
			HOLDS(s.data[i] >= 0x20 && s.data[i] != 0x7f);
		HOLDS(memmem(s.data, s.bytes, "[tokend/", 8) == NULL);
	}
}

static void
check_shown(struct span s)
{
	char *room = malloc(TEXT_SHOWN_ROOM);
	struct span cut = text_cut(s, TEXT_SHOWN_BYTES);

	HOLDS(room != NULL);
	HOLDS(text_shown(s, room) == room && strlen(room) < TEXT_SHOWN_ROOM);
	HOLDS(harness_printable(room) && strchr(room, '"') == NULL);
	HOLDS(strlen(room) >= cut.bytes);
	HOLDS(cut.bytes == s.bytes || strcmp(room + strlen(room) - 3, "…") == 0);
	HOLDS(cut.bytes <= TEXT_SHOWN_BYTES);
	HOLDS(cut.bytes == s.bytes || cut.bytes + 3 >= TEXT_SHOWN_BYTES);
	HOLDS(!text_is_utf8(s) || text_is_utf8(cut));
	free(room);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct feed f = feed_of(data, bytes < BYTES_MOST ? bytes : BYTES_MOST);
	struct span s = feed_rest(&f);

	check_base64(s);
	check_time(s);
	check_duration(s);
	check_retry_after(s);
	check_names(s);
	check_shown(s);
	feed_end(&f);
	return 0;
}
