/* SPDX-License-Identifier: MIT */
/*
 * An IDE channel without drives: its status says that nobody is busy, so that a
 * driver finds out that there is none; where there is no channel, all ones are read, and a driver
 * waits for ever.
 */
#include "oldpc.h"

static uint64_t read_ide(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return 0;
}

static void write_ide(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    (void)state, (void)offset, (void)size, (void)value;
}

static const struct mv_device_ops ops = {.read = read_ide, .write = write_ide};

int mv_ide_create(struct mv_device *device, const struct mv_device_env *env)
{
    (void)env;
    device->ops = &ops;
    return 0;
}
