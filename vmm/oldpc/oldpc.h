/* SPDX-License-Identifier: MIT */
/*
 * Declarations shared by the files of this part, and the layout of an old PC, in addition to
 * the drawing in arch/x86_64/layout.h:
 *
 *             0 +--------------------------+
 *               | real-mode vectors, all   |
 *               |   point to 0xfeff0       |
 *         0x400 | BIOS data                |
 *        0x2000 | Multiboot's information, |
 *               |   module, memory map     |
 *        0x3000 | its command line         |
 *        0x5000 | and name of the module   |
 *        0x7000 +--------------------------+  (a Multiboot kernel's)
 *       0x9fc00 | EBDA: MP tables          |
 *       0xa0000 +--------------------------+
 *       0xfefc0 | RSDT                     |
 *       0xfeff0 | code for BIOS calls      |
 *       0xff000 +--------------------------+
 *
 * Ports, for all guests:
 *
 *   0x092   A20 (always on) and reset
 *   0x0f6   BIOS calls
 *   0x604   ACPI PM1 control and events, as in QEMU; also 0xb004 (Bochs) and 0x4004 (VirtualBox)
 *
 * and for guests that expect a PC:
 *
 *   0x040   timer, and 0x061 (in KVM)
 *   0x060   keyboard controller
 *   0x070   clock and CMOS memory
 *   0x170   two IDE channels without drives; also 0x1f0 and the control ports
 *   0x3d4   CRT controller
 */
#ifndef MV_OLDPC_H
#define MV_OLDPC_H

#include "arch/x86_64/layout.h"
#include "arch/x86_64/x86.h"
#include "dev/dev.h"

#define MV_MULTIBOOT_LINE 0x3000ull
#define MV_MULTIBOOT_NAME 0x5000ull
#define MV_MULTIBOOT_LOW  0x7000ull /* as MV_ELF_LOW, for Multiboot kernels */
#define MV_RSDT_GPA       MV_ACPI_END
#define MV_BIOS_CODE      0xfeff0ull

/* CS in the code for BIOS calls, less the interrupt's number. */
#define MV_BIOS_CS 0xf000u

#define MV_KEYBOARD_BASE       0x60
#define MV_KEYBOARD_SIZE       5
#define MV_KEYBOARD_IRQ        1
#define MV_CMOS_BASE           0x70
#define MV_PORT_92_BASE        0x92
#define MV_BIOS_CALL_BASE      0xf6
#define MV_CRTC_BASE           0x3d4
#define MV_CRTC_SIZE           7
#define MV_PM1_BASE            0x604
#define MV_PM1_VIRTUALBOX_BASE 0x4004
#define MV_PM1_BOCHS_BASE      0xb004
#define MV_SCI_IRQ             9 /* as on a PC; never raised */

/* Multiboot does not specify selectors, but many kernels rely on QEMU's: they load no GDT and use
 * them in their IDT, or load a GDT and keep the old CS, as xv6 does. */
#define MV_MULTIBOOT_CS 0x08

/* Offsets of PM1's registers, and their total size. */
enum { MV_PM1_CONTROL = 0, MV_PM1_EVENT = 4, MV_PM1_SIZE = 8 };

mv_device_create_fn mv_bios_call_create; /* bios_call.c: catches BIOS calls */
mv_device_create_fn mv_cmos_create;      /* cmos.c: a PC's clock and CMOS memory */
mv_device_create_fn mv_crtc_create;      /* crtc.c: a PC's CRT controller */
mv_device_create_fn mv_ide_create;       /* ide.c: an IDE channel without drives */
mv_device_create_fn mv_keyboard_create;  /* keyboard.c: a PC's keyboard controller */
mv_device_create_fn mv_pm1_create;       /* power.c: ACPI's fixed hardware */
mv_device_create_fn mv_port_92_create;   /* power.c: A20 and reset */

/* ---- bios.c ---- */

/* Points the real-mode vectors to code that ends the machine: see bios_call.c. */
void mv_bios_write_vectors(struct mv_mem *mem);

/* Writes the data that an old PC's firmware leaves below 1 MiB, for all guests, also for Linux with
 * acpi=off.  The MP tables list at most 39 CPUs. */
void mv_bios_write(struct mv_mem *mem, unsigned cpus);

/* ---- acpi.c ---- */

/* Changes the ACPI tables in memory to describe fixed hardware and an old PC's devices, and adds an
 * RSDT. */
void mv_oldpc_fit_acpi(struct mv_mem *mem);

/* ---- multiboot.c ---- */

/* magic, flags, checksum, header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr */
#define MV_MULTIBOOT_WORDS 8

struct mv_multiboot {
    uint64_t offset; /* in the file */
    uint32_t words[MV_MULTIBOOT_WORDS];
};

/* Looks for a Multiboot header in the kernel file. */
bool mv_multiboot_find(const struct mv_load *load, struct mv_multiboot *ret_header);

/* Loads a file of any format by the addresses in its Multiboot header; returns MV_LOAD_NEXT if it
 * has none. */
mv_load_fn mv_multiboot_load;

/* For a kernel that has been loaded and ends at `end`: loads the initrd, writes the Multiboot
 * information, and fills in load->entry.  Explains every failure. */
int mv_multiboot_finish(struct mv_load *load, const struct mv_multiboot *header, mv_gpa end,
                        uint64_t entry, struct mv_error *err);

/* ---- elf.c ---- */

mv_load_fn mv_oldpc_load_elf; /* ELF files without a PVH note */

#endif
