/* SPDX-License-Identifier: MIT */
/*
 * The device tree of this machine: what boot/fdt.h writes for any, and what is specific to arm64:
 * CPUs, PSCI, the GIC, its interrupts, the generic timer, and the clock of Arm's PrimeCells.  Each
 * node names its binding (Linux's Documentation/devicetree/bindings).
 */
#include <string.h>

#include "arm64.h"
#include "layout.h"

enum {
    PHANDLE_GIC = 1,
    PHANDLE_CLOCK = 2,
    IRQ_SPI = 0, /* arm,gic-v3.yaml: the first of an interrupt's three cells */
    IRQ_PPI = 1,
    IRQ_EDGE = 1, /* the third: devices' lines are edge-triggered, as on x86-64 */
    IRQ_LEVEL_HIGH = 4,
    BUS_CLOCK = 24000000, /* Hz */
    BYTES_OF_A_CPU = 256, /* a generous estimate */
    BYTES_OF_THE_REST = 32 * 1024,
};

uint32_t mv_arm64_mpidr(unsigned index)
{
    return (index & 0xf) | (index >> 4 & 0xff) << 8 | (index >> 12 & 0xff) << 16;
}

/* arm/cpus.yaml, arm/psci.yaml */
static void put_cpus(struct mv_fdt *fdt, unsigned cpus)
{
    static const char psci[] = "arm,psci-1.0\0arm,psci-0.2";

    mv_fdt_begin(fdt, "cpus");
    mv_fdt_put_cell(fdt, "#address-cells", 1);
    mv_fdt_put_cell(fdt, "#size-cells", 0);
    for (unsigned i = 0; i < cpus; i++) {
        mv_fdt_begin_at(fdt, "cpu", mv_arm64_mpidr(i));
        mv_fdt_put_string(fdt, "device_type", "cpu");
        mv_fdt_put_string(fdt, "compatible", "arm,armv8");
        mv_fdt_put_cell(fdt, "reg", mv_arm64_mpidr(i));
        mv_fdt_put_string(fdt, "enable-method", "psci");
        mv_fdt_end(fdt);
    }
    mv_fdt_end(fdt);
    mv_fdt_begin(fdt, "psci");
    mv_fdt_put(fdt, "compatible", psci, sizeof(psci));
    mv_fdt_put_string(fdt, "method", "hvc");
    mv_fdt_end(fdt);
}

/* interrupt-controller/arm,gic-v3.yaml and arm,gic.yaml */
static void put_gic(struct mv_fdt *fdt, const struct mv_arm64_tree *tree)
{
    const uint64_t v3[] = {MV_GICD_GPA, MV_GICD_SIZE, MV_GICR_GPA, tree->cpus * MV_GICR_STRIDE};
    const uint64_t v2[] = {MV_GICD_GPA, MV_GICD_SIZE, MV_GICC_GPA, MV_GICC_SIZE};

    mv_fdt_begin_at(fdt, "interrupt-controller", MV_GICD_GPA);
    mv_fdt_put_string(fdt, "compatible", tree->gic == 3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
    mv_fdt_put_cell(fdt, "phandle", PHANDLE_GIC);
    mv_fdt_put_flag(fdt, "interrupt-controller");
    mv_fdt_put_cell(fdt, "#interrupt-cells", 3);
    mv_fdt_put_cell(fdt, "#address-cells", 0);
    mv_fdt_put_pairs(fdt, "reg", tree->gic == 3 ? v3 : v2, 4);
    mv_fdt_end(fdt);
}

/* timer/arm,arch_timer.yaml: secure physical, non-secure physical, virtual and hypervisor timer */
static void put_timer(struct mv_fdt *fdt, const struct mv_arm64_tree *tree)
{
    static const uint32_t lines[] = {13, 14, 11, 10};
    /* On a GICv2, a bit for each CPU that a private interrupt goes to. */
    uint32_t targets = tree->gic == 2 ? ((1u << mv_min(tree->cpus, 8)) - 1) << 8 : 0;
    uint32_t cells[3 * MV_COUNT(lines)];

    for (unsigned i = 0; i < MV_COUNT(lines); i++) {
        cells[3 * i] = IRQ_PPI;
        cells[3 * i + 1] = lines[i];
        cells[3 * i + 2] = targets | IRQ_LEVEL_HIGH;
    }
    mv_fdt_begin(fdt, "timer");
    mv_fdt_put_string(fdt, "compatible", "arm,armv8-timer");
    mv_fdt_put_cells(fdt, "interrupts", cells, MV_COUNT(cells));
    mv_fdt_put_flag(fdt, "always-on");
    mv_fdt_end(fdt);
}

/* clock/fixed-clock.yaml: drives the PrimeCells */
static void put_clock(struct mv_fdt *fdt)
{
    mv_fdt_begin(fdt, "bus-clock");
    mv_fdt_put_string(fdt, "compatible", "fixed-clock");
    mv_fdt_put_cell(fdt, "phandle", PHANDLE_CLOCK);
    mv_fdt_put_cell(fdt, "#clock-cells", 0);
    mv_fdt_put_cell(fdt, "clock-frequency", BUS_CLOCK);
    mv_fdt_end(fdt);
}

/* arm/primecell.yaml, rtc/arm,pl031.yaml */
static void put_device(struct mv_fdt *fdt, const struct mv_device_desc *desc)
{
    const uint32_t interrupt[] = {IRQ_SPI, (uint32_t)desc->irq, IRQ_EDGE};

    if (!desc->compatible)
        return;
    mv_fdt_begin_device(fdt, desc, desc->primecell ? "arm,primecell" : NULL);
    if (desc->irq >= 0)
        mv_fdt_put_cells(fdt, "interrupts", interrupt, MV_COUNT(interrupt));
    if (desc->primecell) {
        mv_fdt_put_cell(fdt, "clocks", PHANDLE_CLOCK);
        mv_fdt_put_string(fdt, "clock-names", "apb_pclk");
    }
    mv_fdt_end(fdt);
}

uint64_t mv_arm64_tree_room(unsigned cpus, const char *append)
{
    return mv_align_up(BYTES_OF_THE_REST + (uint64_t)cpus * BYTES_OF_A_CPU + strlen(append),
                       MV_PAGE_SIZE);
}

int64_t mv_arm64_tree_write(const struct mv_arm64_tree *tree, void *to, uint64_t size)
{
    struct mv_fdt fdt;

    mv_fdt_start(&fdt, to, size);
    mv_fdt_begin(&fdt, "");
    mv_fdt_put_string(&fdt, "model", "minivmm");
    mv_fdt_put_string(&fdt, "compatible", "linux,dummy-virt");
    mv_fdt_put_cell(&fdt, "#address-cells", 2);
    mv_fdt_put_cell(&fdt, "#size-cells", 2);
    mv_fdt_put_cell(&fdt, "interrupt-parent", PHANDLE_GIC);
    mv_fdt_put_chosen(&fdt, &tree->chosen, tree->devices, tree->count);
    put_cpus(&fdt, tree->cpus);
    mv_fdt_put_memory(&fdt, tree->mem);
    put_gic(&fdt, tree);
    put_timer(&fdt, tree);
    put_clock(&fdt);
    for (unsigned i = 0; i < tree->count; i++)
        put_device(&fdt, &tree->devices[i].desc);
    mv_fdt_end(&fdt);
    return mv_fdt_finish(&fdt);
}
