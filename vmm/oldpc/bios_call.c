/* SPDX-License-Identifier: MIT */
/*
 * Catches BIOS calls, as there is no BIOS.  The code to which all real-mode vectors point writes
 * 4 bytes to this port, which ends the machine.
 *
 *   bits 0 to 15   CS of that code; its low byte is the vector (see bios.c)
 *   bits 16 to 31  AX
 */
#include <stdlib.h>

#include "oldpc.h"

static uint64_t read_call(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return UINT64_MAX;
}

static void write_call(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;
    unsigned vector = (unsigned)value & 0xff, ax = (unsigned)value >> 16;

    (void)offset;
    if (size == 4)
        shutdown->end(shutdown->context, MV_END_BIOS_CALL, (int)(vector << 16 | ax));
}

static const struct mv_device_ops ops = {.read = read_call, .write = write_call, .destroy = free};

int mv_bios_call_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &ops);
}
