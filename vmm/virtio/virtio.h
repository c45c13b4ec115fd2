/* SPDX-License-Identifier: MIT */
/*
 * The contract between a virtio transport and a virtio device (virtio 1.2, 2).  What a
 * device does, struct mv_virtio_ops, is public: minivmm/virtio.h.  Here is what stands
 * between it and its transport.
 *
 * The transport owns what the driver sees of it: status, feature negotiation,
 * queue registers, interrupts.  The device owns what its type is about.  Neither
 * includes the other's header, and no device knows KVM.
 *
 * Threads: config_read, config_write, reset and rescan are called under the lock of
 * the device that the transport is on the bus.  activate, notify and stop are
 * called in the loop thread, without a lock: between activate and the end of stop
 * that thread alone touches the queues, so that a vCPU never waits for a disk.
 */
#ifndef MV_VIRTIO_VIRTIO_H
#define MV_VIRTIO_VIRTIO_H

#include "core/log.h"
#include "core/loop.h"
#include "minivmm/virtio.h"
#include "queue.h"

#define MV_VIRTIO_F_VERSION_1 (1ull << 32) /* virtio 1.2, 6 */

/* What a transport does for its device.  Loop thread only, but for ring. */
struct mv_virtio_host {
    void (*interrupt)(void *context); /* the driver wants to know what was published */
    void (*broken)(void *context);    /* the driver broke the rules: DEVICE_NEEDS_RESET */
    void (*stopped)(void *context);   /* the answer to stop */
    void (*ring)(void *context);      /* any thread: notify, or stop, is to be called soon */
    void *context;
};

/* A device, between its type and its transport. */
struct mv_virtio {
    const struct mv_virtio_ops *ops;
    void *state;
    uint64_t offered; /* features of the device and the ring */
    unsigned queue_count;
    struct mv_queue *queues; /* the device allocates them, the transport fills them in */

    /* set by the transport */
    uint64_t features; /* negotiated; final from activate on */
    struct mv_virtio_host host;
};

#endif
