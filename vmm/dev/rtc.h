/* SPDX-License-Identifier: MIT */
/* A real-time clock, PL031. */
#ifndef MV_DEV_RTC_H
#define MV_DEV_RTC_H

#include "dev/dev.h"

mv_device_create_fn mv_rtc_create;

#endif
