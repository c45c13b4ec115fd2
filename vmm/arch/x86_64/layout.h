/* SPDX-License-Identifier: MIT */
/*
 * The address map of the x86-64 machine: the only place that defines it.
 *
 * Guest-physical addresses; (*) is what the part oldpc adds, drawn in oldpc/oldpc.h:
 *
 *             0 +--------------------------+
 *               | (*)                      |  e820: RAM (Linux leaves it alone)
 *        0x1000 | GDT for the entry        |
 *        0x2000 | start info of PVH, (*)   |
 *        0x7000 | boot_params ("zero page")|
 *        0x9000 | page tables: PML4, PDPT, |
 *               |   4 PDs: 4 GiB identity  |
 *        0xf000 +--------------------------+
 *       0x10000 | (or: a flat binary)      |
 *       0x20000 | command line, 64 KiB     |
 *       0x30000 +--------------------------+  may hold an ELF kernel
 *       0x9fc00 | EBDA (*)                 |  e820: reserved
 *       0xa0000 | VGA window: plain memory |  not in e820
 *       0xe0000 | ACPI tables, RSDP first  |  e820: reserved
 *       0xfefc0 | (*)                      |
 *       0xff000 | ELF headers of a kernel  |
 *       0xffff0 | reset vector             |
 *      0x100000 +--------------------------+
 *               | RAM: kernel at its       |  e820: RAM
 *               |   preferred address,     |
 *               |   initrd at the top      |
 *   0xc000_0000 +--------------------------+  or the end of RAM, if lower
 *               | hole: 1 GiB for devices  |
 *   0xd000_0000 |   virtio-mmio, a page    |  interrupts 5 to 21,
 *               |     for each of 16 slots |    without 8
 *   0xe000_0000 |   custom devices         |  interrupts from 9 to 23
 *               |                          |    that no virtio slot has
 *   0xfec0_0000 |   I/O APIC               |
 *   0xfee0_0000 |   local APICs            |
 *   0xfffb_c000 |   KVM's own pages (Intel)|
 * 0x1_0000_0000 +--------------------------+
 *               | the rest of RAM          |  e820: RAM
 *               +--------------------------+
 *
 * Ports (*):
 *
 *   0x064   keyboard controller: reset command only
 *   0x0f4   exit status
 *   0x0f5   boot timer
 *   0x0f8   hypercalls, if the embedder wants them
 *   0x3f8   serial port, interrupt 4
 *   0x505   pvpanic
 *   0x600   ACPI sleep control, sleep status, reset
 *   0xcf9   reset control
 *   0x1000  custom devices, from here up
 */
#ifndef MV_X86_LAYOUT_H
#define MV_X86_LAYOUT_H

#include "core/util.h"

#define MV_GDT_GPA         0x1000ull
#define MV_START_INFO_GPA  0x2000ull
#define MV_BOOT_PARAMS     0x7000ull
#define MV_PAGE_TABLES     0x9000ull
#define MV_CMDLINE_GPA     0x20000ull
#define MV_CMDLINE_SIZE    0x10000ull /* with the final zero */
#define MV_ELF_LOW         0x30000ull /* from here to the EBDA may hold an ELF kernel */
#define MV_FLAT_GPA        0x10000ull /* lowest and default address of a flat binary */
#define MV_BOOT_SECTOR_GPA 0x7c00ull  /* default address of a flat binary in real mode */
#define MV_STACK16         0x7000ull  /* real-mode stack, if the binary is above it */
#define MV_STACK16_HIGH    0xfff0ull  /* real-mode stack, if not */
#define MV_EBDA_GPA        0x9fc00ull
#define MV_VGA_GPA         0xa0000ull
#define MV_ACPI_GPA        0xe0000ull
#define MV_ACPI_END        0xfefc0ull
#define MV_HEADERS_GPA     0xff000ull /* where ld puts the ELF headers of a kernel at 1 MiB */
#define MV_RESET_VECTOR    0xffff0ull
#define MV_HIGH_RAM        0x100000ull
#define MV_HOLE_GPA        0xc0000000ull
#define MV_VIRTIO_BASE     0xd0000000ull
#define MV_VIRTIO_STRIDE   0x1000ull
#define MV_IOAPIC_GPA      0xfec00000ull
#define MV_LAPIC_GPA       0xfee00000ull
#define MV_IDENTITY_MAP    0xfffbc000ull /* 1 page */
#define MV_TSS_GPA         0xfffbd000ull /* 3 pages */
#define MV_ABOVE_4G        (4 * MV_GIB)

/* The guest may read virtio registers from memory, without an exit. */
#define MV_LAYOUT_PAGES true

/* Devices other than virtio are reached by port I/O. */
#define MV_LAYOUT_SPACE       MV_SPACE_PORT
#define MV_KBD_BASE           0x64
#define MV_EXIT_BASE          0xf4
#define MV_BOOT_TIMER_BASE    0xf5
#define MV_SERIAL_BASE        0x3f8
#define MV_SERIAL_IRQ         4
#define MV_PANIC_BASE         0x505
#define MV_POWER_BASE         0x600
#define MV_RESET_CONTROL_BASE 0xcf9

/* Where custom devices go: MMIO, ports, interrupts. */
#define MV_CUSTOM_BASE      0xe0000000ull
#define MV_CUSTOM_END       MV_IOAPIC_GPA
#define MV_CUSTOM_PORT      0x1000
#define MV_CUSTOM_FIRST_IRQ 9
#define MV_CUSTOM_LAST_IRQ  23

/* Whether the line is used inside KVM: by the timer, or to cascade the 8259s. */
static inline bool mv_layout_irq_is_ours(int irq)
{
    return irq == 0 || irq == 2;
}

/* Whether custom memory is impossible here although the bus has no device: KVM has its own here. */
static inline bool mv_layout_is_reserved(uint64_t first, uint64_t last)
{
    return first < MV_ABOVE_4G && last >= MV_IOAPIC_GPA;
}

/* Whether a kernel may be loaded here, if it may use the memory below 1 MiB from `low` on.  The
 * rest of that memory belongs to the machine and to the VGA window. */
static inline bool mv_layout_is_free(uint64_t low, uint64_t first, uint64_t last)
{
    return first >= MV_HEADERS_GPA || (first >= low && last < MV_EBDA_GPA);
}

static inline bool mv_layout_has_reset_vector(uint64_t first, uint64_t last)
{
    return first < MV_HIGH_RAM && last >= MV_RESET_VECTOR;
}

/* The interrupt of slot 0 to 15.  Never 8, the RTC's: KVM tracks every end of that interrupt. */
static inline int mv_virtio_irq(unsigned slot)
{
    return (int)(slot < 3 ? 5 + slot : 6 + slot);
}

/* Selectors at entry; the data selector follows CS (Linux boot protocol: __BOOT_CS, __BOOT_DS). */
enum { MV_SELECTOR_CS = 0x10, MV_SELECTOR_TSS = 0x20 };

#endif
