/* SPDX-License-Identifier: MIT */
/* The exit port: a byte written to it ends the machine, and is its exit status. */
#ifndef MV_DEV_EXIT_PORT_H
#define MV_DEV_EXIT_PORT_H

#include "dev/dev.h"

mv_device_create_fn mv_exit_create;

#endif
