/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: base64 of 32 bytes on one line. A signing key's file holds the Ed25519 seed, a box
 * key's the X25519 secret key. */
#ifndef TOKEND_CTL_KEYS_H
#define TOKEND_CTL_KEYS_H

#define KEYS_BYTES 32
#define KEYS_TEXT_ROOM 45               /* base64 of 32 bytes and a NUL */
#define KEYS_FINGERPRINT_ROOM 24

struct err;

/* A pair for signing or for boxes. The secret half is in guarded memory. */
struct keys {
	unsigned char *secret;          /* signing: libsodium's 64 bytes; box: 32 */
	unsigned char public_key[KEYS_BYTES];
};

/* Read the pair whose secret is in the file. Fails (ERR_REFUSE) naming the path. */
int keys_read_signing(const char *path, struct keys *ret_keys, struct err *ret_err);
int keys_read_box(const char *path, struct keys *ret_keys, struct err *ret_err);
void keys_wipe(struct keys *k);

/* A public key's short name, the one that replies give an unregistered box key, too: "sha256:" and 16 hex digits. */
const char *keys_fingerprint(const unsigned char public_key[KEYS_BYTES], char room[KEYS_FINGERPRINT_ROOM]);

/* A new pair: the public half as base64, the secret one into a new file (0600), synced. Never
 * overwrites. */
int keys_make_signing(const char *path, char ret_public[KEYS_TEXT_ROOM], struct err *ret_err);
int keys_make_box(const char *path, char ret_public[KEYS_TEXT_ROOM], struct err *ret_err);

#endif
