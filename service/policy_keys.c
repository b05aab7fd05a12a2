/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a policy file.
 *
 * A key that was pasted wrongly would be noticed by nobody but its owner, as a signature that does not
 * verify. So a key must be what its place asks for: a signing key a point of Ed25519's group, which of
 * sixteen X25519 keys in the wrong place fifteen are not, and a recipient key one to which only its owner
 * can open what is sealed. What stands in its place is never shown: it may be the secret key.
 *
 * The same signing key under two principals would let each ask as the other: whose request it is would
 * hang on the key's id, and that is a hint. Under one principal it is merely another name for it.
 */
#include "service/policy_keys.h"

#include <stdlib.h>
#include <string.h>

#include "service/base/boxkey.h"
#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/text.h"
#include "service/policy_file.h"
#include "service/policy_snapshot.h"

#define ID_BYTES_MOST 64
#define KEY_BYTES 32

static const char id_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

static int
build_time(const char *key, const char *text, int64_t absent, int64_t *ret_seconds, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];
	int32_t nanos;

	if (text == NULL) {
		*ret_seconds = absent;
		return 0;
	}
	if (!text_parse_time(span_str(text), ret_seconds, &nanos))
		return err_set(ret_err, ERR_REFUSE, "%s \"%s\" is no time like 2027-06-01T00:00:00Z", key,
		    text_shown(span_str(text), shown));
	return 0;
}

static int
build_validity(const struct policy_file_key *k, int64_t *ret_not_before, int64_t *ret_not_after, struct err *ret_err)
{
	if (build_time("not_before", k->not_before, INT64_MIN, ret_not_before, ret_err) != 0 ||
	    build_time("not_after", k->not_after, INT64_MAX, ret_not_after, ret_err) != 0)
		return -1;
	if (*ret_not_before > *ret_not_after)
		return err_set(ret_err, ERR_REFUSE, "not_after %s lies before not_before %s", k->not_after,
		    k->not_before);
	return 0;
}

static int
build_id(struct arena *a, const char *id, const char **ret_id, struct err *ret_err)
{
	struct span s = span_str(id);

	if (s.bytes == 0 || s.bytes > ID_BYTES_MOST || !text_only(s, id_characters))
		return err_set(ret_err, ERR_REFUSE, "the id is not 1 to %d of A-Z a-z 0-9 . _ -", ID_BYTES_MOST);
	*ret_id = arena_text(a, "%s", id);
	return 0;
}

static int
build_bytes(const char *base64, unsigned char ret[KEY_BYTES], struct err *ret_err)
{
	if (text_parse_base64(span_str(base64), ret, KEY_BYTES) != KEY_BYTES)
		return err_set(ret_err, ERR_REFUSE, "its %zu characters are not the base64 of %d bytes", strlen(base64),
		    KEY_BYTES);
	return 0;
}

static int
build_signing(struct arena *a, const struct policy_file_key *from, struct policy_key *to, struct err *ret_err)
{
	to->line = from->line;
	if (build_id(a, from->id, &to->id, ret_err) != 0 || build_bytes(from->key, to->public_key, ret_err) != 0 ||
	    build_validity(from, &to->not_before, &to->not_after, ret_err) != 0)
		return -1;
	if (!dsse_public_usable(to->public_key))
		return err_set(ret_err, ERR_REFUSE,
		    "it is no Ed25519 public key; is it a recipient's, or the secret one?");
	return 0;
}

static int
build_recipient(struct arena *a, const struct policy_file_key *from, struct policy_recipient *to, struct err *ret_err)
{
	to->suite = from->suite;
	if (build_id(a, from->id, &to->id, ret_err) != 0 || build_bytes(from->key, to->public_key, ret_err) != 0 ||
	    build_validity(from, &to->not_before, &to->not_after, ret_err) != 0)
		return -1;
	if (!boxkey_usable(to->public_key))
		return err_set(ret_err, ERR_REFUSE,
		    "it is a point of low order: anybody could open what is sealed to it");
	return 0;
}

static int
name_key(const char *kind, const struct policy_file_key *k, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM];

	return err_prefix(ret_err, "%s key \"%s\" (line %u)", kind, text_shown(span_str(k->id), shown), k->line);
}

int
policy_keys_signing(struct policy *p, const struct policy_file_principal *from, const struct policy_principal *owner,
    struct err *ret_err)
{
	if (from->signing_keys_count == 0)
		return err_set(ret_err, ERR_REFUSE, "signing_keys is empty: nobody could ask in its name");
	for (unsigned i = 0; i < from->signing_keys_count; i++) {
		struct policy_key *to = &p->keys[p->n_keys++];

		to->principal = owner->name;
		if (build_signing(&p->arena, &from->signing_keys[i], to, ret_err) != 0)
			return name_key("signing", &from->signing_keys[i], ret_err);
	}
	return 0;
}

int
policy_keys_recipients(struct policy *p, const struct policy_file_principal *from, struct policy_principal *to,
    struct err *ret_err)
{
	to->n_recipients = from->recipient_keys_count;
	to->recipients = arena_alloc(&p->arena, to->n_recipients * sizeof(*to->recipients));
	for (size_t i = 0; i < to->n_recipients; i++) {
		const struct policy_file_key *k = &from->recipient_keys[i];

		if (build_recipient(&p->arena, k, &to->recipients[i], ret_err) != 0)
			return name_key("recipient", k, ret_err);
		for (size_t j = 0; j < i; j++)
			if (strcmp(to->recipients[j].id, k->id) == 0)
				return err_set(ret_err, ERR_REFUSE, "recipient key \"%s\" stands twice, in lines %u "
				    "and %u", k->id, from->recipient_keys[j].line, k->line);
	}
	return 0;
}

static int
compare_ids(const void *left, const void *right)
{
	return strcmp(((const struct policy_key *)left)->id, ((const struct policy_key *)right)->id);
}

static int
compare_bytes(const void *left, const void *right)
{
	const struct policy_key *const *l = left, *const *r = right;

	return memcmp((*l)->public_key, (*r)->public_key, KEY_BYTES);
}

static int
check_no_key_is_shared(struct policy *p, struct err *ret_err)
{
	const struct policy_key **by_bytes = arena_alloc(&p->arena, p->n_keys * sizeof(*by_bytes));

	for (size_t i = 0; i < p->n_keys; i++)
		by_bytes[i] = &p->keys[i];
	qsort(by_bytes, p->n_keys, sizeof(*by_bytes), compare_bytes);
	for (size_t i = 1; i < p->n_keys; i++) {
		const struct policy_key *a = by_bytes[i - 1], *b = by_bytes[i];

		if (compare_bytes(&a, &b) == 0 && strcmp(a->principal, b->principal) != 0)
			return err_set(ret_err, ERR_REFUSE,
			    "signing keys \"%s\" of %s (line %u) and \"%s\" of %s (line %u) are the same key: each "
			    "could ask as the other", a->id, a->principal, a->line, b->id, b->principal, b->line);
	}
	return 0;
}

int
policy_keys_check_unique(struct policy *p, struct err *ret_err)
{
	qsort(p->keys, p->n_keys, sizeof(*p->keys), compare_ids);
	for (size_t i = 1; i < p->n_keys; i++) {
		const struct policy_key *a = &p->keys[i - 1], *b = &p->keys[i];

		if (compare_ids(a, b) == 0)
			return err_set(ret_err, ERR_REFUSE,
			    "signing key \"%s\" stands twice: of %s in line %u, of %s in line %u; ids are unique over "
			    "all principals", a->id, a->principal, a->line, b->principal, b->line);
	}
	return check_no_key_is_shared(p, ret_err);
}
