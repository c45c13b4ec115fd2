/* SPDX-License-Identifier: MIT */
/*
 * The exit port: a byte written to it ends the machine, with that byte as exit status.  For tests,
 * and for guests that run a single program.
 */
#include "dev/exit_port.h"

#include <errno.h>
#include <stdlib.h>

int mv_shutdown_device(struct mv_device *device, const struct mv_device_env *env,
                       const struct mv_device_ops *ops)
{
    struct mv_shutdown *shutdown = malloc(sizeof(*shutdown));

    if (!shutdown)
        return -ENOMEM;
    *shutdown = env->shutdown;
    device->ops = ops;
    device->state = shutdown;
    return 0;
}

static uint64_t read_exit(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return UINT64_MAX;
}

static void write_exit(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)offset, (void)size;
    shutdown->end(shutdown->context, MV_END_EXIT_CODE, (int)(value & 0xff));
}

static const struct mv_device_ops ops = {.read = read_exit, .write = write_exit, .destroy = free};

int mv_exit_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &ops);
}
