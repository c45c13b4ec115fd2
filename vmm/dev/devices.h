/* SPDX-License-Identifier: MIT */
/*
 * A machine's devices: those on its buses, and the sources that add them.
 *
 * Built by one thread, and frozen with the buses before the first KVM_RUN.
 */
#ifndef MV_DEV_DEVICES_H
#define MV_DEV_DEVICES_H

#include "dev.h"

#define MV_DEVICES_MAX 56

struct mv_devices {
    struct mv_device all[MV_DEVICES_MAX]; /* do not move once added */
    unsigned count;
    struct mv_bus mmio, ports;
    struct mv_region pages; /* registers of virtio slots that the guest reads without an exit, see
                             * mv_device_env.page; host is NULL while there are none */
    struct mv_loop_source rescan; /* eventfd; fn is NULL if no device can rescan */
};

/* A source of devices other than the board's: a part, or its stub, which has only the check. */
struct mv_device_source {
    /* Whether the source can provide what the configuration asks for: 0, or with *err filled in
     * -EINVAL or, from a stub, -ENOSYS. */
    int (*check)(const struct mv_config *config, struct mv_error *err);

    /* Before the guest is loaded: adds the devices that the configuration asks for.  Returns 0, or
     * -errno with *err filled in. */
    int (*add)(struct mv_devices *devices, const struct mv_device_env *env,
               const struct mv_config *config, struct mv_error *err);

    /* The same for custom memory, once the guest is loaded: no kernel image may be put there. */
    int (*add_memory)(const struct mv_devices *devices, struct mv_mem *mem,
                      const struct mv_config *config, struct mv_error *err);
};

extern const struct mv_device_source mv_virtio_devices; /* disks and all other virtio devices */
extern const struct mv_device_source mv_custom_devices; /* the embedder's devices and memory */

/* The bus to which a device with this description belongs. */
struct mv_bus *mv_devices_bus(struct mv_devices *devices, const struct mv_device_desc *desc);

/* The next free device, with this description set: fill it in, and call mv_devices_add. */
struct mv_device *mv_devices_next(struct mv_devices *devices, const struct mv_device_desc *desc);

/* Adds the device.  error: the result of creating it; unless it is 0, the device is dropped and
 * error returned.  Otherwise returns what mv_bus_add does. */
int mv_devices_add(struct mv_devices *devices, struct mv_device *device, int error);

/* Creates the devices of a table and adds them, in order.  Each device gets env with its own
 * interrupt line in irq. */
int mv_devices_add_table(struct mv_devices *devices, const struct mv_device_entry *table,
                         unsigned count, const struct mv_device_env *env, struct mv_error *err);

/* Fills in *err, "cannot create the device ...", and returns code. */
int mv_devices_cannot_create(const char *name, int code, struct mv_error *err);

/* Creating the machine failed: the embedder keeps its own objects. */
void mv_devices_disown(struct mv_devices *devices);

/* Destroys the devices, the last one first. */
void mv_devices_done(struct mv_devices *devices);

void mv_devices_freeze(struct mv_devices *devices);

/* Flush: whether no device has anything left to deliver.  Stop: ends the threads of all devices.
 * See mv_device_inner_ops. */
bool mv_devices_flush(struct mv_devices *devices);
void mv_devices_stop(struct mv_devices *devices);

/* Tells each device that the machine is about to stop. */
void mv_devices_quiesce(struct mv_devices *devices);

/* If any device can rescan, registers an eventfd with the loop, which then makes all devices check
 * the host's side again after each mv_devices_ask_rescan (any thread or signal handler).  Fills in
 * *err on failure. */
int mv_devices_watch_rescan(struct mv_devices *devices, struct mv_loop *loop, struct mv_error *err);
void mv_devices_ask_rescan(struct mv_devices *devices);

#endif
