/* SPDX-License-Identifier: MIT */
/**
 * @file
 * How a device looks to minivmm: two functions for its registers, and a
 * description as plain data.  The firmware tables that tell the guest about a
 * device (the ACPI namespace on x86-64, the device tree on arm64) are written
 * from that description, so there is no second place to keep in step.
 */
#ifndef MINIVMM_DEVICE_H
#define MINIVMM_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "minivmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Which address space a device's registers are in. */
enum mv_space {
    MV_SPACE_MMIO, /**< guest-physical addresses */
    MV_SPACE_PORT, /**< x86 port I/O, 0 to 0xffff */
};

/** "This device has no interrupt line." */
#define MV_NO_IRQ (-1)

/** The interrupt of a custom device: the lowest line from 9 on (arm64: from 32 on) that no
 * disk, no virtio device, and no other custom device asks for or got before it in their
 * array. So on a machine without disks the first device has 9 or 32.  mv_machine_device tells it,
 * also of a machine with tables_only that is otherwise the same; or put the guest's code into
 * memory after creation, by mv_machine_write. */
#define MV_ANY_IRQ (-2)

/** The base of a custom device: likewise a free place. */
#define MV_ANY_BASE UINT64_MAX

/** What a device is and where.  A custom device gives it; what it points to is copied. */
struct mv_device_desc {
    size_t size;            /**< sizeof(struct mv_device_desc) */
    const char *name;       /**< unique on its machine, at most 15 characters: "serial0" */
    const char *compatible; /**< the device tree's name for the programming model; NULL: not
                             * listed */
    const char *node;       /**< the device tree's generic name for such a thing, "serial"; NULL
                             * where compatible is NULL */
    const char *hid;        /**< ACPI _HID (EISA or ACPI id); NULL: not in the ACPI namespace */
    const char *acpi_name;  /**< four characters, unique: "COM1"; NULL where hid is NULL */
    enum mv_space space;    /**< where its registers are; MV_SPACE_PORT is x86 only */
    uint64_t base;          /**< first address; or MV_ANY_BASE */
    uint64_t bytes; /**< of its registers, at least 1; ranges of two devices never overlap */

    /** Interrupt line, MV_NO_IRQ or MV_ANY_IRQ.  x86: global system interrupt n, 0 to 23, is pin n
     * of the I/O APIC at 0xfec00000; the timer's 0, the 8259s' 2 and serial0's 4 are taken, disks
     * and virtio devices take 5, 6, 7, 9 and so on to 21.  arm64: n, 0 to 95, is the GIC's shared
     * peripheral interrupt n, INTID 32 + n; serial0 has 0, disks and virtio devices 16 and so on to
     * 31.  A bare machine has no interrupt controller, and no lines. */
    int irq;

    uint32_t clock; /**< Hz, the device tree's clock-frequency; 0: it has none */
    bool primecell; /**< device tree: one of Arm's PrimeCells: "arm,primecell" is added to
                     * compatible, and the clock that they need */
    bool coherent;  /**< device tree: it reaches memory as vCPUs do, through their caches */
    bool console;   /**< device tree: the console, where the command line names none */
};

/**
 * What a device does.  Every function is called with the device's lock held,
 * by the vCPU thread that made the access or by the loop thread; so a device
 * needs no lock of its own.  Offsets are always inside of [0, desc.bytes), and
 * offset + size reaches beyond the end only if the guest asked for that: a device
 * serves such an access from its own registers or not at all.  size is 1, 2, 4
 * or 8.
 */
struct mv_device_ops {
    size_t size; /**< sizeof(struct mv_device_ops) */

    /** Returns the register's value; only its low 8 * size bits count.  A
     * register that is not there reads as all ones. */
    uint64_t (*read)(void *state, uint64_t offset, unsigned size);

    /** value has no bits set above 8 * size. */
    void (*write)(void *state, uint64_t offset, unsigned size, uint64_t value);

    /**
     * Optional; called after the guest's writes, under the lock, before the vCPU
     * that made them goes on.  It may wait on a condition variable with that lock,
     * and so hold the vCPU back until the host has taken what the guest wrote: that
     * is outside of the guest, so the machine can be paused meanwhile, but
     * mv_vcpu_run does not return.  It must return soon after quiesce.
     */
    void (*backpressure)(void *state, pthread_mutex_t *lock);

    /** Optional; the machine is about to stop: nothing may wait in backpressure from
     * now on. */
    void (*quiesce)(void *state);

    /** Optional; the host's side of the device may have changed (mv_machine_rescan):
     * look again.  By the loop thread. */
    void (*rescan)(void *state);

    /** Optional; frees state.  No thread uses the device any more; not under
     * the lock. */
    void (*destroy)(void *state);
};

/** The state of a device whose ops->read is mv_device_read_into; its other ops get this, too. */
struct mv_device_reader {
    size_t size; /**< sizeof(struct mv_device_reader) */
    void (*read)(void *state, uint64_t offset, unsigned size, uint64_t *value); /**< sets *value */
    void *state; /**< what read gets */
};

/** An ops->read for functions that can end without a result, such as those of languages with
 * exceptions: the guest reads what reader->read sets, and all ones if it sets nothing. */
MV_API uint64_t mv_device_read_into(void *reader, uint64_t offset, unsigned size);

#ifdef __cplusplus
}
#endif

#endif
