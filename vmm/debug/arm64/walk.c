/* SPDX-License-Identifier: MIT */
/*
 * Stage 1 address translation of the guest's EL1 and EL0 (Arm ARM, D8.2): granules of 4, 16 and 64
 * KiB, addresses of up to 48 bits.  Left out: 52-bit addresses (LPA, LPA2), and permission
 * indirection.
 */
#include <errno.h>
#include <stdio.h>

#include "core/vcpu.h"
#include "explain.h"

enum { SCTLR_M = 1, VALID = 1, TABLE_OR_PAGE = 2, AP_EL0 = 1 << 6, AP_READ_ONLY = 1 << 7 };

#define PXN          (1ull << 53)
#define UXN          (1ull << 54)
#define TABLE_PXN    (1ull << 59)
#define TABLE_NO_EL0 (1ull << 61)
#define TABLE_READ   (1ull << 62)
#define SELECT_TTBR1 (1ull << 55)
#define ADDRESS      0x0000fffffffff000ull

struct form {
    uint64_t table;
    unsigned granule; /* bits of the offset within a page: 12, 14 or 16 */
    unsigned bits;    /* bits of a virtual address */
    bool off;         /* EPD0 or EPD1 disables walks */
};

static struct form form_of(const struct mv_translation *regs, uint64_t address)
{
    static const unsigned low[] = {12, 16, 14, 12}, high[] = {12, 14, 12, 16};
    bool is_high = address & SELECT_TTBR1;
    uint64_t tcr = regs->tcr;

    if (is_high)
        return (struct form){regs->ttbr1 & ADDRESS, high[tcr >> 30 & 3],
                             64 - (unsigned)(tcr >> 16 & 63), tcr >> 23 & 1};
    return (struct form){regs->ttbr0 & ADDRESS, low[tcr >> 14 & 3], 64 - (unsigned)(tcr & 63),
                         tcr >> 7 & 1};
}

static const char *level_name(unsigned level)
{
    static const char *const names[] = {"level 0", "level 1", "level 2", "level 3"};

    return names[level];
}

static void read_entry(const struct mv_mem *mem, uint64_t address, unsigned level, bool block,
                       struct mv_walk_level *entry)
{
    uint64_t bits;

    *entry = (struct mv_walk_level){.name = level_name(level), .address = address};
    if (!mv_mem_read(mem, address, &entry->entry, sizeof(entry->entry))) {
        entry->entry = UINT64_MAX;
        return;
    }
    bits = entry->entry;
    entry->leaf = level == 3 || !(bits & TABLE_OR_PAGE);
    entry->present = bits & VALID && (level == 3 ? bits & TABLE_OR_PAGE : !entry->leaf || block);
    entry->writable = !(bits & (entry->leaf ? (uint64_t)AP_READ_ONLY : TABLE_READ));
    entry->user = entry->leaf ? bits & AP_EL0 : !(bits & TABLE_NO_EL0);
    entry->executable = !(bits & (entry->leaf ? PXN : TABLE_PXN));
}

static void walk_tables(const struct mv_mem *mem, const struct form *form, uint64_t address,
                        struct mv_walk *walk)
{
    unsigned stride = form->granule - 3,
             levels = (form->bits - form->granule + stride - 1) / stride;
    uint64_t table = form->table;

    for (unsigned level = 4 - levels; level < 4; level++) {
        struct mv_walk_level *entry = &walk->level[walk->levels++];
        unsigned shift = form->granule + stride * (3 - level);
        unsigned bits = level == 4 - levels ? form->bits - shift : stride;
        uint64_t index = address >> shift & ((1ull << bits) - 1);

        /* blocks exist at level 2, with the 4 KiB granule also at level 1 */
        read_entry(mem, table + 8 * index, level, level == 2 || (level == 1 && form->granule == 12),
                   entry);
        if (!entry->present) {
            snprintf(walk->why, sizeof(walk->why), "the entry of %s at %#llx, %#llx, is %s",
                     entry->name, (unsigned long long)entry->address,
                     (unsigned long long)entry->entry,
                     entry->entry == UINT64_MAX ? "no memory" : "not valid");
            return;
        }
        walk->writable &= entry->writable;
        walk->user &= entry->user;
        walk->executable &= entry->executable;
        if (entry->leaf) {
            walk->page_size = 1ull << shift;
            walk->address = (entry->entry & ADDRESS & ~(walk->page_size - 1)) |
                            (address & (walk->page_size - 1));
            walk->mapped = true;
            return;
        }
        table = entry->entry & ADDRESS & ~((1ull << form->granule) - 1);
    }
}

void mv_arm64_walk(const struct mv_mem *mem, const struct mv_translation *regs, uint64_t address,
                   struct mv_walk *ret_walk)
{
    struct form form = form_of(regs, address);
    struct mv_walk walk = {.writable = true, .user = true, .executable = true};
    uint64_t upper;

    *ret_walk = walk;
    if (!(regs->sctlr & SCTLR_M)) {
        ret_walk->mapped = true;
        ret_walk->address = address;
        return;
    }
    if (form.bits < 16 || form.bits > 48 || form.bits <= form.granule) {
        snprintf(ret_walk->why, sizeof(ret_walk->why),
                 "TCR_EL1 asks for addresses of %u bits, which this walk does not know", form.bits);
        return;
    }
    upper = address & ~(0xffull << 56); /* ignores a tag, whether TBI is set or not */
    if (upper >> form.bits != (address & SELECT_TTBR1 ? (1ull << (56 - form.bits)) - 1 : 0)) {
        snprintf(ret_walk->why, sizeof(ret_walk->why), "%#llx has more than the %u bits of TCR_EL1",
                 (unsigned long long)address, form.bits);
        return;
    }
    if (form.off) {
        snprintf(ret_walk->why, sizeof(ret_walk->why), "walks from %s are off in TCR_EL1",
                 address & SELECT_TTBR1 ? "TTBR1" : "TTBR0");
        return;
    }
    walk_tables(mem, &form, address, ret_walk);
}

int mv_arch_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk)
{
    struct mv_translation regs;
    int error = mv_vcpu_get(vcpu, "sctlr_el1", &regs.sctlr);

    if (!error)
        error = mv_vcpu_get(vcpu, "tcr_el1", &regs.tcr);
    if (!error)
        error = mv_vcpu_get(vcpu, "ttbr0_el1", &regs.ttbr0);
    if (!error)
        error = mv_vcpu_get(vcpu, "ttbr1_el1", &regs.ttbr1);
    if (!error)
        mv_arm64_walk(vcpu->host->mem, &regs, address, ret_walk);
    return error;
}
