/* SPDX-License-Identifier: MIT */
/* The devices of a machine: one table says what they are and where. */
#ifndef MV_BOARD_H
#define MV_BOARD_H

#include "dev/dev.h"

#define MV_BOARD_DEVICES 32

struct mv_board {
    struct mv_device devices[MV_BOARD_DEVICES]; /* do not move once created */
    unsigned count;
};

/* Creates all devices, in the table's order, and puts each on its bus.  env->irq
 * gets each device's own line.  Half-built after an error: call done. */
int mv_board_init(struct mv_board *board, const struct mv_device_env *env, struct mv_bus *mmio,
                  struct mv_bus *ports, struct mv_error *err);
void mv_board_done(struct mv_board *board);

/* By name, or NULL. */
struct mv_device *mv_board_find(struct mv_board *board, const char *name);

/* Tells every device that the machine is about to stop. */
void mv_board_quiesce(struct mv_board *board);

#endif
