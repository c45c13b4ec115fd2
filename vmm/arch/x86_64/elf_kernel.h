/* SPDX-License-Identifier: MIT */
/* What the loaders of ELF kernels share.  All functions fill in *err on failure. */
#ifndef MV_X86_ELF_KERNEL_H
#define MV_X86_ELF_KERNEL_H

#include <elf.h>

#include "boot/boot.h"

#define MV_ELF_SEGMENTS 64 /* more than any kernel has */
#define MV_ELF_ANY_TYPE UINT32_MAX

/* An ELF file of either class, 32-bit or 64-bit. */
struct mv_elf {
    bool is64;
    uint64_t entry; /* as linked */
    unsigned count;
    Elf64_Phdr segments[MV_ELF_SEGMENTS];
};

int mv_elf_read(const struct mv_load *load, struct mv_elf *ret_elf, struct mv_error *err);

/* Looks for a note of this owner and type.  Returns 1 if there is one, 0 if not, or -errno.
 * *ret_value is its value, of 4 or 8 bytes; NULL: only its presence matters. */
int mv_elf_find_note(const struct mv_load *load, const struct mv_elf *elf, const char *owner,
                     uint32_t type, uint64_t *ret_value, struct mv_error *err);

/* Loads the segments to their physical addresses.  low: see mv_layout_is_free.  *ret_end: the
 * highest end of a segment, at least MV_HIGH_RAM. */
int mv_elf_put(struct mv_load *load, const struct mv_elf *elf, mv_gpa low, mv_gpa *ret_end,
               struct mv_error *err);

/* Whether a segment covers this guest-physical address. */
bool mv_elf_is_loaded(const struct mv_elf *elf, uint64_t address);

#endif
