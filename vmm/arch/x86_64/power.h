/* SPDX-License-Identifier: MIT */
/* The registers of power.c, for the firmware tables that name them. */
#ifndef MV_DEV_POWER_H
#define MV_DEV_POWER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MV_POWER_SLEEP_CONTROL = 0,
    MV_POWER_SLEEP_STATUS = 1,
    MV_POWER_RESET = 2,
    MV_POWER_SIZE = 3,

    MV_POWER_SLP_EN = 0x20,
    MV_POWER_SLP_TYP = 2, /* shift */
    MV_POWER_S5 = 5,      /* the SLP_TYP that means soft off */
    MV_POWER_RESET_VALUE = 1,

    MV_PM1_CONTROL = 0,
    MV_PM1_EVENT = 4,
    MV_PM1_SIZE = 8,
};

/* Does this command of the keyboard controller's pulse the output line 0, the processor's reset?
 * 0xf0 to 0xff do, on the lines whose bits are 0. */
static inline bool mv_kbd_resets(uint64_t command)
{
    return (command & 0xf1) == 0xf0;
}

#endif
