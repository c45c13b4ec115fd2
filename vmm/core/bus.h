/* SPDX-License-Identifier: MIT */
/*
 * An address space of devices: finds the device at an address and calls it under its lock.  One
 * instance for MMIO, one for port I/O.
 *
 * Built by one thread and frozen before the first KVM_RUN; after that any thread may dispatch,
 * without a lock on the bus itself.
 */
#ifndef MV_BUS_H
#define MV_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "minivmm/device.h"

/* Callbacks that only built-in devices have; each is optional. */
struct mv_device_inner_ops {
    /* Whether the host has not yet taken all that the guest wrote.  The vCPU that wrote then waits
     * until the device reports that the backpressure is gone (mv_backpressure).  Under the lock. */
    bool (*busy)(void *state);

    /* The vCPUs have stopped, the loop still runs: whether nothing is left to deliver.  If
     * something is, the device later writes the eventfd mv_device_env.wake, and is asked again.
     * Under the lock. */
    bool (*flush)(void *state);

    /* The loop has stopped: ends the device's threads, whatever they are blocked in.  Without the
     * lock. */
    void (*stop)(void *state);

    /* Creating the machine failed: what is the embedder's must not be destroyed. */
    void (*disown)(void *state);
};

/* A device on its machine. */
struct mv_device {
    struct mv_device_desc desc;
    const struct mv_device_ops *ops;
    void *state;
    const struct mv_device_inner_ops *inner; /* NULL: none */
    bool is_custom;                          /* supplied by the embedder */
    void *kept;           /* desc and ops may point here; freed with the device */
    pthread_mutex_t lock; /* taken by the dispatchers: mv_bus_* and the loop */
};

#define MV_BUS_DEVICES 64

struct mv_bus {
    struct mv_device *devices[MV_BUS_DEVICES]; /* by ascending base */
    unsigned count;
    bool frozen;
};

/* The caller keeps owning the device.  Returns 0, -EEXIST if its range overlaps another device's,
 * -ENOSPC if the bus is full, -EINVAL if the range is empty or wraps.  Not after freeze. */
int mv_bus_add(struct mv_bus *bus, struct mv_device *device);
void mv_bus_freeze(struct mv_bus *bus);

/* Whether no device claims any address in [base, base + size). */
bool mv_bus_is_free(const struct mv_bus *bus, uint64_t base, uint64_t size);

/* The device at address, or NULL. */
struct mv_device *mv_bus_find(const struct mv_bus *bus, uint64_t address);

/*
 * One access of 1 to 8 bytes.  If there is no device, or the size is not 1, 2, 4 or 8, a read sets
 * *ret_value to all ones and a write is dropped, as on real hardware; the result is then false or
 * NULL.  An access that starts inside a device belongs to that device, which mv_bus_write returns.
 */
bool mv_bus_read(const struct mv_bus *bus, uint64_t address, unsigned size, uint64_t *ret_value);
struct mv_device *mv_bus_write(const struct mv_bus *bus, uint64_t address, unsigned size,
                               uint64_t value);

/* For use after a write, before the guest continues.  Both take the lock.  The second calls
 * mv_device_ops.backpressure, which must not be NULL, and may block there. */
bool mv_device_is_busy(struct mv_device *device);
void mv_device_backpressure(struct mv_device *device);

/* As in mv_device_inner_ops.  A device without these functions counts as flushed and stopped. */
bool mv_device_flush(struct mv_device *device);
void mv_device_stop(struct mv_device *device);

#endif
