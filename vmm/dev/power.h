/* SPDX-License-Identifier: MIT */
/* The registers of power.c, for the firmware tables that name them. */
#ifndef MV_DEV_POWER_H
#define MV_DEV_POWER_H

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

#endif
