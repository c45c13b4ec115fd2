/* SPDX-License-Identifier: MIT */
/*
 * Where everything is on the x86-64 machine: the one place that knows.
 *
 * Guest-physical addresses:
 *
 *   0x0000_0000 +--------------------------+
 *               | real-mode vectors, to    |  e820: RAM (Linux leaves it alone)
 *               |   0xfeff0                |
 *         0x400 | BIOS data                |
 *        0x1000 | GDT for the entry        |
 *        0x2000 | start info of PVH or     |
 *               |   Multiboot, modules,    |
 *               |   memory map             |
 *        0x3000 | Multiboot's command line |
 *        0x5000 |   and name of the module |  (0x7000 on: a Multiboot kernel's)
 *        0x7000 | boot_params ("zero page")|
 *        0x9000 | page tables: PML4, PDPT, |
 *               |   4 PDs: 4 GiB identity  |
 *        0xf000 +--------------------------+
 *       0x10000 | (or: a flat binary)      |
 *       0x20000 | command line, 64 KiB     |
 *       0x30000 +--------------------------+  (an ELF kernel's)
 *       0x9fc00 | EBDA: MP tables          |  e820: reserved
 *               |   tables)                |
 *       0xa0000 | VGA window: plain memory |  not in e820
 *       0xe0000 | ACPI tables, RSDP first  |  e820: reserved
 *       0xfeff0 | what a BIOS call runs    |
 *       0xff000 | headers before a kernel  |
 *       0xffff0 | reset vector             |
 *      0x100000 +--------------------------+
 *               | RAM: kernel at its       |  e820: RAM
 *               |   preferred address,     |
 *               |   initrd at the top      |
 *   0xc000_0000 +--------------------------+  or less, if there is less
 *               | hole: 1 GiB for devices  |
 *   0xd000_0000 |   virtio-mmio, a page    |  interrupts 5 to 21,
 *               |     for each of 16 slots |    without 8
 *   0xe000_0000 |   custom devices      |  interrupts from 9 to 23,
 *               |                          |  those of no disk
 *   0xfec0_0000 |   I/O APIC               |
 *   0xfee0_0000 |   local APICs            |
 *   0xfffb_c000 |   KVM's own pages (Intel)|
 *   0x1_0000_0000 +------------------------+
 *               | the rest of RAM          |  e820: RAM
 *               +--------------------------+
 *
 * Ports:
 *
 *   0x040   timer, and 0x061, for kernels by Multiboot (in KVM)
 *   0x060   keyboard controller: 0x064 for all, but its reset command only
 *   0x070   clock and CMOS memory, for kernels by Multiboot
 *   0x092   A20, on, and reset
 *   0x0f4   exit status
 *   0x0f5   boot timer
 *   0x0f6   calls of a BIOS
 *   0x0f8   hypercalls, where the embedder wants them
 *   0x170   two IDE channels without drives, 0x1f0 and the control ports, for kernels by Multiboot
 *   0x3d4   the screen's controller, for kernels by Multiboot
 *   0x3f8   serial port, interrupt 4
 *   0x505   pvpanic
 *   0x600   ACPI sleep control, sleep status, reset
 *   0x604   ACPI PM1 control and events: where QEMU has them; Bochs: 0xb004, VirtualBox: 0x4004
 *   0xcf9   reset control
 *   0x1000  custom devices    , and all above
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
#define MV_ELF_LOW         0x30000ull /* an ELF kernel may have what is between here and the EBDA */
#define MV_MULTIBOOT_LINE  0x3000ull
#define MV_MULTIBOOT_NAME  0x5000ull
#define MV_MULTIBOOT_LOW   0x7000ull  /* as MV_ELF_LOW, by Multiboot */
#define MV_FLAT_GPA        0x10000ull /* the least that a flat binary may have, and gets */
#define MV_BOOT_SECTOR_GPA 0x7c00ull  /* in real mode */
#define MV_STACK16         0x7000ull  /* its stack, if it is above, */
#define MV_STACK16_HIGH    0xfff0ull  /* and else */
#define MV_EBDA_GPA        0x9fc00ull
#define MV_VGA_GPA         0xa0000ull
#define MV_ACPI_GPA        0xe0000ull
#define MV_BIOS_CODE       0xfeff0ull
#define MV_HEADERS_GPA     0xff000ull /* where ld puts a kernel's ELF headers, if asked for 1 MiB */
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

/* The guest may read virtio devices' registers from memory. */
#define MV_LAYOUT_PAGES true

/* CS in the code that a BIOS call runs, less the number of the interrupt. */
#define MV_BIOS_CS 0xf000u

/* Devices that are not virtio are reached by port I/O. */
#define MV_LAYOUT_SPACE    MV_SPACE_PORT
#define MV_KEYBOARD_BASE   0x60
#define MV_KEYBOARD_SIZE   5
#define MV_KEYBOARD_IRQ    1
#define MV_KBD_BASE        0x64
#define MV_CMOS_BASE       0x70
#define MV_EXIT_BASE       0xf4
#define MV_BOOT_TIMER_BASE 0xf5
#define MV_BIOS_CALL_BASE  0xf6
#define MV_CRTC_BASE       0x3d4
#define MV_CRTC_SIZE       7
#define MV_SERIAL_BASE     0x3f8
#define MV_SERIAL_IRQ      4
#define MV_PANIC_BASE      0x505
#define MV_POWER_BASE      0x600

/* Where a guest looks for ways to switch off that it has not been told of. */
#define MV_PORT_92_BASE        0x92
#define MV_PM1_BASE            0x604
#define MV_SCI_IRQ             9 /* where a PC has it; never raised */
#define MV_RESET_CONTROL_BASE  0xcf9
#define MV_PM1_VIRTUALBOX_BASE 0x4004
#define MV_PM1_BOCHS_BASE      0xb004

/* Where custom devices are put: MMIO, ports, interrupts. */
#define MV_CUSTOM_BASE      0xe0000000ull
#define MV_CUSTOM_END       MV_IOAPIC_GPA
#define MV_CUSTOM_PORT      0x1000
#define MV_CUSTOM_FIRST_IRQ 9
#define MV_CUSTOM_LAST_IRQ  23

/* Lines of KVM's own devices: the timer, and the 8259s' cascade. */
static inline bool mv_layout_irq_is_ours(int irq)
{
    return irq == 0 || irq == 2;
}

/* Where no custom memory can be, though there is no device on the bus. */
static inline bool mv_layout_is_reserved(uint64_t first, uint64_t last)
{
    return first < MV_ABOVE_4G && last >= MV_IOAPIC_GPA;
}

/* May a kernel be loaded there, if it may have what is below 1 MiB from `low` on?  The rest of
 * that is the machine's, and of the VGA window. */
static inline bool mv_layout_is_free(uint64_t low, uint64_t first, uint64_t last)
{
    return first >= MV_HEADERS_GPA || (first >= low && last < MV_EBDA_GPA);
}

static inline bool mv_layout_has_reset_vector(uint64_t first, uint64_t last)
{
    return first < MV_HIGH_RAM && last >= MV_RESET_VECTOR;
}

/* Of slot 0 to 15.  Not 8: that is an RTC's, of which KVM watches every end of interrupt. */
static inline int mv_virtio_irq(unsigned slot)
{
    return (int)(slot < 3 ? 5 + slot : 6 + slot);
}

/*
 * Selectors of the entry state: data follow code.  (Linux boot protocol: __BOOT_CS, __BOOT_DS.
 * Multiboot leaves them open, but many kernels know those of QEMU: they load no GDT, and have
 * them in their IDT, or load one and go on with what CS is, as xv6 does.)
 */
enum { MV_MULTIBOOT_CS = 0x08, MV_SELECTOR_CS = 0x10, MV_SELECTOR_TSS = 0x20 };

#endif
