/* SPDX-License-Identifier: MIT */
/*
 * The state of the first CPU at its first instruction, by each protocol
 * (boot.rst, "32-bit boot protocol", "64-bit boot protocol"; Xen, pvh.pandoc),
 * and the structure that comes with it.
 */
#include "runtime.h"

enum {
    CR0_PE = 1 << 0,
    CR4_PAE = 1 << 5,
    EFER_LME_LMA = 1 << 8 | 1 << 10,
    FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9,
    FLAG_VM = 1 << 17,
    BOOT_CS = 0x10,
    BOOT_DS = 0x18,
};

static const struct entry_state *const s = &entry_state;

static uint64_t descriptor(unsigned selector)
{
    check(selector + 7u <= s->gdt.limit);
    return load((const void *)(s->gdt.base + selector), 8);
}

/* Accessed or not, the type is the same. */
static void check_descriptors(uint64_t code)
{
    const uint64_t accessed = 1ull << 40;

    check_equal(s->cs, BOOT_CS);
    check_equal(s->ds, BOOT_DS);
    check_equal(s->es, BOOT_DS);
    check_equal(s->ss, BOOT_DS);
    check_equal(s->fs, BOOT_DS);
    check_equal(s->gs, BOOT_DS);
    check_equal(descriptor(BOOT_CS) | accessed, code | accessed);
    check_equal(descriptor(BOOT_DS) | accessed, 0x00cf93000000ffff);
}

/* The loader's page tables, walked by hand: is the address mapped to itself? */
static void check_mapped(uint64_t address)
{
    uint64_t table = s->cr3, entry = 0;

    for (unsigned shift = 39; shift >= 12; shift -= 9) {
        entry = load((const void *)((table & 0xffffffffff000) + (address >> shift & 511) * 8), 8);
        check_equal(entry & 3, 3); /* present, writable */
        if (shift == 12 || (entry & 0x80)) {
            uint64_t mask = (1ull << shift) - 1;

            check_equal((entry & 0xffffffffff000 & ~mask) | (address & mask), address);
            return;
        }
        table = entry;
    }
}

static void check_linux64(void)
{
    check_equal(s->cr0 & (CR0_PE | 1u << 31), CR0_PE | 1u << 31);
    check_equal(s->cr4, CR4_PAE);
    check_equal(s->efer, EFER_LME_LMA);
    check_descriptors(0x00af9b000000ffff);
    for (uint64_t address = 0; address < 1ull << 32; address += 1 << 20)
        check_mapped(address);
}

static void check_linux32(void)
{
    check_equal(s->cr0 & (CR0_PE | 1u << 31), CR0_PE);
    check_equal(s->cr4, 0);
    check_equal(s->efer, 0);
    check_equal(s->rbp, 0);
    check_equal(s->rdi, 0);
    check_equal(s->rbx, 0);
    check_descriptors(0x00cf9b000000ffff);
}

static void check_pvh(void)
{
    const uint8_t *info = (const uint8_t *)s->rbx;

    check_equal(s->cr0 & (CR0_PE | 1u << 31), CR0_PE);
    check_equal(s->cr4, 0);
    check_equal(s->efer, 0);
    check_equal(s->flags & FLAG_VM, 0);
    check_descriptors(0x00cf9b000000ffff);
    check_equal(load(info + 8, 4), 0);  /* flags */
    check_equal(load(info + 52, 4), 0); /* reserved */
}

static void check_boot_params(void)
{
    const uint8_t *params = (const uint8_t *)s->rsi;

    check_equal(load(params + 0x1fe, 2), 0xaa55);
    check(same(params + 0x202, "HdrS", 4));
    check_equal(load(params + 0x206, 2), 0x20c); /* the header's fields as in our file */
    check_equal(load(params + 0x214, 4), (uint64_t)image_start);
    check_equal(load(params + 0x238, 4), 4000);
    check_equal(params[0x210], 0xff);        /* type_of_loader: not assigned */
    check_equal(load(params + 0x250, 8), 0); /* setup_data */
    for (unsigned i = 0; i < 0x70; i++)      /* screen_info and APM: no screen, no BIOS */
        check_equal(params[i], 0);
    for (unsigned i = 0x2d0 + 20u * params[0x1e8]; i < 0xcd0; i++)
        check_equal(params[i], 0);
}

void test(void)
{
    check_equal(s->flags & (FLAG_IF | FLAG_TF), 0);
    check_equal(s->idt.limit, 0);
    if (option_is("protocol", "linux64")) {
        check_equal(s->protocol, PROTOCOL_LINUX64);
        check_linux64();
    } else if (option_is("protocol", "linux32")) {
        check_equal(s->protocol, PROTOCOL_LINUX32);
        check_linux32();
    } else {
        check(option_is("protocol", "pvh"));
        check_equal(s->protocol, PROTOCOL_PVH);
        check_pvh();
    }
    if (s->protocol != PROTOCOL_PVH)
        check_boot_params();
    if (s->tr) { /* a TSS, 32 or 64 bits, busy */
        check_equal(descriptor(s->tr) >> 40 & 0x9f, 0x8b);
        check(descriptor(s->tr) % 0x10000 >= 0x67);
    }
}
