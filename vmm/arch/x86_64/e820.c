/* SPDX-License-Identifier: MIT */
/* The memory map: where RAM is, and what the guest is told of it.  The drawing
 * is in layout.h. */
#include <assert.h>

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
    const struct mv_region *low = &mem->regions[0];
    unsigned count = 0;

    assert(low->base == 0 && low->size > MV_HIGH_RAM);
    entries[count++] = (struct mv_e820_entry){0, MV_EBDA_GPA, MV_E820_RAM};
    entries[count++] =
        (struct mv_e820_entry){MV_EBDA_GPA, MV_VGA_GPA - MV_EBDA_GPA, MV_E820_RESERVED};
    entries[count++] =
        (struct mv_e820_entry){MV_ACPI_GPA, MV_HIGH_RAM - MV_ACPI_GPA, MV_E820_RESERVED};
    entries[count++] = (struct mv_e820_entry){MV_HIGH_RAM, low->size - MV_HIGH_RAM, MV_E820_RAM};
    if (mem->count > 1)
        entries[count++] =
            (struct mv_e820_entry){mem->regions[1].base, mem->regions[1].size, MV_E820_RAM};
    return count;
}
