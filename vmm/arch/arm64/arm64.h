/* SPDX-License-Identifier: MIT */
/* What the files of this architecture share. */
#ifndef MV_ARM64_H
#define MV_ARM64_H

#include <stddef.h>

#include "arch/arch.h"
#include "boot/boot.h"
#include "boot/fdt.h"

struct mv_arch {
    bool bare;
    mv_gpa mmu_table; /* of a flat binary with the MMU on */
    struct mv_entry entry;
    struct mv_fdt fdt; /* complete once the GIC is known */
    char *append;      /* its command line */
    int gic;           /* the GIC's file descriptor, -1: none yet */
    uint32_t target;   /* the kind of vCPU, for KVM_ARM_VCPU_INIT */
    uint32_t features; /* bits for all vCPUs: of kvm_vcpu_init.features[0] */
};

#endif
