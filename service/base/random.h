/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness from the kernel by libsodium. Any thread. */
#ifndef TOKEND_BASE_RANDOM_H
#define TOKEND_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(unsigned char *ret, size_t bytes);
uint32_t random_dice(void);        /* uniform over all of uint32_t: what backoff_ms takes */

#endif
