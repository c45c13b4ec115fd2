/* SPDX-License-Identifier: MIT */
/* The device tree: what the guest is told of an arm64 machine. */
#ifndef MV_BOOT_FDT_H
#define MV_BOOT_FDT_H

#include "core/bus.h"
#include "core/memory.h"

struct mv_fdt {
    const struct mv_mem *mem;
    const struct mv_device *devices;
    unsigned count;
    unsigned cpus;
    unsigned gic;       /* its version: 2 or 3 */
    const char *append; /* command line */
    mv_gpa initrd;
    uint64_t initrd_size; /* bytes; 0: none */
    uint8_t seed[64 + 8]; /* random: for the guest's generator, and where its kernel goes */
};

/* How many bytes the tree needs at most. */
uint64_t mv_fdt_room(unsigned cpus, const char *append);

/* Writes it into size bytes at `to`, 8-byte aligned.  Returns how many it takes, or
 * -ENOSPC. */
int64_t mv_fdt_write(const struct mv_fdt *fdt, void *to, uint64_t size);

/* How many bytes the tree at `tree` has. */
uint64_t mv_fdt_size(const void *tree);

/* The address of a vCPU (MPIDR_EL1, affinity fields), as KVM gives it out by its index. */
uint32_t mv_fdt_mpidr(unsigned index);

#endif
