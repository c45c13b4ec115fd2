/* SPDX-License-Identifier: MIT */
/*
 * Reads a flattened device tree (Devicetree Specification 0.4, chapter 5), as far
 * as a guest of ours needs it.  The tree is believed: it comes from the loader.
 */
#ifndef GUEST_FDT_H
#define GUEST_FDT_H

#include <stdbool.h>
#include <stdint.h>

struct fdt_node {
    const uint8_t *tree; /* it belongs to */
    const uint8_t *at;   /* its token; NULL: there are no more */
    const char *name;    /* with the address: "cpu@0" */
};

struct fdt_value {
    const uint8_t *data; /* NULL: there is no such property */
    uint32_t size;
};

bool fdt_is_one(const void *tree);
uint32_t fdt_size(const void *tree);

/* All nodes, one after the other: the root, and each before those in it. */
struct fdt_node fdt_first(const void *tree);
struct fdt_node fdt_next(struct fdt_node node);

/* Is it called so, the address aside? */
bool fdt_is_named(struct fdt_node node, const char *name);

struct fdt_value fdt_property(struct fdt_node node, const char *name);

/* Is its device_type this? */
bool fdt_has_type(struct fdt_node node, const char *type);

/* Does its compatible property have this word? */
bool fdt_is_compatible(struct fdt_node node, const char *word);

/* A number of one or two cells, the whole property or a part of it. */
uint64_t fdt_number(const uint8_t *from, uint32_t size);

#endif
