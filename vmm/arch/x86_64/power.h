/* SPDX-License-Identifier: MIT */
/* The devices of power.c, and their registers, for the tables that name them. */
#ifndef MV_DEV_POWER_H
#define MV_DEV_POWER_H

#include "dev/dev.h"

enum {
    MV_POWER_SLEEP_CONTROL = 0,
    MV_POWER_SLEEP_STATUS = 1,
    MV_POWER_RESET = 2,
    MV_POWER_SIZE = 3,

    MV_POWER_SLP_EN = 0x20,
    MV_POWER_SLP_TYP = 2, /* shift */
    MV_POWER_S5 = 5,      /* the SLP_TYP that means soft off */
    MV_POWER_RESET_VALUE = 1,
};

mv_device_create_fn mv_power_create;         /* ACPI's sleep and reset registers */
mv_device_create_fn mv_kbd_reset_create;     /* the keyboard controller's reset line */
mv_device_create_fn mv_reset_control_create; /* port 0xcf9 */

/* Whether this keyboard controller command pulses output line 0, the CPU's reset.  Commands 0xf0 to
 * 0xff pulse the lines whose bits are 0. */
static inline bool mv_kbd_resets(uint64_t command)
{
    return (command & 0xf1) == 0xf0;
}

#endif
