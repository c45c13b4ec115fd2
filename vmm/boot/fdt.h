/* SPDX-License-Identifier: MIT */
/*
 * Writes a flattened device tree (Devicetree Specification 0.4) with libfdt.  The functions here
 * write the nodes that any machine has; an architecture adds its own, and decides the order.
 */
#ifndef MV_BOOT_FDT_H
#define MV_BOOT_FDT_H

#include "core/bus.h"
#include "core/memory.h"

/* A tree being written.  After an error, further calls write nothing. */
struct mv_fdt {
    void *tree;
    int error; /* libfdt's first error, or 0 */
};

/* Starts a tree in size bytes at `to`, 8-byte aligned. */
void mv_fdt_start(struct mv_fdt *fdt, void *to, uint64_t size);

/* Completes the tree and returns its size in bytes, or -ENOSPC. */
int64_t mv_fdt_finish(struct mv_fdt *fdt);

/* Begin and end a node: "name", or "name@address". */
void mv_fdt_begin(struct mv_fdt *fdt, const char *name);
void mv_fdt_begin_at(struct mv_fdt *fdt, const char *name, uint64_t address);
void mv_fdt_end(struct mv_fdt *fdt);

/* Add a property to the node.  A cell is a big-endian 32-bit number; at most 16 per property. */
void mv_fdt_put(struct mv_fdt *fdt, const char *name, const void *data, size_t size);
void mv_fdt_put_flag(struct mv_fdt *fdt, const char *name);
void mv_fdt_put_string(struct mv_fdt *fdt, const char *name, const char *value);
void mv_fdt_put_cells(struct mv_fdt *fdt, const char *name, const uint32_t *cells, unsigned count);
void mv_fdt_put_cell(struct mv_fdt *fdt, const char *name, uint32_t value);

/* Adds numbers of two cells each, such as addresses and sizes; at most 8. */
void mv_fdt_put_pairs(struct mv_fdt *fdt, const char *name, const uint64_t *values, unsigned count);

/* The contents of /chosen. */
struct mv_fdt_chosen {
    const char *append; /* command line */
    mv_gpa initrd;
    uint64_t initrd_size; /* bytes; 0: none */
    uint8_t seed[64 + 8]; /* random: rng-seed, then 8 bytes of kaslr-seed */
};

/* Writes the whole node.  The console is the device whose description says so. */
void mv_fdt_put_chosen(struct mv_fdt *fdt, const struct mv_fdt_chosen *chosen,
                       const struct mv_device *devices, unsigned count);

/* Writes one node per region. */
void mv_fdt_put_memory(struct mv_fdt *fdt, const struct mv_mem *mem);

/* Begins a device's node, with all properties that do not depend on the interrupt controller.
 * fallback: a second, more general "compatible", or NULL. */
void mv_fdt_begin_device(struct mv_fdt *fdt, const struct mv_device_desc *desc,
                         const char *fallback);

#endif
