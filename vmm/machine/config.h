/* SPDX-License-Identifier: MIT */
/* A configuration as its caller gives it becomes one of this version's: whatever size the caller's
 * structs have, what is not there is 0, what is 0 has its default, and all of it is checked. */
#ifndef MV_CONFIG_H
#define MV_CONFIG_H

#include "minivmm/device.h"
#include "minivmm/vcpu.h"
#include "minivmm/virtio.h"

/* The configuration, whose pointers to structs point into what follows it. */
struct mv_setup {
    struct mv_config config;
    struct mv_console console;
    struct mv_flat flat;
    struct mv_disk disks[MV_DISKS_MAX];
    struct mv_custom_device devices[MV_CUSTOM_MAX];
    struct mv_device_desc descs[MV_CUSTOM_MAX];
    struct mv_device_ops device_ops[MV_CUSTOM_MAX];
    struct mv_custom_virtio virtio[MV_DISKS_MAX];
    struct mv_virtio_ops virtio_ops[MV_DISKS_MAX];
    struct mv_custom_memory memories[MV_MEMORIES_MAX];
    struct mv_hook hooks[MV_HOOKS_MAX];
};

/* Strings, and what a flat binary and ops point to, stay the caller's.  0, -EINVAL or -ENOSYS,
 * explained. */
int mv_config_take(const struct mv_config *given, struct mv_setup *ret_setup, struct mv_error *err);

#endif
