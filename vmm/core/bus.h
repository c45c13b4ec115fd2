/* SPDX-License-Identifier: MIT */
/*
 * An address space of devices: which device is at an address, and its call
 * under its lock.  One instance for MMIO, one for port I/O.
 *
 * Built by one thread; frozen before the first KVM_RUN, from when on any
 * thread may dispatch without a lock of the bus.
 */
#ifndef MV_BUS_H
#define MV_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "minivmm/device.h"

/* What only a built-in device can do; each is optional. */
struct mv_device_inner_ops {
    /* Whether the host has yet to take what the guest wrote.  The vCPU that wrote then waits until
     * the device says that the backpressure is gone (mv_backpressure).  Under the lock. */
    bool (*busy)(void *state);

    /* The vCPUs are gone, the loop still runs: whether nothing is left to deliver.  If something
     * is, the eventfd mv_device_env.wake is written later, and it is asked again.  Under the
     * lock. */
    bool (*flush)(void *state);

    /* The loop has stopped: ends the device's threads, wherever they are.  Without the lock. */
    void (*stop)(void *state);

    /* The machine could not be made: what is the embedder's is not to be destroyed. */
    void (*disown)(void *state);
};

/* A device on its machine. */
struct mv_device {
    struct mv_device_desc desc;
    const struct mv_device_ops *ops;
    void *state;
    const struct mv_device_inner_ops *inner; /* NULL: none */
    bool is_custom;                          /* the embedder's */
    void *kept;                              /* what desc and ops may point into; freed with it */
    pthread_mutex_t lock;                    /* taken by the dispatchers: mv_bus_* and the loop */
};

#define MV_BUS_DEVICES 64

struct mv_bus {
    struct mv_device *devices[MV_BUS_DEVICES]; /* by rising base */
    unsigned count;
    bool frozen;
};

/* The device stays the caller's.  Returns 0, -EEXIST if its range overlaps
 * another's, -ENOSPC if the bus is full, -EINVAL if the range wraps or is
 * empty.  Not after freeze. */
int mv_bus_add(struct mv_bus *bus, struct mv_device *device);
void mv_bus_freeze(struct mv_bus *bus);

/* Whether no device has any of [base, base + size). */
bool mv_bus_is_free(const struct mv_bus *bus, uint64_t base, uint64_t size);

/* The device at address, or NULL. */
struct mv_device *mv_bus_find(const struct mv_bus *bus, uint64_t address);

/*
 * One access of 1 to 8 bytes.  Where there is no device, or the size is not 1, 2,
 * 4 or 8, a read gives all ones in *ret_value and a write is dropped, as on real
 * hardware; both then return false or NULL.  An access that begins in a device belongs to
 * it, and a write returns which one that was.
 */
bool mv_bus_read(const struct mv_bus *bus, uint64_t address, unsigned size, uint64_t *ret_value);
struct mv_device *mv_bus_write(const struct mv_bus *bus, uint64_t address, unsigned size,
                               uint64_t value);

/* After writes, and before the guest goes on.  Both take the lock; the second one may wait: see
 * mv_device_ops.backpressure, which must be set. */
bool mv_device_is_busy(struct mv_device *device);
void mv_device_backpressure(struct mv_device *device);

/* As in mv_device_inner_ops; a device without them is flushed, and has nothing to stop. */
bool mv_device_flush(struct mv_device *device);
void mv_device_stop(struct mv_device *device);

#endif
