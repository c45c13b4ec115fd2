/* SPDX-License-Identifier: MIT */
/* pvpanic: through it the guest reports a kernel panic. */
#ifndef MV_DEV_PANIC_H
#define MV_DEV_PANIC_H

#include "dev/dev.h"

mv_device_create_fn mv_panic_create;

#endif
