/* SPDX-License-Identifier: MIT */
/**
 * @file
 * The interface of a custom device: functions that read and write its
 * registers, and a description as plain data.  The firmware tables that announce a
 * device to the guest (the ACPI namespace on x86-64, the device tree on arm64)
 * are generated from that description, so nothing needs to be kept in sync.
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

/** The device has no interrupt line. */
#define MV_NO_IRQ (-1)

/** Assigns a custom device the lowest free interrupt line from 9 (arm64: 32) up.  A line is taken
 * if a disk or virtio device has it, if an earlier custom device got it, or if a later one asks for
 * it by number.  So on a machine without disks the first device gets 9 or 32.  mv_machine_device
 * returns the line; to know it before the guest is built, ask a tables_only machine of the same
 * configuration, or load the guest's code after create, by mv_machine_write. */
#define MV_ANY_IRQ (-2)

/** Assigns a custom device a free base address. */
#define MV_ANY_BASE UINT64_MAX

/** Describes a device and where it is.  For a custom device, all that it points to is copied. */
struct mv_device_desc {
    size_t size;            /**< sizeof(struct mv_device_desc) */
    const char *name;       /**< unique on its machine, at most 15 characters: "serial0" */
    const char *compatible; /**< device tree: the programming model; NULL: not in the device
                             * tree */
    const char *node;       /**< device tree: generic node name, such as "serial"; NULL if
                             * compatible is NULL */
    const char *hid;        /**< ACPI _HID (EISA or ACPI id); NULL: not in the ACPI namespace */
    const char *acpi_name;  /**< four characters, unique: "COM1"; NULL if hid is NULL */
    enum mv_space space;    /**< address space of its registers; MV_SPACE_PORT is x86 only */
    uint64_t base;          /**< first address, or MV_ANY_BASE */
    uint64_t bytes;         /**< size of its registers, at least 1; devices must not overlap */

    /** Interrupt line, MV_NO_IRQ or MV_ANY_IRQ.  x86: global system interrupt n, 0 to 23, is pin n
     * of the I/O APIC at 0xfec00000; 0 (timer), 2 (8259s) and 4 (serial0) are taken, and disks and
     * virtio devices take 5, 6, 7, and 9 to 21 in this order.  arm64: n, 0 to 95, is the GIC's
     * shared peripheral interrupt n, INTID 32 + n; serial0 has 0, and disks and virtio devices take
     * 16 to 31 in this order.  A bare machine has no interrupt controller and no lines. */
    int irq;

    uint32_t clock; /**< device tree: clock-frequency, Hz; 0: none */
    bool primecell; /**< device tree: an Arm PrimeCell: adds "arm,primecell" to compatible, and
                     * the clock that PrimeCells need */
    bool coherent;  /**< device tree: its memory accesses are coherent with the vCPUs' caches */
    bool console;   /**< device tree: the default console, if the command line names none */
};

/**
 * The functions of a device.  Except for destroy, each is called with the device's
 * lock held, by the vCPU thread that made the access or by the loop thread, so a
 * device needs no lock of its own.  Offsets are always in [0, desc.bytes).  A guest's
 * access may reach beyond the end: offset + size can exceed desc.bytes, and the
 * device must handle or ignore the access.  size is 1, 2, 4 or 8.
 */
struct mv_device_ops {
    size_t size; /**< sizeof(struct mv_device_ops) */

    /** Returns the register's value; only its low 8 * size bits count.  A
     * register that does not exist reads as all ones. */
    uint64_t (*read)(void *state, uint64_t offset, unsigned size);

    /** Writes a register.  Only the low 8 * size bits of value can be set. */
    void (*write)(void *state, uint64_t offset, unsigned size, uint64_t value);

    /**
     * Optional.  Called after the guest's writes, under the lock, before the vCPU
     * that made them continues.  It may wait on a condition variable with that lock
     * until the host has consumed what the guest wrote.  The vCPU is then outside of
     * the guest, so the machine can be paused, but mv_vcpu_run does not return.
     * It must return soon after quiesce.
     */
    void (*backpressure)(void *state, pthread_mutex_t *lock);

    /** Optional.  The machine is about to stop: from now on, backpressure must not
     * wait. */
    void (*quiesce)(void *state);

    /** Optional.  The host's side of the device may have changed (mv_machine_rescan).
     * Called by the loop thread. */
    void (*rescan)(void *state);

    /** Optional.  Frees state.  No thread uses the device any more; called without
     * the lock. */
    void (*destroy)(void *state);
};

/** The state of a device whose ops->read is mv_device_read_into; passed to its other ops, too. */
struct mv_device_reader {
    size_t size; /**< sizeof(struct mv_device_reader) */
    void (*read)(void *state, uint64_t offset, unsigned size, uint64_t *value); /**< sets *value */
    void *state; /**< passed to read */
};

/** An ops->read for functions that may fail to produce a result, such as in languages with
 * exceptions: the guest reads what reader->read stores in *value, or all ones if it stores none. */
MV_API uint64_t mv_device_read_into(void *reader, uint64_t offset, unsigned size);

#ifdef __cplusplus
}
#endif

#endif
