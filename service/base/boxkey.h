/* SPDX-License-Identifier: Apache-2.0 */
/* Can anything be sealed to this X25519 public key? Pure; any thread. */
#ifndef TOKEND_BASE_BOXKEY_H
#define TOKEND_BASE_BOXKEY_H

#include <stdbool.h>

#define BOXKEY_BYTES 32

/* False for the points of low order: whatever the secret, the shared secret with them is zero, and anybody
 * could open the box. */
bool boxkey_usable(const unsigned char key[BOXKEY_BYTES]);

#endif
