/* SPDX-License-Identifier: MIT */
/* Converts the caller's configuration to this version of the library: structs of any size become
 * ours, missing fields become 0, zeros become defaults, and everything is checked. */
#ifndef MV_CONFIG_H
#define MV_CONFIG_H

#include "minivmm/device.h"
#include "minivmm/vcpu.h"
#include "minivmm/virtio.h"

/* The configuration.  Its pointers to structs point into the members that follow it. */
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

/* Strings, and what a flat binary and ops point to, are not copied: they stay the caller's.
 * Returns 0, or -EINVAL or -ENOSYS with *err filled in. */
int mv_config_take(const struct mv_config *given, struct mv_setup *ret_setup, struct mv_error *err);

/* Checks what the configuration asks of debug, which defines this, as its stub does.  Returns 0, or
 * -ENOSYS with *err filled in. */
int mv_debug_check(const struct mv_config *config, struct mv_error *err);

#endif
