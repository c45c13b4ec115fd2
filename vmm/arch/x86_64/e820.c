/* SPDX-License-Identifier: MIT */
/* The memory map: where RAM is, and what the guest is told about it.  layout.h has a drawing. */
#include <assert.h>
#include <string.h>

#include "layout.h"
#include "x86.h"

unsigned mv_arch_memory_map(uint64_t bytes, struct mv_region *ret_regions)
{
    ret_regions[0] = (struct mv_region){.base = 0, .size = mv_min(bytes, MV_HOLE_GPA)};
    if (bytes <= MV_HOLE_GPA)
        return 1;
    ret_regions[1] = (struct mv_region){.base = MV_ABOVE_4G, .size = bytes - MV_HOLE_GPA};
    return 2;
}

unsigned mv_e820_fill(const struct mv_mem *mem, struct mv_e820_entry entries[MV_E820_ENTRIES])
{
    const struct mv_region *low = &mem->regions[0], *high = &mem->regions[1];
    const struct mv_e820_entry all[MV_E820_ENTRIES] = {
        {0, MV_EBDA_GPA, MV_E820_RAM, 0},
        {MV_EBDA_GPA, MV_VGA_GPA - MV_EBDA_GPA, MV_E820_RESERVED, 0},
        {MV_ACPI_GPA, MV_HIGH_RAM - MV_ACPI_GPA, MV_E820_RESERVED, 0},
        {MV_HIGH_RAM, low->size - MV_HIGH_RAM, MV_E820_RAM, 0},
        {high->base, high->size, MV_E820_RAM, 0},
    };

    assert(low->base == 0 && low->size > MV_HIGH_RAM);
    memcpy(entries, all, sizeof(all));
    return mem->count > 1 ? 5 : 4;
}
