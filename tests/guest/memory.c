/* SPDX-License-Identifier: MIT */
/*
 * Memory: memory=BYTES of it are there, as the map says; they are zero, keep
 * what is written, and no two addresses are the same byte.
 */
#include "runtime.h"

enum { STEP = 2 << 20 };

static void check_map(void)
{
    uint64_t sum = UNLISTED_MEMORY;

    check(boot.count >= 1);
    for (unsigned i = 0; i < boot.count; i++) {
        uint64_t end = boot.memory[i].base + boot.memory[i].size;

        check(end > boot.memory[i].base);
        check(i == 0 || boot.memory[i].base >= boot.memory[i - 1].base + boot.memory[i - 1].size);
        check(end <= HOLE || boot.memory[i].base >= HOLE_END);
        check_equal(boot.memory[i].base % 1024, 0);
        sum += boot.memory[i].size;
    }
    check_equal(sum, option("memory", 0));
}

static bool is_ours(uint64_t address)
{
    if (address < 0x500) /* real mode's vectors, BIOS data; arm64 has no memory there */
        return true;
    return (address + 8 > (uint64_t)file_start && address < (uint64_t)image_end) ||
           (address + 8 > boot.tables && address < boot.tables + boot.tables_size);
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
        uint64_t base = boot.memory[i].base, end = base + boot.memory[i].size;

        if (!boot.memory[i].usable)
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
