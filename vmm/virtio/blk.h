/* SPDX-License-Identifier: MIT */
/* The block device (virtio 1.2, 5.2) on a disk image. */
#ifndef MV_VIRTIO_BLK_H
#define MV_VIRTIO_BLK_H

#include "core/util.h"
#include "device.h"
#include "disk/io.h"

/* Limit, in bytes, on the data that all disks of a machine together have in flight, and on the host
 * memory that they use for it.  It is split evenly, so that no disk waits for another. */
#define MV_BLK_IN_FLIGHT (16 * MV_MIB)

struct mv_blk_setup {
    const char *name;           /* for messages; need not outlive create */
    struct mv_disk_file *image; /* the device takes ownership, on failure too */
    const struct mv_disk *disk;
    unsigned queues;    /* 1 to MV_QUEUES_MAX */
    uint64_t in_flight; /* this disk's share of MV_BLK_IN_FLIGHT: bytes, at least two pages */
    /* tried in order when the driver sets DRIVER_OK; NULL-terminated; static storage */
    mv_engine_create_fn *const *engines;
    struct mv_loop *loop;
    struct mv_log *log;
};

/* The engines that disk->io allows, in order of preference. */
mv_engine_create_fn *const *mv_blk_engines(const struct mv_disk *disk);

/* The caller must pass *ret_virtio to a transport or destroy it.  Returns 0 or -ENOMEM. */
int mv_blk_create(const struct mv_blk_setup *setup, struct mv_virtio **ret_virtio);

#endif
