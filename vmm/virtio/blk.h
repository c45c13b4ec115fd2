/* SPDX-License-Identifier: MIT */
/* The block device (virtio 1.2, 5.2) on a disk image. */
#ifndef MV_VIRTIO_BLK_H
#define MV_VIRTIO_BLK_H

#include "core/util.h"
#include "device.h"
#include "disk/io.h"

/* Bytes that all disks of a machine have in flight at most, and in memory of the host's for
 * that.  Each has its share, so that none waits for another. */
#define MV_BLK_IN_FLIGHT (16 * MV_MIB)

struct mv_blk_setup {
    const char *name;           /* for messages; stays until create returns */
    struct mv_disk_file *image; /* the device's from create on, on failure too */
    const struct mv_disk *disk;
    unsigned queues;    /* 1 to MV_QUEUES_MAX */
    uint64_t in_flight; /* its share of MV_BLK_IN_FLIGHT: bytes, at least two pages */
    /* tried in turn when the driver says DRIVER_OK; ends with NULL; static */
    mv_engine_create_fn *const *engines;
    struct mv_loop *loop;
    struct mv_log *log;
};

/* The engines that disk->io asks for. */
mv_engine_create_fn *const *mv_blk_engines(const struct mv_disk *disk);

/* *ret_virtio is to be given to a transport, or destroyed.  Returns 0
 * or -ENOMEM. */
int mv_blk_create(const struct mv_blk_setup *setup, struct mv_virtio **ret_virtio);

#endif
