/* SPDX-License-Identifier: MIT */
/*
 * The boot timer: a byte written to it becomes a mark on the timeline, with that number and the
 * host's time.  This measures a boot from outside, up to the very instruction that the guest
 * chooses.
 */
#include "dev/boot_timer.h"

static uint64_t read_timer(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return UINT64_MAX;
}

static void write_timer(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset, (void)size;
    mv_timeline_add(state, "guest mark", (int64_t)(value & 0xff));
}

static const struct mv_device_ops ops = {.read = read_timer, .write = write_timer};

int mv_boot_timer_create(struct mv_device *device, const struct mv_device_env *env)
{
    device->ops = &ops;
    device->state = env->timeline; /* the machine's; nothing to destroy */
    return 0;
}
