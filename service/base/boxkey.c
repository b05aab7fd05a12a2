/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The X25519 public keys that no box may be sealed to.
 *
 * libsodium refuses them, too, but only while it seals: that is after the token was created, and a token
 * that cannot be handed over is what this service exists to avoid. So keys are looked at where they enter:
 * in the policy file, and inline in a request. Curve25519 has few points of low order, and asking a list of
 * them costs nothing, where a trial multiplication would cost the loop thread 40 us a request. The unit
 * test holds the list against libsodium's own judgement.
 *
 * The top bit of the last byte is no part of the coordinate (RFC 7748), so it is masked off; p, p - 1 and p
 * + 1 stand for -0, -1 and 1, which an encoding may hold unreduced.
 */
#include "service/base/boxkey.h"

#include <stddef.h>
#include <string.h>

#define LAST (BOXKEY_BYTES - 1)

static const unsigned char low_order[][BOXKEY_BYTES] = {
	{ 0 },                                                                   /* 0: order 4 */
	{ 1 },                                                                   /* 1: order 1 */
	/* order 8, both */
	{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
	  0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
	{ 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
	  0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
	{ 0xec, [1 ... LAST - 1] = 0xff, [LAST] = 0x7f },                        /* p - 1: order 2 */
	{ 0xed, [1 ... LAST - 1] = 0xff, [LAST] = 0x7f },                        /* p: 0, unreduced */
	{ 0xee, [1 ... LAST - 1] = 0xff, [LAST] = 0x7f },                        /* p + 1: 1, unreduced */
};

bool
boxkey_usable(const unsigned char key[BOXKEY_BYTES])
{
	unsigned char coordinate[BOXKEY_BYTES];

	memcpy(coordinate, key, BOXKEY_BYTES);
	coordinate[LAST] &= 0x7f;
	for (size_t i = 0; i < sizeof(low_order) / sizeof(low_order[0]); i++)
		if (memcmp(coordinate, low_order[i], BOXKEY_BYTES) == 0)
			return false;
	return true;
}
