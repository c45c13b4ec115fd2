/* SPDX-License-Identifier: MIT */
/*
 * Writes device trees: see fdt.h.  Properties follow the bindings in Linux's
 * Documentation/devicetree/bindings, which are named at each node.
 */
#include "boot/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"

static void keep(struct mv_fdt *fdt, int error)
{
    if (!fdt->error)
        fdt->error = error;
}

void mv_fdt_start(struct mv_fdt *fdt, void *to, uint64_t size)
{
    *fdt = (struct mv_fdt){.tree = to};
    keep(fdt, fdt_create(to, (int)mv_min(size, INT32_MAX)));
    keep(fdt, fdt->error ? 0 : fdt_finish_reservemap(to));
}

int64_t mv_fdt_finish(struct mv_fdt *fdt)
{
    keep(fdt, fdt->error ? 0 : fdt_finish(fdt->tree));
    return fdt->error ? -ENOSPC : (int64_t)fdt_totalsize(fdt->tree);
}

void mv_fdt_begin(struct mv_fdt *fdt, const char *name)
{
    keep(fdt, fdt->error ? 0 : fdt_begin_node(fdt->tree, name));
}

void mv_fdt_begin_at(struct mv_fdt *fdt, const char *name, uint64_t address)
{
    char full[64];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    mv_fdt_begin(fdt, full);
}

void mv_fdt_end(struct mv_fdt *fdt)
{
    keep(fdt, fdt->error ? 0 : fdt_end_node(fdt->tree));
}

void mv_fdt_put(struct mv_fdt *fdt, const char *name, const void *data, size_t size)
{
    keep(fdt, fdt->error ? 0 : fdt_property(fdt->tree, name, data, (int)size));
}

void mv_fdt_put_flag(struct mv_fdt *fdt, const char *name)
{
    mv_fdt_put(fdt, name, NULL, 0);
}

void mv_fdt_put_string(struct mv_fdt *fdt, const char *name, const char *value)
{
    mv_fdt_put(fdt, name, value, strlen(value) + 1);
}

void mv_fdt_put_cells(struct mv_fdt *fdt, const char *name, const uint32_t *cells, unsigned count)
{
    fdt32_t stored[16];

    for (unsigned i = 0; i < count; i++)
        stored[i] = cpu_to_fdt32(cells[i]);
    mv_fdt_put(fdt, name, stored, count * sizeof(stored[0]));
}

void mv_fdt_put_cell(struct mv_fdt *fdt, const char *name, uint32_t value)
{
    mv_fdt_put_cells(fdt, name, &value, 1);
}

void mv_fdt_put_pairs(struct mv_fdt *fdt, const char *name, const uint64_t *values, unsigned count)
{
    fdt64_t stored[8];

    for (unsigned i = 0; i < count; i++)
        stored[i] = cpu_to_fdt64(values[i]);
    mv_fdt_put(fdt, name, stored, count * sizeof(stored[0]));
}

/* chosen.yaml */
void mv_fdt_put_chosen(struct mv_fdt *fdt, const struct mv_fdt_chosen *chosen,
                       const struct mv_device *devices, unsigned count)
{
    const uint64_t initrd_end = chosen->initrd + chosen->initrd_size;

    mv_fdt_begin(fdt, "chosen");
    mv_fdt_put_string(fdt, "bootargs", chosen->append);
    for (unsigned i = 0; i < count; i++) {
        const struct mv_device_desc *desc = &devices[i].desc;
        char path[64];

        if (!desc->console || !desc->node)
            continue;
        snprintf(path, sizeof(path), "/%s@%llx", desc->node, (unsigned long long)desc->base);
        mv_fdt_put_string(fdt, "stdout-path", path);
    }
    if (chosen->initrd_size) {
        mv_fdt_put_pairs(fdt, "linux,initrd-start", &chosen->initrd, 1);
        mv_fdt_put_pairs(fdt, "linux,initrd-end", &initrd_end, 1);
    }
    mv_fdt_put(fdt, "rng-seed", chosen->seed, 64);
    mv_fdt_put(fdt, "kaslr-seed", chosen->seed + 64, 8);
    mv_fdt_end(fdt);
}

/* Devicetree Specification 0.4, 3.4 */
void mv_fdt_put_memory(struct mv_fdt *fdt, const struct mv_mem *mem)
{
    for (unsigned i = 0; i < mem->count; i++) {
        const struct mv_region *region = &mem->regions[i];

        mv_fdt_begin_at(fdt, "memory", region->base);
        mv_fdt_put_string(fdt, "device_type", "memory");
        mv_fdt_put_pairs(fdt, "reg", (const uint64_t[]){region->base, region->size}, 2);
        mv_fdt_end(fdt);
    }
}

/* The second string may be NULL. */
static void put_strings(struct mv_fdt *fdt, const char *name, const char *first, const char *second)
{
    size_t size = strlen(first) + 1, more = second ? strlen(second) + 1 : 0;
    void *room = NULL;

    keep(fdt,
         fdt->error ? 0 : fdt_property_placeholder(fdt->tree, name, (int)(size + more), &room));
    if (fdt->error)
        return;
    memcpy(room, first, size);
    if (second)
        memcpy((char *)room + size, second, more);
}

/* serial/8250.yaml, virtio/mmio.yaml, misc/pvpanic-mmio.txt, and our own */
void mv_fdt_begin_device(struct mv_fdt *fdt, const struct mv_device_desc *desc,
                         const char *fallback)
{
    mv_fdt_begin_at(fdt, desc->node, desc->base);
    put_strings(fdt, "compatible", desc->compatible, fallback);
    mv_fdt_put_pairs(fdt, "reg", (const uint64_t[]){desc->base, desc->bytes}, 2);
    if (desc->clock)
        mv_fdt_put_cell(fdt, "clock-frequency", desc->clock);
    if (desc->coherent)
        mv_fdt_put_flag(fdt, "dma-coherent");
}
