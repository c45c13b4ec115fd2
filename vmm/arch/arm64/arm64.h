/* SPDX-License-Identifier: MIT */
/* What the files of this architecture share. */
#ifndef MV_ARM64_H
#define MV_ARM64_H

#include <stddef.h>

#include "arch/arch.h"
#include "boot/boot.h"
#include "boot/fdt.h"

/* The contents of the device tree. */
struct mv_arm64_tree {
    const struct mv_mem *mem;
    const struct mv_device *devices;
    unsigned count;
    unsigned cpus;
    unsigned gic; /* version, 2 or 3 */
    struct mv_fdt_chosen chosen;
};

struct mv_arch {
    bool bare;
    mv_gpa mmu_table; /* page table of a flat binary that starts with the MMU on */
    struct mv_entry entry;
    struct mv_arm64_tree tree; /* complete once the GIC version is known */
    uint64_t tree_room;        /* bytes reserved for it in guest memory */
    char *append;              /* the tree's command line; owned */
    int gic;                   /* the GIC's file descriptor; -1: none yet */
    uint32_t target;           /* type of vCPU, for KVM_ARM_VCPU_INIT */
    uint32_t features;         /* for all vCPUs: bits of kvm_vcpu_init.features[0] */
};

/* ---- tree.c: without KVM ---- */

/* An upper bound on the size of the tree, in bytes. */
uint64_t mv_arm64_tree_room(unsigned cpus, const char *append);

/* Writes the tree into size bytes at `to`, 8-byte aligned.  Returns how many it takes, or
 * -ENOSPC. */
int64_t mv_arm64_tree_write(const struct mv_arm64_tree *tree, void *to, uint64_t size);

/* A vCPU's affinity (MPIDR_EL1), which KVM derives from its index. */
uint32_t mv_arm64_mpidr(unsigned index);

/* ---- image.c: without KVM ---- */

/* tables: bytes to keep free after the kernel for the device tree; their address becomes
 * entry.data.  Fills in *err on failure. */
int mv_arm64_load(struct mv_load *load, uint64_t tables, struct mv_error *err);

#endif
