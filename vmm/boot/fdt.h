/* SPDX-License-Identifier: MIT */
/*
 * Writes a flattened device tree (Devicetree Specification 0.4), by libfdt.  Here are the nodes
 * that any machine has; an architecture adds its own, and puts them in order.
 */
#ifndef MV_BOOT_FDT_H
#define MV_BOOT_FDT_H

#include "core/bus.h"
#include "core/memory.h"

/* A tree being written.  After an error nothing more is written. */
struct mv_fdt {
    void *tree;
    int error; /* libfdt's first one, or 0 */
};

/* Starts one in size bytes at `to`, 8-byte aligned. */
void mv_fdt_start(struct mv_fdt *fdt, void *to, uint64_t size);

/* Returns how many bytes the complete tree takes, or -ENOSPC. */
int64_t mv_fdt_finish(struct mv_fdt *fdt);

/* A node, from begin to end: "name", or "name@address". */
void mv_fdt_begin(struct mv_fdt *fdt, const char *name);
void mv_fdt_begin_at(struct mv_fdt *fdt, const char *name, uint64_t address);
void mv_fdt_end(struct mv_fdt *fdt);

/* Properties of the node.  A cell is a big-endian number of 32 bits; at most 16 of them. */
void mv_fdt_put(struct mv_fdt *fdt, const char *name, const void *data, size_t size);
void mv_fdt_put_flag(struct mv_fdt *fdt, const char *name);
void mv_fdt_put_string(struct mv_fdt *fdt, const char *name, const char *value);
void mv_fdt_put_cells(struct mv_fdt *fdt, const char *name, const uint32_t *cells, unsigned count);
void mv_fdt_put_cell(struct mv_fdt *fdt, const char *name, uint32_t value);

/* Numbers of two cells each, at most 8 of them: addresses and sizes. */
void mv_fdt_put_pairs(struct mv_fdt *fdt, const char *name, const uint64_t *values, unsigned count);

/* What /chosen says. */
struct mv_fdt_chosen {
    const char *append; /* command line */
    mv_gpa initrd;
    uint64_t initrd_size; /* bytes; 0: none */
    uint8_t seed[64 + 8]; /* random: for the guest's generator, and where its kernel goes */
};

/* The whole node; the console is the device that says that it is one. */
void mv_fdt_put_chosen(struct mv_fdt *fdt, const struct mv_fdt_chosen *chosen,
                       const struct mv_device *devices, unsigned count);

/* A node for each region. */
void mv_fdt_put_memory(struct mv_fdt *fdt, const struct mv_mem *mem);

/* Begins a device's node, with all that does not depend on its interrupt controller.
 * fallback: a second, more general "compatible", or NULL. */
void mv_fdt_begin_device(struct mv_fdt *fdt, const struct mv_device_desc *desc,
                         const char *fallback);

#endif
