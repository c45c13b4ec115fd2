/* SPDX-License-Identifier: MIT */
/* The devices that every machine has: one table gives their descriptions and addresses. */
#ifndef MV_BOARD_H
#define MV_BOARD_H

#include "dev/devices.h"

struct mv_arch;

/* Creates them, in the table's order, and puts each on its bus.  After an error *devices is
 * half-built: call mv_devices_done. */
int mv_board_init(struct mv_devices *devices, const struct mv_device_env *env,
                  struct mv_error *err);

/* Adds further devices that the loaded guest expects, where the embedder has put nothing. */
int mv_board_add_late(struct mv_devices *devices, const struct mv_arch *arch,
                      const struct mv_device_env *env, struct mv_error *err);

#endif
