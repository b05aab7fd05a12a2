/* SPDX-License-Identifier: Apache-2.0 */
/* Two clocks, never mixed: BOOT for how long (it goes on while the machine or the process sleeps), WALL
 * for what is written down and compared with other machines. Any thread. */
#ifndef TOKEND_BASE_CLOCK_H
#define TOKEND_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_boot_ms(void);     /* CLOCK_BOOTTIME, milliseconds */
uint64_t clock_boot_us(void);     /* the same, microseconds */
int64_t clock_wall_ms(void);      /* Unix milliseconds */
int64_t clock_wall_us(void);      /* the same, microseconds */

#endif
