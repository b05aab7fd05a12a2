/* SPDX-License-Identifier: Apache-2.0 */
/* Before something that cannot be undone: is it meant? */
#ifndef TOKEND_CTL_CONFIRM_H
#define TOKEND_CTL_CONFIRM_H

#include <stdbool.h>

struct err;

/* Is there anybody to ask, or no need to? Before anything else is done. Fails (ERR_REFUSE) with the cure. */
int confirm_check(bool force, struct err *ret_err);

/* Ask on the terminal; forced, it is meant. Fails (ERR_REFUSE) when the answer is anything but yes. */
int confirm_ask(bool force, const char *question, struct err *ret_err);

#endif
