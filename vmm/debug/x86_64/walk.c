/* SPDX-License-Identifier: MIT */
/*
 * Translates a linear address by the guest's page tables, level by level (SDM volume 3, 4.3
 * to 4.5): 32-bit paging with two levels, PAE with three, 4-level and 5-level paging.  Left out:
 * reserved address bits above the width of a physical address.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/vcpu.h"
#include "explain.h"

enum {
    CR0_PG = 1u << 31,
    CR4_PSE = 1u << 4,
    CR4_PAE = 1u << 5,
    CR4_LA57 = 1u << 12,
    EFER_LMA = 1u << 10,
    EFER_NXE = 1u << 11,
    PTE_P = 1u << 0,
    PTE_W = 1u << 1,
    PTE_U = 1u << 2,
    PTE_PS = 1u << 7,
};

#define PTE_NX      (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

/* A paging mode. */
struct form {
    unsigned levels;
    unsigned index_bits; /* per level; PAE's first level has 2 */
    unsigned entry_size; /* bytes */
    bool pae;            /* three levels; entries of the first have no access rights */
    bool has_large;      /* PS is valid: large pages */
    bool has_nx;
};

static struct form form_of(const struct kvm_sregs *s)
{
    if (s->efer & EFER_LMA)
        return (struct form){.levels = s->cr4 & CR4_LA57 ? 5 : 4,
                             .index_bits = 9,
                             .entry_size = 8,
                             .has_large = true,
                             .has_nx = s->efer & EFER_NXE};
    if (s->cr4 & CR4_PAE)
        return (struct form){.levels = 3,
                             .index_bits = 9,
                             .entry_size = 8,
                             .pae = true,
                             .has_large = true,
                             .has_nx = s->efer & EFER_NXE};
    return (struct form){
        .levels = 2, .index_bits = 10, .entry_size = 4, .has_large = s->cr4 & CR4_PSE};
}

/* The name of the table `above` levels above the pages: 1 is the last. */
static const char *level_name(unsigned above)
{
    static const char *const names[] = {"page", "PT", "PD", "PDPT", "PML4", "PML5"};

    return names[above];
}

static bool is_canonical(uint64_t address, unsigned levels)
{
    unsigned shift = 64 - (12 + 9 * levels);

    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* The number of address bits that a leaf at this level does not translate. */
static unsigned leaf_shift(const struct form *form, unsigned above)
{
    return 12 + form->index_bits * (above - 1);
}

/* 32-bit paging with PSE-36 has bits 32 to 39 of the address in bits 13 to 20 (SDM, 4.3). */
static uint64_t leaf_address(const struct form *form, uint64_t entry, unsigned shift)
{
    if (form->entry_size == 4 && shift > 12)
        return (entry & 0xffc00000u) | (entry & 0x1fe000u) << 19;
    return entry & PTE_ADDRESS & ~((1ull << shift) - 1);
}

static void read_entry(const struct mv_mem *mem, const struct form *form, uint64_t table,
                       uint64_t address, unsigned above, struct mv_walk_level *level)
{
    unsigned bits = form->pae && above == 3 ? 2 : form->index_bits;
    uint64_t index = address >> leaf_shift(form, above) & ((1u << bits) - 1);
    bool has_rights = !(form->pae && above == 3);

    *level = (struct mv_walk_level){.name = level_name(above),
                                    .address = table + index * form->entry_size};
    if (!mv_mem_read(mem, level->address, &level->entry, form->entry_size)) {
        level->entry = UINT64_MAX;
        return;
    }
    level->present = level->entry & PTE_P;
    level->writable = !has_rights || level->entry & PTE_W;
    level->user = !has_rights || level->entry & PTE_U;
    level->executable = !(form->has_nx && has_rights && level->entry & PTE_NX);
    level->leaf = above == 1 || (level->entry & PTE_PS && form->has_large &&
                                 (above == 2 || (above == 3 && !form->pae)));
}

/* Describes a reserved bit that is set and so causes a page fault (SDM volume 3, 4.7: RSVD), or
 * returns NULL. */
static const char *reserved_bit(const struct form *form, const struct mv_walk_level *level,
                                unsigned above)
{
    uint64_t entry = level->entry;

    if (form->pae && above == 3)
        return entry & (PTE_NX | 0x1e6) ? "which a PDPT of PAE does not have" : NULL;
    if (form->entry_size == 8 && !form->has_nx && entry & PTE_NX)
        return "bit 63, no execution, which needs EFER.NXE";
    if (above >= 4 && entry & PTE_PS)
        return "bit 7: there are no large pages at this level";
    if (form->entry_size == 8 && level->leaf && above > 1 &&
        entry & ((1ull << leaf_shift(form, above)) - 1) & ~0x1fffull)
        return "of the address: a large page's has to be a multiple of its size";
    return NULL;
}

static void not_mapped(struct mv_walk *walk, const struct mv_walk_level *level)
{
    if (level->entry == UINT64_MAX && !level->present)
        snprintf(walk->why, sizeof(walk->why),
                 "the %s's entry would be at %#llx, which is no memory", level->name,
                 (unsigned long long)level->address);
    else
        snprintf(walk->why, sizeof(walk->why), "the %s's entry at %#llx, %#llx, is not present",
                 level->name, (unsigned long long)level->address, (unsigned long long)level->entry);
}

void mv_x86_walk(const struct mv_mem *mem, const struct kvm_sregs *s, uint64_t address,
                 struct mv_walk *ret_walk)
{
    struct mv_walk walk = {.writable = true, .user = true, .executable = true};
    struct form form = form_of(s);
    uint64_t table = form.pae ? s->cr3 & 0xffffffe0u : s->cr3 & PTE_ADDRESS;

    if (!(s->efer & EFER_LMA))
        address &= 0xffffffff;
    if (!(s->cr0 & CR0_PG)) {
        walk.mapped = true;
        walk.address = address;
        *ret_walk = walk;
        return;
    }
    if (form.levels >= 4 && !is_canonical(address, form.levels)) {
        snprintf(walk.why, sizeof(walk.why), "%#llx is not canonical: its upper bits differ",
                 (unsigned long long)address);
        *ret_walk = walk;
        return;
    }
    for (unsigned above = form.levels; above > 0; above--) {
        struct mv_walk_level *level = &walk.level[walk.levels++];

        read_entry(mem, &form, table, address, above, level);
        if (!level->present) {
            not_mapped(&walk, level);
            break;
        }
        if (reserved_bit(&form, level, above)) {
            snprintf(walk.why, sizeof(walk.why), "the %s's entry, %#llx, has a reserved bit, %s",
                     level->name, (unsigned long long)level->entry,
                     reserved_bit(&form, level, above));
            break;
        }
        walk.writable &= level->writable;
        walk.user &= level->user;
        walk.executable &= level->executable;
        if (level->leaf) {
            unsigned shift = leaf_shift(&form, above);

            walk.mapped = true;
            walk.page_size = 1ull << shift;
            walk.address =
                leaf_address(&form, level->entry, shift) | (address & (walk.page_size - 1));
            break;
        }
        table = level->entry & PTE_ADDRESS;
    }
    *ret_walk = walk;
}

int mv_arch_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk)
{
    struct kvm_sregs sregs;
    int error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_SREGS, &sregs);

    if (!error)
        mv_x86_walk(vcpu->host->mem, &sregs, address, ret_walk);
    return error;
}
