/* SPDX-License-Identifier: MIT */
/* Loads a flat binary on x86-64: chooses its address and the vCPUs' initial mode (see cpu.c). */
#include <errno.h>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/x86.h"
#include "embed/embed.h"

int mv_arch_load_flat(struct mv_arch *arch, struct mv_mem *mem, const struct mv_flat *flat,
                      struct mv_error *err)
{
    static const enum mv_entry_mode modes[] = {[MV_MODE_16] = MV_ENTRY_FLAT16,
                                               [MV_MODE_32] = MV_ENTRY_FLAT32,
                                               [MV_MODE_64] = MV_ENTRY_FLAT64};
    bool is16 = flat->mode == MV_MODE_16;
    uint64_t least = is16 ? 0 : MV_FLAT_GPA, most = is16 ? MV_HIGH_RAM - 1 : MV_ABOVE_4G - 1;
    uint64_t address = flat->address;

    if ((size_t)flat->mode >= MV_COUNT(modes))
        return mv_fail(err, -EINVAL, NULL,
                       "x86-64 has real, protected and long mode (16, 32 and 64 bits)",
                       "the flat binary's mode does not exist on this architecture");
    if (address == 0)
        address = is16 ? MV_BOOT_SECTOR_GPA : MV_FLAT_GPA;
    if (address < least || address > most)
        return mv_fail(
            err, -EINVAL, NULL, "leave the address 0 to have one chosen",
            "a flat binary in this mode cannot start at %#llx: it must lie between %#llx and %#llx",
            (unsigned long long)address, (unsigned long long)least, (unsigned long long)most);
    arch->entry = (struct mv_entry){.mode = modes[flat->mode], .pc = address};
    if (is16)
        arch->entry.stack = address > MV_STACK16 ? MV_STACK16 : MV_STACK16_HIGH;
    else
        arch->entry.stack = mem->regions[0].base + mem->regions[0].size;
    return mv_flat_put(flat, address, mem, err);
}
