/* SPDX-License-Identifier: MIT */
/*
 * The address map of the arm64 machine: the only place that defines it.
 *
 *   0x0000_0000 +--------------------------+
 *               | nothing: a null pointer  |
 *   0x0100_0000 |   serial port            |  one device per 64 KiB, so that a kernel with
 *   0x0101_0000 |   exit status            |  pages of that size can map it alone
 *   0x0102_0000 |   boot timer             |
 *   0x0103_0000 |   pvpanic                |
 *   0x0104_0000 |   real-time clock        |
 *   0x0105_0000 |   hypercalls, if the     |
 *               |     embedder wants them  |
 *   0x0200_0000 |   virtio-mmio, 4 KiB     |
 *               |     for each of 16 slots |
 *   0x0300_0000 |   custom devices         |
 *   0x0800_0000 |   GIC: distributor       |
 *   0x0801_0000 |   GICv2: CPU interface   |
 *   0x1000_0000 |   GICv3: redistributors, |
 *               |     128 KiB for each CPU |
 *   0x4000_0000 +--------------------------+
 *               | RAM, in one piece:       |
 *               |   kernel at its offset,  |
 *               |   device tree after it,  |
 *               |   initrd at the top      |
 *               +--------------------------+
 *
 * Interrupt n is shared peripheral interrupt (SPI) n: INTID 32 + n.
 *
 *   0        serial port
 *   16 to 31 virtio slots
 *   32 to 95 custom devices
 *
 * Private peripheral interrupts (PPI), INTID 16 + n, as KVM wires them:
 *
 *   11       virtual timer
 *   14       physical timer
 */
#ifndef MV_ARM64_LAYOUT_H
#define MV_ARM64_LAYOUT_H

#include "core/util.h"

#define MV_RAM_GPA       0x40000000ull
#define MV_GICD_GPA      0x08000000ull
#define MV_GICD_SIZE     0x10000ull
#define MV_GICC_GPA      0x08010000ull /* GICv2 only */
#define MV_GICC_SIZE     0x2000ull
#define MV_GICR_GPA      0x10000000ull /* GICv3 only */
#define MV_GICR_STRIDE   0x20000ull    /* bytes for each CPU: two frames of 64 KiB */
#define MV_VIRTIO_BASE   0x02000000ull
#define MV_VIRTIO_STRIDE 0x1000ull

/* Every read of a virtio register exits.  A guest that maps the page as device memory would not see
 * what the monitor has written to it through its caches, except on CPUs with FEAT_S2FWB. */
#define MV_LAYOUT_PAGES false

/* All devices are reached by MMIO. */
#define MV_LAYOUT_SPACE    MV_SPACE_MMIO
#define MV_SERIAL_BASE     0x01000000ull
#define MV_SERIAL_IRQ      0
#define MV_EXIT_BASE       0x01010000ull
#define MV_BOOT_TIMER_BASE 0x01020000ull
#define MV_PANIC_BASE      0x01030000ull
#define MV_RTC_BASE        0x01040000ull

/* Where custom devices go: MMIO, and interrupts. */
#define MV_CUSTOM_BASE      0x03000000ull
#define MV_CUSTOM_END       MV_GICD_GPA
#define MV_CUSTOM_PORT      0
#define MV_CUSTOM_FIRST_IRQ 32
#define MV_CUSTOM_LAST_IRQ  95

static inline bool mv_layout_irq_is_ours(int irq)
{
    (void)irq;
    return false;
}

/* How many interrupts the GIC has: 32 private ones and 96 SPIs. */
#define MV_GIC_INTERRUPTS 128

/* Whether custom memory is impossible here although the bus has no device. */
static inline bool mv_layout_is_reserved(uint64_t first, uint64_t last)
{
    return first < MV_CUSTOM_BASE || (first < MV_RAM_GPA && last >= MV_GICD_GPA);
}

/* The interrupt of slot 0 to 15. */
static inline int mv_virtio_irq(unsigned slot)
{
    return (int)(16 + slot);
}

#endif
