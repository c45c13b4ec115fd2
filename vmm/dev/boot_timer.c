/* SPDX-License-Identifier: MIT */
/*
 * The boot timer: a byte written to it puts a mark with that number and the
 * host's time on the timeline.  So a start is measured from outside, up to the
 * very instruction that the guest chooses.
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
