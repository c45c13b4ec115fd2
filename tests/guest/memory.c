/* SPDX-License-Identifier: MIT */
/*
 * Memory: memory=BYTES of it are there, as the map says; they are zero, keep
 * what is written, and no two addresses are the same byte.
 */
#include "runtime.h"

enum { STEP = 2 << 20 };

static const uint64_t hole = 0xc0000000, four_gib = 1ull << 32;

static void check_map(void)
{
    uint64_t sum = 0xe0000 - 0xa0000; /* the VGA window: there, but not listed */

    check(boot.count >= 4);
    for (unsigned i = 0; i < boot.count; i++) {
        uint64_t end = boot.e820[i].base + boot.e820[i].size;

        check(end > boot.e820[i].base);
        check(i == 0 || boot.e820[i].base >= boot.e820[i - 1].base + boot.e820[i - 1].size);
        check(end <= hole || boot.e820[i].base >= four_gib);
        check_equal(boot.e820[i].base % 1024, 0);
        sum += boot.e820[i].size;
    }
    check_equal(sum, option("memory", 0));
}

static bool is_ours(uint64_t address)
{
    return address + 8 > (uint64_t)image_start - 0x400 && address < (uint64_t)image_end;
}

static void check_zero(uint64_t address)
{
    if (!is_ours(address))
        check_equal(*(volatile uint64_t *)at(address), 0);
}

static void fill(uint64_t address)
{
    if (!is_ours(address))
        *(volatile uint64_t *)at(address) = ~address;
}

static void check_filled(uint64_t address)
{
    if (!is_ours(address))
        check_equal(*(volatile uint64_t *)at(address), ~address);
}

/* The first and last 8 bytes of each range of RAM, and some between. */
static void for_samples(void (*visit)(uint64_t address))
{
    for (unsigned i = 0; i < boot.count; i++) {
        uint64_t base = boot.e820[i].base, end = base + boot.e820[i].size;

        if (boot.e820[i].type != E820_RAM)
            continue;
        visit(base);
        visit(end - 8);
        for (uint64_t address = base + STEP; address + STEP < end; address += STEP)
            visit(address);
    }
}

void test(void)
{
    check_map();
    for_samples(check_zero);
    for_samples(fill);
    for_samples(check_filled);
}
