/* SPDX-License-Identifier: MIT */
/*
 * The devices of a machine: those on its buses, and who puts them there.
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
    struct mv_region pages; /* what the guest reads of virtio slots, see mv_device_env.page; host is
                             * NULL while there is none */
    struct mv_loop_source rescan; /* its fd is an eventfd; fn is NULL where none can rescan */
};

/* Who adds devices beside the board's own: a part, or its stub, which has the check alone. */
struct mv_device_source {
    /* Whether it can do what the configuration asks of it: 0, -EINVAL or, by a stub, -ENOSYS,
     * explained. */
    int (*check)(const struct mv_config *config, struct mv_error *err);

    /* Before the guest is loaded: adds the devices that the configuration asks for.  0, or -errno,
     * explained. */
    int (*add)(struct mv_devices *devices, const struct mv_device_env *env,
               const struct mv_config *config, struct mv_error *err);

    /* The same of what no kernel image may reach, once the guest is loaded. */
    int (*add_memory)(const struct mv_devices *devices, struct mv_mem *mem,
                      const struct mv_config *config, struct mv_error *err);
};

extern const struct mv_device_source mv_virtio_devices; /* disks, and all else by virtio */
extern const struct mv_device_source mv_custom_devices; /* the embedder's, and its memory */

/* The bus on which a device with this description is. */
struct mv_bus *mv_devices_bus(struct mv_devices *devices, const struct mv_device_desc *desc);

/* The next device, with this description: to be filled in, and added. */
struct mv_device *mv_devices_next(struct mv_devices *devices, const struct mv_device_desc *desc);

/* Adds that device, or not: error is how creating it went, 0 or -errno.  Returns that, or what
 * mv_bus_add does. */
int mv_devices_add(struct mv_devices *devices, struct mv_device *device, int error);

/* Creates the devices of a table and adds them, in its order.  env->irq gets each device's own
 * line. */
int mv_devices_add_table(struct mv_devices *devices, const struct mv_device_entry *table,
                         unsigned count, const struct mv_device_env *env, struct mv_error *err);

/* "cannot create the device ...": returns code. */
int mv_devices_cannot_create(const char *name, int code, struct mv_error *err);

/* The machine could not be made: what is the embedder's stays so. */
void mv_devices_disown(struct mv_devices *devices);

/* Destroys them, the last one first. */
void mv_devices_done(struct mv_devices *devices);

void mv_devices_freeze(struct mv_devices *devices);

/* Whether none of them has anything left to deliver; and the end of their threads.  See
 * mv_device_inner_ops. */
bool mv_devices_flush(struct mv_devices *devices);
void mv_devices_stop(struct mv_devices *devices);

/* Tells each of them that the machine is about to stop. */
void mv_devices_quiesce(struct mv_devices *devices);

/* Where any of them can look at the host's side again, has the loop make them all do so when it is
 * asked for: by mv_devices_ask_rescan, in any thread or signal handler.  Explains its failure. */
int mv_devices_watch_rescan(struct mv_devices *devices, struct mv_loop *loop, struct mv_error *err);
void mv_devices_ask_rescan(struct mv_devices *devices);

#endif
