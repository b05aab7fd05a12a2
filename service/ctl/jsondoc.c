/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as the RFC has it, and nothing beside.
 *
 * cJSON does the parsing. It is more generous than a request for rights should be: it takes what
 * follows the value, cuts a string at \u0000 (or at \uXYZ), lets control characters stand, and of two members
 * of one name the first counts here and the last elsewhere. So the text is looked at once before it,
 * for what strings may not hold, and the tree once after it, for names that stand twice.
 *
 * People paste these bodies from web pages, and the commonest slip is a comma too many: it is told by
 * its own place, not by that of the bracket behind it.
 */
#include "service/ctl/jsondoc.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "service/base/err.h"
#include "service/base/text.h"

#define DEPTH_MOST 32

/* Where in the text, as editors count: lines and characters from 1 on. */
struct place {
	size_t line, column;
};

static struct place
place_of(struct span text, size_t offset)
{
	struct place p = { 1, 1 };

	for (size_t i = 0; i < offset && i < text.bytes; i++) {
		if (text.data[i] == '\n')
			p = (struct place){ p.line + 1, 1 };
		else
			p.column += (text.data[i] & 0xc0) != 0x80;
	}
	return p;
}

static int
refuse(const char *name, struct span text, size_t offset, const char *what, struct err *ret_err)
{
	struct place p = place_of(text, offset);

	return err_set(ret_err, ERR_REFUSE, "%s:%zu:%zu: %s", name, p.line, p.column, what);
}

/* What is wrong with the escape that rest begins with; NULL: nothing. Of a \u without its digits cJSON makes a NUL,
 * and cuts the string there. */
static const char *
bad_escape(struct span rest)
{
	if (rest.bytes == 0 || rest.data[0] != 'u')
		return NULL;
	if (rest.bytes < 5 || !text_only(span_of(rest.data + 1, 4), "0123456789abcdefABCDEF"))
		return "\\u without four hexadecimal digits behind it";
	if (memcmp(rest.data + 1, "0000", 4) == 0)
		return "\\u0000 in a string; no name and no description has one";
	return NULL;
}

/* The first thing in a string that does not belong there, as an offset; text.bytes when there is none. */
static size_t
find_bad_byte(struct span text, const char **ret_what)
{
	bool in_string = false;

	for (size_t i = 0; i < text.bytes; i++) {
		unsigned char c = text.data[i];

		if (c == '"') {
			in_string = !in_string;
		} else if (in_string && c < ' ') {
			*ret_what = "a control character in a string; write it as \\u00XX, or leave it away";
			return i;
		} else if (in_string && c == '\\') {
			if ((*ret_what = bad_escape(span_of(text.data + i + 1, text.bytes - i - 1))) != NULL)
				return i;
			i++;
		}
	}
	return text.bytes;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t
before_blanks(struct span text, size_t at)
{
	while (at > 0 && is_blank(text.data[at - 1]))
		at--;
	return at;
}

/* Where it goes wrong, from where cJSON stopped: that is one too far where a member's name should have begun. */
static size_t
first_wrong(struct span text, size_t stop)
{
	size_t before = stop > 0 ? before_blanks(text, stop - 1) : 0;

	if (before > 0 && !is_blank(text.data[stop - 1]) && text.data[stop - 1] != '"' &&
	    (text.data[before - 1] == ',' || (text.data[before - 1] == '{' && text.data[stop - 1] != '}')))
		return stop - 1;
	while (stop < text.bytes && is_blank(text.data[stop]))
		stop++;
	return stop;
}

static int
refuse_syntax(const char *name, struct span text, size_t stop, struct err *ret_err)
{
	char what[TEXT_SHOWN_ROOM + 32] = "the JSON ends too early", shown[TEXT_SHOWN_ROOM];
	size_t at = first_wrong(text, stop), before = before_blanks(text, at);

	if (at < text.bytes && (text.data[at] == ']' || text.data[at] == '}') && before > 0 &&
	    text.data[before - 1] == ',')
		return refuse(name, text, before - 1, "a comma with nothing behind it: take the comma out", ret_err);
	if (at < text.bytes)
		(void)snprintf(what, sizeof(what), "this is not JSON from here on: %s",
		    text_shown(text_cut(span_of(text.data + at, text.bytes - at), 24), shown));
	return refuse(name, text, at, what, ret_err);
}

/* Every name once in its object. */
static int
check_names(const char *name, const cJSON *value, int depth, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	const cJSON *member, *other;

	if (depth > DEPTH_MOST)
		return err_set(ret_err, ERR_REFUSE, "%s: nested deeper than anything that is asked for", name);
	cJSON_ArrayForEach(member, value) {
		for (other = member->next; cJSON_IsObject(value) && other != NULL; other = other->next)
			if (strcmp(member->string, other->string) == 0)
				return err_set(ret_err, ERR_REFUSE, "%s: \"%s\" stands twice in one object", name,
				    text_shown(span_str(member->string), shown));
		if (check_names(name, member, depth + 1, ret_err) != 0)
			return -1;
	}
	return 0;
}

cJSON *
jsondoc_parse(const char *name, struct span text, struct err *ret_err)
{
	const char *end = NULL, *what = NULL;
	size_t bad = find_bad_byte(text, &what);
	cJSON *value;

	if (!text_is_utf8(text)) {
		(void)err_set(ret_err, ERR_REFUSE, "%s is not UTF-8 text", name);
		return NULL;
	}
	if (bad < text.bytes) {
		(void)refuse(name, text, bad, what, ret_err);
		return NULL;
	}
	/* With the NUL counted: else cJSON would not look at what stands behind the value. */
	value = cJSON_ParseWithLengthOpts((const char *)text.data, text.bytes + 1, &end, 1);
	if (value == NULL) {
		(void)refuse_syntax(name, text, end != NULL ? (size_t)(end - (const char *)text.data) : 0, ret_err);
		return NULL;
	}
	if (check_names(name, value, 0, ret_err) == 0)
		return value;
	cJSON_Delete(value);
	return NULL;
}

int
jsondoc_only(const cJSON *object, const char *place, const char *const *members, size_t n_members, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM], known[256] = "";
	const cJSON *m;

	if (!cJSON_IsObject(object))
		return err_set(ret_err, ERR_REFUSE, "%s must be a JSON object: {...}", place);
	for (size_t i = 0; i < n_members; i++)
		(void)snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i > 0 ? ", " : "",
		    members[i]);
	cJSON_ArrayForEach(m, object) {
		size_t i = 0;

		while (i < n_members && strcmp(members[i], m->string) != 0)
			i++;
		if (i == n_members)
			return err_set(ret_err, ERR_REFUSE, "%s: nothing is known of a member \"%s\"; it may have %s",
			    place, text_shown(span_str(m->string), shown), known);
	}
	return 0;
}

int
jsondoc_text(const cJSON *object, const char *place, const char *member, const char **ret_text, struct err *ret_err)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(object, member);

	if (m == NULL)
		return 0;
	if (!cJSON_IsString(m))
		return err_set(ret_err, ERR_REFUSE, "%s: %s must be a string", place, member);
	*ret_text = m->valuestring;
	return 0;
}
