/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files: base64 of 32 bytes on one line.
 *
 * Both kinds look alike, so that one line of shell or of any language can make or read them; which
 * is which, the configuration says. A secret is decoded into guarded memory and never leaves it;
 * the files that hold one are made with mode 0600. That others can read a file is not refused here:
 * Kubernetes projects secrets so unless told otherwise. Who reads the keys warns of it.
 */
#include "service/ctl/keys.h"

#include <sodium.h>
#include <string.h>

#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/random.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/files.h"

_Static_assert(crypto_box_SECRETKEYBYTES == KEYS_BYTES && DSSE_SEED_BYTES == KEYS_BYTES,
    "one form for both kinds of keys");

#define FILE_MOST 128                   /* more than a line of base64 with its line end */

/* The 32 bytes of a key file, into guarded memory. */
static int
read_secret(const char *path, unsigned char *secret, struct err *ret_err)
{
	struct secret *s = secret_read_file(path, FILE_MOST, true, ret_err);
	long bytes;

	if (s == NULL)
		return -1;
	bytes = text_parse_base64(secret_bytes(s), secret, KEYS_BYTES);
	secret_release(s);
	if (bytes != KEYS_BYTES)
		return err_set(ret_err, ERR_REFUSE, "%s is no key file: it must hold one line, the base64 of 32 bytes",
		    path);
	return 0;
}

static unsigned char *
guarded(size_t bytes, struct err *ret_err)
{
	unsigned char *p = secret_guarded_new(bytes);

	if (p == NULL)
		(void)err_set(ret_err, ERR_FATAL, "there is no memory that can be locked for a key");
	return p;
}

int
keys_read_signing(const char *path, struct keys *ret_keys, struct err *ret_err)
{
	unsigned char *seed = guarded(KEYS_BYTES, ret_err);
	unsigned char *secret = seed != NULL ? guarded(DSSE_SECRET_BYTES, ret_err) : NULL;

	if (secret == NULL || read_secret(path, seed, ret_err) != 0) {
		secret_guarded_free(secret);
		secret_guarded_free(seed);
		return -1;
	}
	dsse_secret_of_seed(seed, secret);
	dsse_public_of(secret, ret_keys->public_key);
	ret_keys->secret = secret;
	secret_guarded_free(seed);
	return 0;
}

int
keys_read_box(const char *path, struct keys *ret_keys, struct err *ret_err)
{
	unsigned char *secret = guarded(KEYS_BYTES, ret_err);

	if (secret == NULL || read_secret(path, secret, ret_err) != 0) {
		secret_guarded_free(secret);
		return -1;
	}
	(void)crypto_scalarmult_base(ret_keys->public_key, secret);
	ret_keys->secret = secret;
	return 0;
}

void
keys_wipe(struct keys *k)
{
	secret_guarded_free(k->secret);
	k->secret = NULL;
}

const char *
keys_fingerprint(const unsigned char public_key[KEYS_BYTES], char room[KEYS_FINGERPRINT_ROOM])
{
	unsigned char hash[DSSE_HASH_BYTES];

	dsse_sha256(span_of(public_key, KEYS_BYTES), hash);
	(void)text_hex(span_of(hash, 8), stpcpy(room, "sha256:"));
	return room;
}

static int
write_secret(const char *path, const unsigned char secret[KEYS_BYTES], struct err *ret_err)
{
	char line[KEYS_TEXT_ROOM];
	int result;

	(void)text_base64(span_of(secret, KEYS_BYTES), line);
	line[KEYS_TEXT_ROOM - 1] = '\n';
	result = files_write_new(path, span_of(line, sizeof(line)), ret_err);
	secret_wipe(line, sizeof(line));
	return result;
}

int
keys_make_signing(const char *path, char ret_public[KEYS_TEXT_ROOM], struct err *ret_err)
{
	unsigned char seed[DSSE_SEED_BYTES], secret[DSSE_SECRET_BYTES], public_key[DSSE_PUBLIC_BYTES];
	int result;

	random_bytes(seed, sizeof(seed));
	dsse_secret_of_seed(seed, secret);
	dsse_public_of(secret, public_key);
	result = write_secret(path, seed, ret_err);
	if (result == 0)
		(void)text_base64(span_of(public_key, sizeof(public_key)), ret_public);
	secret_wipe(seed, sizeof(seed));
	secret_wipe(secret, sizeof(secret));
	return result;
}

int
keys_make_box(const char *path, char ret_public[KEYS_TEXT_ROOM], struct err *ret_err)
{
	unsigned char secret[KEYS_BYTES], public_key[KEYS_BYTES];
	int result;

	random_bytes(secret, sizeof(secret));
	(void)crypto_scalarmult_base(public_key, secret);
	result = write_secret(path, secret, ret_err);
	if (result == 0)
		(void)text_base64(span_of(public_key, sizeof(public_key)), ret_public);
	secret_wipe(secret, sizeof(secret));
	return result;
}
