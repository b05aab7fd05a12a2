/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsodium asks the kernel for each number: no state of ours to seed, to fork or to leak. Used for
 * marker nonces and span ids as well as for jitter; one source for both leaves nobody to wonder which
 * is good enough for what.
 */
#include "service/base/random.h"

#include <sodium.h>

void
random_bytes(unsigned char *ret, size_t bytes)
{
	randombytes_buf(ret, bytes);
}

uint32_t
random_dice(void)
{
	return randombytes_random();
}
