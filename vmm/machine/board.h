/* SPDX-License-Identifier: MIT */
/* The devices of a machine: one table says what they are and where. */
#ifndef MV_BOARD_H
#define MV_BOARD_H

#include "dev/dev.h"
#include "minivmm/virtio.h"

#define MV_BOARD_DEVICES 56

struct mv_arch;

/* The names of a virtio slot. */
struct mv_slot {
    char name[12], acpi_name[5];
};

/* What is kept of a custom device: its ops, and the words of its description. */
struct mv_custom_words {
    struct mv_device_ops ops;
    char name[16], compatible[48], node[32], hid[9], acpi_name[5];
};

struct mv_board {
    struct mv_device devices[MV_BOARD_DEVICES]; /* do not move once created */
    unsigned count;
    struct mv_slot slots[MV_DISKS_MAX];
    unsigned slot_count;                    /* taken */
    struct mv_virtio *virtio[MV_DISKS_MAX]; /* the embedder's */
    unsigned virtio_count;
    struct mv_custom_words custom[MV_CUSTOM_MAX];
    unsigned custom_count;
    struct mv_region pages; /* what the guest reads of the slots, see mv_device_env.page; host
                             * is NULL while there is none */
};

/* Creates all devices, in the table's order, and puts each on its bus.  env->irq
 * gets each device's own line.  Half-built after an error: call done. */
int mv_board_init(struct mv_board *board, const struct mv_device_env *env, struct mv_bus *mmio,
                  struct mv_bus *ports, struct mv_error *err);

/* Adds what the guest that was loaded expects beside them, where the embedder has put nothing. */
int mv_board_add_late(struct mv_board *board, const struct mv_arch *arch,
                      const struct mv_device_env *env, struct mv_bus *mmio, struct mv_bus *ports,
                      struct mv_error *err);

/* Adds the next disk of so many, vda first; `queues` for a disk that leaves the number open. */
int mv_board_add_disk(struct mv_board *board, const struct mv_device_env *env,
                      const struct mv_disk *disk, size_t disks, unsigned queues,
                      struct mv_bus *mmio, struct mv_error *err);

/* Adds the built-in virtio devices that the configuration asks for, but for disks. */
int mv_board_add_built_in(struct mv_board *board, const struct mv_device_env *env,
                          const struct mv_config *config, struct mv_bus *mmio,
                          struct mv_error *err);

/* Adds the next custom virtio device, virtio0 first. */
int mv_board_add_virtio(struct mv_board *board, const struct mv_device_env *env,
                        const struct mv_custom_virtio *custom, struct mv_bus *mmio,
                        struct mv_error *err);

/* Adds custom devices: at the places and with the lines that they ask for, or where there
 * is room.  env->irq.set is NULL where there are no lines. */
int mv_board_add_custom(struct mv_board *board, const struct mv_device_env *env,
                        const struct mv_custom_device *custom, size_t count, struct mv_bus *mmio,
                        struct mv_bus *ports, struct mv_error *err);

/* Whether the interrupt line exists (-EINVAL) and is none of our own devices' (-EBUSY), and so
 * may be an embedder's device's. */
int mv_board_check_irq(const struct mv_board *board, int irq);

/* Whether neither a device nor what belongs to the processor has any of [base, base + size),
 * which does not wrap: custom memory can be there. */
bool mv_board_is_free(const struct mv_board *board, const struct mv_bus *mmio, uint64_t base,
                      uint64_t size);

/* custom devices are not to be destroyed. */
void mv_board_disown(struct mv_board *board);
void mv_board_done(struct mv_board *board);

/* Whether no device has anything left to deliver; and the end of their threads.  See
 * mv_device_inner_ops. */
bool mv_board_flush(struct mv_board *board);
void mv_board_stop(struct mv_board *board);

/* Tells every device that the machine is about to stop. */
void mv_board_quiesce(struct mv_board *board);

/* Lets every device look at the host's side again.  In the loop thread. */
void mv_board_rescan(struct mv_board *board);

#endif
