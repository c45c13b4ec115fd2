/* SPDX-License-Identifier: MIT */
/* What the files of this architecture share. */
#ifndef MV_ARM64_H
#define MV_ARM64_H

#include <stddef.h>

#include "arch/arch.h"
#include "boot/boot.h"
#include "boot/fdt.h"

/* What the device tree says. */
struct mv_arm64_tree {
    const struct mv_mem *mem;
    const struct mv_device *devices;
    unsigned count;
    unsigned cpus;
    unsigned gic; /* its version: 2 or 3 */
    struct mv_fdt_chosen chosen;
};

struct mv_arch {
    bool bare;
    mv_gpa mmu_table; /* of a flat binary with the MMU on */
    struct mv_entry entry;
    struct mv_arm64_tree tree; /* complete once the GIC is known */
    uint64_t tree_room;        /* bytes that are kept free for it */
    char *append;              /* its command line */
    int gic;                   /* the GIC's file descriptor, -1: none yet */
    uint32_t target;           /* the kind of vCPU, for KVM_ARM_VCPU_INIT */
    uint32_t features;         /* bits for all vCPUs: of kvm_vcpu_init.features[0] */
};

/* ---- tree.c: without KVM ---- */

/* The most bytes that the tree can take. */
uint64_t mv_arm64_tree_room(unsigned cpus, const char *append);

/* Writes it into size bytes at `to`, 8-byte aligned.  Returns how many it takes, or
 * -ENOSPC. */
int64_t mv_arm64_tree_write(const struct mv_arm64_tree *tree, void *to, uint64_t size);

/* A vCPU's affinity (MPIDR_EL1), which KVM derives from its index. */
uint32_t mv_arm64_mpidr(unsigned index);

/* ---- image.c: without KVM ---- */

/* tables: bytes to be kept free behind the kernel for the device tree, whose place becomes
 * entry.data.  Explains every failure. */
int mv_arm64_load(struct mv_load *load, uint64_t tables, struct mv_error *err);

#endif
