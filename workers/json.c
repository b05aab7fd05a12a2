/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from others, read strictly.
 *
 * cJSON alone lets much pass: bytes behind the end, strings cut at a NUL, and of two members of one name it gives the
 * first, where another reader may take the last. Each of those is looked for here. Names are told apart by case, as
 * JSON does and cJSON by default does not.
 */
#include "workers/json.h"

#include <string.h>

#include "service/base/text.h"

/* What stands behind \u: four hexadecimal digits, and not all of them 0? */
static bool
is_character(const unsigned char *digits, size_t bytes)
{
	return bytes >= 4 && text_only(span_of(digits, 4), "0123456789abcdefABCDEF") && memcmp(digits, "0000", 4) != 0;
}

/* Plain, written as \u0000, or made by cJSON of a \u that is no character's: it would take each of them for the end
 * of a string. */
static bool
holds_nul(const unsigned char *text, size_t bytes)
{
	if (memchr(text, '\0', bytes) != NULL)
		return true;
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] != '\\')
			continue;
		i++;                            /* the escaped character is no backslash that begins another */
		if (i < bytes && text[i] == 'u' && !is_character(text + i + 1, bytes - i - 1))
			return true;
	}
	return false;
}

cJSON *
json_parse(const unsigned char *text, size_t bytes)
{
	if (holds_nul(text, bytes))
		return NULL;
	return cJSON_ParseWithLengthOpts((const char *)text, bytes + 1, NULL, 1);
}

bool
json_member(const cJSON *object, const char *name, const cJSON **ret_member)
{
	const cJSON *found = NULL, *one;

	cJSON_ArrayForEach(one, object) {
		if (one->string == NULL || strcmp(one->string, name) != 0)
			continue;
		if (found != NULL)
			return false;
		found = one;
	}
	*ret_member = found;
	return true;
}

bool
json_text(const cJSON *object, const char *name, struct span *ret_text)
{
	const cJSON *m;

	if (!json_member(object, name, &m))
		return false;
	*ret_text = m != NULL && cJSON_IsString(m) ? span_str(m->valuestring) : span_of(NULL, 0);
	return true;
}
