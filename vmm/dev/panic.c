/* SPDX-License-Identifier: MIT */
/*
 * pvpanic (QEMU, docs/specs/pvpanic): through it the guest's kernel reports a panic.  A read
 * returns the events that we support.  A kernel that has loaded a crash kernel reports a different
 * event (bit 1), which we do not announce: it continues by itself.
 */
#include "dev/panic.h"

#include <stdlib.h>

enum { PANICKED = 0x01 };

static uint64_t read_panic(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return PANICKED;
}

static void write_panic(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)offset, (void)size;
    if (value & PANICKED)
        shutdown->end(shutdown->context, MV_END_PANIC, 0);
}

static const struct mv_device_ops ops = {.read = read_panic, .write = write_panic, .destroy = free};

int mv_panic_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &ops);
}
