/* SPDX-License-Identifier: MIT */
/* Multiboot 1: what the ELF loader needs of it. */
#ifndef MV_BOOT_MULTIBOOT_H
#define MV_BOOT_MULTIBOOT_H

#include "boot/boot.h"

/* magic, flags, checksum, header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr */
#define MV_MULTIBOOT_WORDS 8

struct mv_multiboot {
    uint64_t offset; /* in the file */
    uint32_t words[MV_MULTIBOOT_WORDS];
};

/* Looks for the header where it may be. */
bool mv_multiboot_find(int fd, uint64_t size, struct mv_multiboot *ret_header);

/* The header says where the kernel is loaded, whatever form the file has. */
bool mv_multiboot_has_addresses(const struct mv_multiboot *header);

/* A kernel that has been loaded, up to end: puts there what it is told, and fills in
 * load->entry.  Explains every failure. */
int mv_multiboot_finish(struct mv_load *load, const struct mv_multiboot *header, mv_gpa end,
                        uint64_t entry, struct mv_error *err);

#endif
