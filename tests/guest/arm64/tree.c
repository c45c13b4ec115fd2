/* SPDX-License-Identifier: MIT */
/*
 * The device tree (bindings: Linux, Documentation/devicetree): cpus=N CPUs, the memory,
 * the interrupt controller, the timer, PSCI, the serial port, pvpanic, the exit status,
 * the boot timer, and a virtio node for each of disks=N disks, each as it is there.
 */
#include "fdt_read.h"
#include "runtime.h"

enum { SPI = 0, PPI = 1, EDGE = 1, LEVEL = 4 };

static unsigned cpus, memories, gics, timers, psci_nodes, serials, panics, exits, boot_timers,
    disks;
static uint64_t gic_handle, last_cpu;

static uint64_t number(struct fdt_node node, const char *name, uint32_t index, uint32_t size)
{
    struct fdt_value value = fdt_property(node, name);

    check(value.data != NULL);
    check((index + 1) * size <= value.size);
    return fdt_number(value.data + index * size, size);
}

static bool has_text(struct fdt_node node, const char *name, const char *text)
{
    struct fdt_value value = fdt_property(node, name);

    return value.data && value.size == length(text) + 1 && same(value.data, text, value.size);
}

/* One interrupt of three cells. */
static void check_interrupt(struct fdt_node node, uint32_t index, unsigned kind, unsigned line)
{
    unsigned flags = kind == SPI ? EDGE : LEVEL;

    check_equal(number(node, "interrupts", 3 * index, 4), kind);
    check_equal(number(node, "interrupts", 3 * index + 1, 4), line);
    check_equal(number(node, "interrupts", 3 * index + 2, 4) & 0xf, flags);
}

static void check_root(struct fdt_node root)
{
    check_equal(number(root, "#address-cells", 0, 4), 2);
    check_equal(number(root, "#size-cells", 0, 4), 2);
    check(fdt_property(root, "model").data != NULL);
    gic_handle = number(root, "interrupt-parent", 0, 4);
}

static void check_cpu_node(struct fdt_node node)
{
    uint64_t address = number(node, "reg", 0, 4);

    check(has_text(node, "enable-method", "psci"));
    check(cpus == 0 || address > last_cpu); /* so no two are the same */
    check_equal(address, (cpus & 0xf) | cpus >> 4 << 8);
    last_cpu = address;
    cpus++;
}

static void check_gic(struct fdt_node node)
{
    gics++;
    check_equal(number(node, "phandle", 0, 4), gic_handle);
    check_equal(number(node, "#interrupt-cells", 0, 4), 3);
    check(fdt_property(node, "interrupt-controller").data != NULL);
    check_equal(number(node, "reg", 0, 8), GICD_BASE);
    check_equal(number(node, "reg", 2, 8), gic_version == 3 ? GICR_BASE : GICC_BASE);
    if (gic_version == 3)
        check_equal(number(node, "reg", 3, 8), 0x20000 * option("cpus", 1));
}

static void check_timer(struct fdt_node node)
{
    timers++;
    check_interrupt(node, 1, PPI, PHYSICAL_TIMER - FIRST_PPI);
    check_interrupt(node, 2, PPI, VIRTUAL_TIMER - FIRST_PPI);
    check(fdt_property(node, "always-on").data != NULL);
}

static void check_device(struct fdt_node node, unsigned *count, uint64_t base, uint64_t size)
{
    ++*count;
    check_equal(number(node, "reg", 0, 8), base);
    check_equal(number(node, "reg", 1, 8), size);
}

static void check_virtio(struct fdt_node node)
{
    uint64_t base = number(node, "reg", 0, 8);
    unsigned slot = (unsigned)(base - SLOT_BASE) / 0x1000;

    check(slot < 16);
    check(number(node, "reg", 1, 8) >= 0x200);
    check_interrupt(node, 0, SPI, slot_line(slot));
    check(fdt_property(node, "dma-coherent").data != NULL);
    check_equal(read32(base), 0x74726976);
    disks++;
}

static void check_node(struct fdt_node node)
{
    if (fdt_has_type(node, "cpu"))
        check_cpu_node(node);
    else if (fdt_has_type(node, "memory"))
        memories++;
    else if (fdt_property(node, "interrupt-controller").data)
        check_gic(node);
    else if (fdt_is_compatible(node, "arm,armv8-timer"))
        check_timer(node);
    else if (fdt_is_compatible(node, "arm,psci-0.2"))
        psci_nodes += has_text(node, "method", "hvc");
    else if (fdt_is_compatible(node, "qemu,pvpanic-mmio"))
        check_device(node, &panics, PANIC, 1);
    else if (fdt_is_compatible(node, "minivmm,exit"))
        check_device(node, &exits, EXIT, 1);
    else if (fdt_is_compatible(node, "minivmm,boot-timer"))
        check_device(node, &boot_timers, BOOT_TIMER, 1);
    else if (fdt_is_compatible(node, "virtio,mmio"))
        check_virtio(node);
    else if (fdt_is_compatible(node, "ns16550a")) {
        check_device(node, &serials, SERIAL, 8);
        check_interrupt(node, 0, SPI, SERIAL_LINE);
        check(number(node, "clock-frequency", 0, 4) > 0);
    }
}

void test(void)
{
    struct fdt_node node = fdt_first((const void *)boot.tables);

    check_root(node);
    for (; node.at; node = fdt_next(node))
        check_node(node);
    check_equal(cpus, option("cpus", 1));
    check_equal(disks, option("disks", 0));
    check_equal(memories, 1);
    check_equal(gics, 1);
    check_equal(timers, 1);
    check_equal(psci_nodes, 1);
    check_equal(serials, 1);
    check_equal(panics, 1);
    check_equal(exits, 1);
    check_equal(boot_timers, 1);
}
