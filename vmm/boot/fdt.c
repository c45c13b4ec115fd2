/* SPDX-License-Identifier: MIT */
/*
 * Writes the flattened device tree (Devicetree Specification 0.4) by libfdt.
 * Properties are those of the bindings in Linux's Documentation/devicetree/bindings,
 * named beside each node.
 */
#include "boot/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"

enum {
    PHANDLE_GIC = 1,
    PHANDLE_CLOCK = 2,
    IRQ_SPI = 0, /* arm,gic-v3.yaml: the first of an interrupt's three cells */
    IRQ_PPI = 1,
    IRQ_EDGE = 1, /* the third: what a device's line does is an edge, as on x86-64 */
    IRQ_LEVEL_HIGH = 4,
    BUS_CLOCK = 24000000, /* Hz */
    BYTES_OF_A_CPU = 256, /* generously */
    BYTES_OF_THE_REST = 32 * 1024,
};

/* After an error nothing more is written, and it is kept. */
struct writer {
    void *fdt;
    int error;
};

static void keep(struct writer *w, int error)
{
    if (!w->error)
        w->error = error;
}

static void begin(struct writer *w, const char *name)
{
    keep(w, w->error ? 0 : fdt_begin_node(w->fdt, name));
}

/* "name@address" */
static void begin_at(struct writer *w, const char *name, uint64_t address)
{
    char full[64];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    begin(w, full);
}

static void end(struct writer *w)
{
    keep(w, w->error ? 0 : fdt_end_node(w->fdt));
}

static void put(struct writer *w, const char *name, const void *data, size_t size)
{
    keep(w, w->error ? 0 : fdt_property(w->fdt, name, data, (int)size));
}

static void put_flag(struct writer *w, const char *name)
{
    put(w, name, NULL, 0);
}

static void put_string(struct writer *w, const char *name, const char *value)
{
    put(w, name, value, strlen(value) + 1);
}

static void put_cells(struct writer *w, const char *name, const uint32_t *cells, unsigned count)
{
    fdt32_t stored[16];

    for (unsigned i = 0; i < count; i++)
        stored[i] = cpu_to_fdt32(cells[i]);
    put(w, name, stored, count * sizeof(stored[0]));
}

static void put32(struct writer *w, const char *name, uint32_t value)
{
    put_cells(w, name, &value, 1);
}

static void put64(struct writer *w, const char *name, uint64_t value)
{
    const uint32_t cells[] = {(uint32_t)(value >> 32), (uint32_t)value};

    put_cells(w, name, cells, 2);
}

/* Pairs of base and size, two cells each. */
static void put_reg(struct writer *w, const uint64_t *values, unsigned count)
{
    uint32_t cells[16];

    for (unsigned i = 0; i < count; i++) {
        cells[2 * i] = (uint32_t)(values[i] >> 32);
        cells[2 * i + 1] = (uint32_t)values[i];
    }
    put_cells(w, "reg", cells, 2 * count);
}

/* chosen.yaml */
static void write_chosen(struct writer *w, const struct mv_fdt *fdt)
{
    begin(w, "chosen");
    put_string(w, "bootargs", fdt->append);
    for (unsigned i = 0; i < fdt->count; i++) {
        const struct mv_device_desc *desc = &fdt->devices[i].desc;
        char path[64];

        if (!desc->console || !desc->node)
            continue;
        snprintf(path, sizeof(path), "/%s@%llx", desc->node, (unsigned long long)desc->base);
        put_string(w, "stdout-path", path);
    }
    if (fdt->initrd_size) {
        put64(w, "linux,initrd-start", fdt->initrd);
        put64(w, "linux,initrd-end", fdt->initrd + fdt->initrd_size);
    }
    put(w, "rng-seed", fdt->seed, 64);
    put(w, "kaslr-seed", fdt->seed + 64, 8);
    end(w);
}

uint32_t mv_fdt_mpidr(unsigned index)
{
    return (index & 0xf) | (index >> 4 & 0xff) << 8 | (index >> 12 & 0xff) << 16;
}

/* arm/cpus.yaml, arm/psci.yaml */
static void write_cpus(struct writer *w, unsigned cpus)
{
    static const char psci[] = "arm,psci-1.0\0arm,psci-0.2";

    begin(w, "cpus");
    put32(w, "#address-cells", 1);
    put32(w, "#size-cells", 0);
    for (unsigned i = 0; i < cpus; i++) {
        begin_at(w, "cpu", mv_fdt_mpidr(i));
        put_string(w, "device_type", "cpu");
        put_string(w, "compatible", "arm,armv8");
        put32(w, "reg", mv_fdt_mpidr(i));
        put_string(w, "enable-method", "psci");
        end(w);
    }
    end(w);
    begin(w, "psci");
    put(w, "compatible", psci, sizeof(psci));
    put_string(w, "method", "hvc");
    end(w);
}

static void write_memory(struct writer *w, const struct mv_mem *mem)
{
    for (unsigned i = 0; i < mem->count; i++) {
        begin_at(w, "memory", mem->regions[i].base);
        put_string(w, "device_type", "memory");
        put_reg(w, (const uint64_t[]){mem->regions[i].base, mem->regions[i].size}, 2);
        end(w);
    }
}

/* interrupt-controller/arm,gic-v3.yaml and arm,gic.yaml */
static void write_gic(struct writer *w, const struct mv_fdt *fdt)
{
    begin_at(w, "interrupt-controller", MV_GICD_GPA);
    put_string(w, "compatible", fdt->gic == 3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
    put32(w, "phandle", PHANDLE_GIC);
    put_flag(w, "interrupt-controller");
    put32(w, "#interrupt-cells", 3);
    put32(w, "#address-cells", 0);
    if (fdt->gic == 3)
        put_reg(
            w,
            (const uint64_t[]){MV_GICD_GPA, MV_GICD_SIZE, MV_GICR_GPA, fdt->cpus * MV_GICR_STRIDE},
            4);
    else
        put_reg(w, (const uint64_t[]){MV_GICD_GPA, MV_GICD_SIZE, MV_GICC_GPA, MV_GICC_SIZE}, 4);
    end(w);
}

/* timer/arm,arch_timer.yaml: the secure and the non-secure physical timer, the virtual
 * one, and the hypervisor's */
static void write_timer(struct writer *w, const struct mv_fdt *fdt)
{
    static const uint32_t lines[] = {13, 14, 11, 10};
    /* A GICv2 has a bit for each CPU that a private interrupt goes to. */
    uint32_t targets = fdt->gic == 2 ? ((1u << mv_min(fdt->cpus, 8)) - 1) << 8 : 0;
    uint32_t cells[3 * MV_COUNT(lines)];

    for (unsigned i = 0; i < MV_COUNT(lines); i++) {
        cells[3 * i] = IRQ_PPI;
        cells[3 * i + 1] = lines[i];
        cells[3 * i + 2] = targets | IRQ_LEVEL_HIGH;
    }
    begin(w, "timer");
    put_string(w, "compatible", "arm,armv8-timer");
    put_cells(w, "interrupts", cells, MV_COUNT(cells));
    put_flag(w, "always-on");
    end(w);
}

/* clock/fixed-clock.yaml: devices of the kind PrimeCell are driven by one */
static void write_clock(struct writer *w)
{
    begin(w, "bus-clock");
    put_string(w, "compatible", "fixed-clock");
    put32(w, "phandle", PHANDLE_CLOCK);
    put32(w, "#clock-cells", 0);
    put32(w, "clock-frequency", BUS_CLOCK);
    end(w);
}

/* arm/primecell.yaml, rtc/arm,pl031.yaml */
static void write_primecell(struct writer *w, const struct mv_device_desc *desc)
{
    char compatible[64 + sizeof("arm,primecell")];
    size_t size = (size_t)snprintf(compatible, 64, "%s", desc->compatible) + 1;

    memcpy(compatible + mv_min(size, 64), "arm,primecell", sizeof("arm,primecell"));
    put(w, "compatible", compatible, mv_min(size, 64) + sizeof("arm,primecell"));
    put32(w, "clocks", PHANDLE_CLOCK);
    put_string(w, "clock-names", "apb_pclk");
}

/* serial/8250.yaml, virtio/mmio.yaml, misc/pvpanic-mmio.txt, and ours */
static void write_device(struct writer *w, const struct mv_device_desc *desc)
{
    if (!desc->compatible)
        return;
    begin_at(w, desc->node, desc->base);
    if (desc->primecell)
        write_primecell(w, desc);
    else
        put_string(w, "compatible", desc->compatible);
    put_reg(w, (const uint64_t[]){desc->base, desc->bytes}, 2);
    if (desc->irq >= 0)
        put_cells(w, "interrupts", (const uint32_t[]){IRQ_SPI, (uint32_t)desc->irq, IRQ_EDGE}, 3);
    if (desc->clock)
        put32(w, "clock-frequency", desc->clock);
    if (desc->coherent)
        put_flag(w, "dma-coherent");
    end(w);
}

static void write_root(struct writer *w, const struct mv_fdt *fdt)
{
    begin(w, "");
    put_string(w, "model", "minivmm");
    put_string(w, "compatible", "linux,dummy-virt");
    put32(w, "#address-cells", 2);
    put32(w, "#size-cells", 2);
    put32(w, "interrupt-parent", PHANDLE_GIC);
    write_chosen(w, fdt);
    write_cpus(w, fdt->cpus);
    write_memory(w, fdt->mem);
    write_gic(w, fdt);
    write_timer(w, fdt);
    write_clock(w);
    for (unsigned i = 0; i < fdt->count; i++)
        write_device(w, &fdt->devices[i].desc);
    end(w);
}

uint64_t mv_fdt_room(unsigned cpus, const char *append)
{
    return mv_align_up(BYTES_OF_THE_REST + (uint64_t)cpus * BYTES_OF_A_CPU + strlen(append),
                       MV_PAGE_SIZE);
}

int64_t mv_fdt_write(const struct mv_fdt *fdt, void *to, uint64_t size)
{
    struct writer w = {.fdt = to};

    keep(&w, fdt_create(to, (int)mv_min(size, INT32_MAX)));
    keep(&w, w.error ? 0 : fdt_finish_reservemap(to));
    write_root(&w, fdt);
    keep(&w, w.error ? 0 : fdt_finish(to));
    return w.error ? -ENOSPC : (int64_t)fdt_totalsize(to);
}

uint64_t mv_fdt_size(const void *tree)
{
    return fdt_totalsize(tree);
}
