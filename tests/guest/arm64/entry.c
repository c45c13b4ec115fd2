/* SPDX-License-Identifier: MIT */
/*
 * The state of the first CPU at its first instruction (Documentation/arm64/booting.rst,
 * 4), where the image is (3), and the device tree that comes with it (2).
 */
#include "fdt_read.h"
#include "runtime.h"

enum { EL1 = 1 << 2, ALL_MASKED = 0xf << 6, SCTLR_M = 1 << 0, SCTLR_C = 1 << 2 };
enum { TREE_MOST = 2 << 20, RANDOM_SEED = 32 };

static const struct entry_state *const s = &entry_state;

static void check_registers(void)
{
    check_equal(s->pc, (uint64_t)image_start);
    for (unsigned i = 1; i < 4; i++)
        check_equal(s->x[i], 0);
    check_equal(s->current_el, EL1);
    check_equal(s->daif, ALL_MASKED);
    check_equal(s->sctlr & (SCTLR_M | SCTLR_C), 0);
    check(read_sysreg(cntfrq_el0) > 0);
    check(boot.count > 0);
}

static void check_tree(void)
{
    uint64_t start = boot.tables, end = start + boot.tables_size;

    check_equal(start, s->x[0]);
    check_equal(start % 8, 0);
    check(boot.tables_size <= TREE_MOST);
    check(start >= boot.memory[0].base);
    check(end <= boot.memory[0].base + boot.memory[0].size);
    check(start >= (uint64_t)image_end || end <= (uint64_t)image_start);
    check(boot.initrd_size == 0 || start >= boot.initrd + boot.initrd_size || end <= boot.initrd);
}

/* A kernel's random numbers begin with these. */
static void check_seeds(void)
{
    for (struct fdt_node node = fdt_first((const void *)boot.tables); node.at;
         node = fdt_next(node)) {
        struct fdt_value seed = fdt_property(node, "rng-seed");
        uint8_t any = 0;

        if (!fdt_is_named(node, "chosen"))
            continue;
        check(seed.data && seed.size >= RANDOM_SEED);
        for (uint32_t i = 0; i < seed.size; i++)
            any |= seed.data[i];
        check(any != 0);
        check_equal(fdt_property(node, "kaslr-seed").size, 8);
        return;
    }
    check(false); /* no such node */
}

void test(void)
{
    check_registers();
    check_tree();
    check_seeds();
}
