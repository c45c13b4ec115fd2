/* SPDX-License-Identifier: MIT */
/* The memory map for each size of memory: where RAM is, and what the guest is told. */
#include <criterion/criterion.h>

#include "layout.h"
#include "x86.h"

struct row {
    uint64_t bytes, low, high; /* memory in all, below the hole, above 4 GiB */
};

static const struct row rows[] = {
    {16 * MV_MIB, 16 * MV_MIB, 0},
    {256 * MV_MIB, 256 * MV_MIB, 0},
    {3 * MV_GIB - 4096, 3 * MV_GIB - 4096, 0},
    {3 * MV_GIB, 3 * MV_GIB, 0},
    {3 * MV_GIB + 4096, 3 * MV_GIB, 4096},
    {4 * MV_GIB, 3 * MV_GIB, 1 * MV_GIB},
    {5 * MV_GIB, 3 * MV_GIB, 2 * MV_GIB},
    {1024 * MV_GIB, 3 * MV_GIB, 1021 * MV_GIB},
    {1ull << 62, 3 * MV_GIB, (1ull << 62) - 3 * MV_GIB},
};

Test(e820, memory_lies_below_the_hole_and_the_rest_above_4_gib)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        struct mv_region regions[MV_MEM_REGIONS] = {0};
        unsigned count = mv_arch_memory_map(rows[i].bytes, regions);

        cr_assert_eq(count, rows[i].high ? 2 : 1, "row %u", i);
        cr_expect_eq(regions[0].base, 0);
        cr_expect_eq(regions[0].size, rows[i].low, "row %u", i);
        if (count < 2)
            continue;
        cr_expect_eq(regions[1].base, 4 * MV_GIB);
        cr_expect_eq(regions[1].size, rows[i].high, "row %u", i);
    }
}

/* Only the arithmetic: nothing is mapped. */
static unsigned fill(uint64_t bytes, struct mv_e820_entry *entries)
{
    struct mv_mem mem = {0};

    mem.count = mv_arch_memory_map(bytes, mem.regions);
    return mv_e820_fill(&mem, entries);
}

Test(e820, the_guest_is_told_of_all_ram_but_what_is_reserved)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        struct mv_e820_entry e[MV_E820_ENTRIES];
        unsigned count = fill(rows[i].bytes, e);

        cr_assert_eq(count, rows[i].high ? 5 : 4);
        cr_expect(e[0].base == 0 && e[0].size == 0x9fc00 && e[0].type == MV_E820_RAM);
        cr_expect(e[1].base == 0x9fc00 && e[1].size == 0x400 && e[1].type == MV_E820_RESERVED);
        cr_expect(e[2].base == 0xe0000 && e[2].size == 0x20000 && e[2].type == MV_E820_RESERVED);
        cr_expect(e[3].base == 0x100000 && e[3].size == rows[i].low - 0x100000 &&
                  e[3].type == MV_E820_RAM);
        if (count == 5)
            cr_expect(e[4].base == 4 * MV_GIB && e[4].size == rows[i].high &&
                      e[4].type == MV_E820_RAM);
    }
}

Test(e820, entries_rise_and_do_not_overlap)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        struct mv_e820_entry e[MV_E820_ENTRIES];
        unsigned count = fill(rows[i].bytes, e);

        for (unsigned j = 0; j < count; j++) {
            cr_expect_gt(e[j].size, 0);
            cr_expect(j == 0 || e[j - 1].base + e[j - 1].size <= e[j].base);
        }
    }
}

Test(e820, all_that_the_monitor_puts_below_1_mib_is_in_memory_it_may_use)
{
    struct mv_e820_entry e[MV_E820_ENTRIES];

    fill(16 * MV_MIB, e);
    cr_expect_leq(MV_CMDLINE_GPA + MV_CMDLINE_SIZE, e[0].base + e[0].size);
    cr_expect_leq(MV_PAGE_TABLES + 6 * MV_PAGE_SIZE, MV_CMDLINE_GPA);
    cr_expect_eq(e[2].base, MV_ACPI_GPA, "a guest must not use the tables' memory");
}
