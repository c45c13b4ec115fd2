/* SPDX-License-Identifier: MIT */
/* The boot timer: each byte written to it becomes a mark on the timeline. */
#ifndef MV_DEV_BOOT_TIMER_H
#define MV_DEV_BOOT_TIMER_H

#include "dev/dev.h"

mv_device_create_fn mv_boot_timer_create;

#endif
