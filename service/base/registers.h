/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread's vector registers still hold of the last bytes that it copied. */
#ifndef TOKEND_BASE_REGISTERS_H
#define TOKEND_BASE_REGISTERS_H

/* Empty them. Any thread, for itself; costs about as much as a copy of a kilobyte. */
void registers_forget(void);

#endif
