/* SPDX-License-Identifier: MIT */
/*
 * The contract between a virtio transport and a virtio device (virtio 1.2, 2).
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

#include "log.h"
#include "loop.h"
#include "queue.h"

#define MV_VIRTIO_F_VERSION_1 (1ull << 32) /* virtio 1.2, 6 */

/* What a transport does for its device.  Loop thread only. */
struct mv_virtio_host {
    void (*interrupt)(void *context); /* the driver wants to know what was published */
    void (*broken)(void *context);    /* the driver broke the rules: DEVICE_NEEDS_RESET */
    void (*stopped)(void *context);   /* the answer to stop */
    void *context;
};

struct mv_virtio_ops {
    uint32_t id; /* virtio 1.2, 5: the type of device */

    /* The device's configuration (2.5): any offset, 1, 2, 4 or 8 bytes.  What is
     * beyond the end reads as all ones; what cannot be written is not. */
    uint64_t (*config_read)(void *state, uint64_t offset, unsigned size);
    void (*config_write)(void *state, uint64_t offset, unsigned size, uint64_t value);

    /* The driver said DRIVER_OK: features and queues are final.  A queue that is
     * not ready is not to be touched. */
    void (*activate)(void *state);

    /* The doorbell rang for one or more of the queues. */
    void (*notify)(void *state);

    /* Begins the end: calls host.stopped, at once or later, when nothing is in flight
     * and guest memory will not be touched any more.  Also without activate before. */
    void (*stop)(void *state);

    /* The driver has reset the device, started or not, and nothing is in flight: what it
     * wrote to the configuration is forgotten. */
    void (*reset)(void *state);

    /* The host's side may have changed.  Returns true if the configuration did. */
    bool (*rescan)(void *state);

    /* Waits for what is in flight, and frees the device.  The loop has stopped. */
    void (*destroy)(void *state);
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
