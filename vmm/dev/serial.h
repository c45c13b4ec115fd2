/* SPDX-License-Identifier: MIT */
/* The serial port: a 16550A, connected to the host's console. */
#ifndef MV_DEV_SERIAL_H
#define MV_DEV_SERIAL_H

#include "dev/dev.h"

mv_device_create_fn mv_serial_create;

#endif
