/* SPDX-License-Identifier: MIT */
/*
 * An IDE channel without drives.  Its status reads as not busy, so a driver finds that there are
 * none.  Without a channel, the status would read as all ones, and some drivers would wait
 * forever for BSY to clear.
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
