/* SPDX-License-Identifier: MIT */
/* Loads a flat binary on arm64: chooses its address and the vCPUs' initial mode (see cpu.c). */
#include <errno.h>

#include "arch/arm64/arm64.h"
#include "embed/embed.h"

/* Identity-maps the first 4 GiB in blocks of 1 GiB: below RAM as device memory (MAIR_EL1's
 * attribute 0), the rest as normal memory (1).  VMSAv8-64, D8.3. */
static int make_mmu_table(struct mv_mem *mem, mv_gpa at, struct mv_error *err)
{
    enum { BLOCK = 1, ACCESSED = 1 << 10, INNER = 3 << 8, ATTRIBUTE_1 = 1 << 2 };
    const uint64_t never = 3ull << 53; /* UXN and PXN */
    uint64_t table[4] = {BLOCK | ACCESSED | never};

    for (uint64_t i = 1; i < MV_COUNT(table); i++)
        table[i] = i * MV_GIB | BLOCK | ACCESSED | INNER | ATTRIBUTE_1;
    if (!mv_mem_write(mem, at, table, sizeof(table)))
        return mv_fail(err, -ENOMEM, NULL, NULL, "there is no room for the page table");
    return 0;
}

int mv_arch_load_flat(struct mv_arch *arch, struct mv_mem *mem, const struct mv_flat *flat,
                      struct mv_error *err)
{
    const struct mv_region *ram = &mem->regions[0];
    bool mmu = flat->mode == MV_MODE_64;
    int error;

    if (!mmu && flat->mode != MV_MODE_EL1)
        return mv_fail(err, -EINVAL, NULL, "arm64 has long mode (EL1 with the MMU on) and EL1",
                       "the flat binary's mode does not exist on this architecture");
    arch->entry.mode = mmu ? MV_ENTRY_EL1_MMU : MV_ENTRY_EL1;
    arch->entry.pc = flat->address ? flat->address
                     : arch->bare  ? ram->base
                                   : ram->base + 2 * MV_MIB; /* after the device tree */
    arch->entry.stack = ram->base + ram->size - (mmu ? MV_PAGE_SIZE : 0);
    arch->mmu_table = ram->base + ram->size - MV_PAGE_SIZE;
    error = mmu ? make_mmu_table(mem, arch->mmu_table, err) : 0;
    return error ? error : mv_flat_put(flat, arch->entry.pc, mem, err);
}
