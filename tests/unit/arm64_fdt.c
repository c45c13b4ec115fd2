/* SPDX-License-Identifier: MIT */
/* The device tree: nodes and properties as the bindings want them (Devicetree
 * Specification 0.4; Linux's Documentation/devicetree/bindings). */
#include <criterion/criterion.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "arm64.h"
#include "fdt_devices.h"

static struct mv_mem memory = {.regions = {{.base = MV_RAM_GPA, .size = 6 * MV_GIB}}, .count = 1};
static struct mv_arm64_tree given;
static uint64_t tree[256 * 1024 / 8];

static void write_tree(void)
{
    cr_assert_gt(
        mv_arm64_tree_write(&given, tree, mv_arm64_tree_room(given.cpus, given.chosen.append)), 0);
    cr_assert_eq(fdt_check_full(tree, sizeof(tree)), 0);
}

static void start(void)
{
    given = (struct mv_arm64_tree){
        .mem = &memory,
        .devices = fdt_devices,
        .count = MV_COUNT(fdt_devices),
        .cpus = 4,
        .gic = 3,
        .chosen = {.append = "console=ttyS0 quiet",
                   .initrd = MV_RAM_GPA + 0x1000000,
                   .initrd_size = 12345},
    };
    for (unsigned i = 0; i < sizeof(given.chosen.seed); i++)
        given.chosen.seed[i] = (uint8_t)(i + 1);
    write_tree();
}

TestSuite(arm64_fdt, .init = start);

static int node(const char *path)
{
    int offset = fdt_path_offset(tree, path);

    cr_assert_geq(offset, 0, "there is no %s", path);
    return offset;
}

static const void *property(const char *path, const char *name, int *ret_length)
{
    const void *value = fdt_getprop(tree, node(path), name, ret_length);

    cr_assert_not_null(value, "%s has no %s", path, name);
    return value;
}

static void expect_string(const char *path, const char *name, const char *wanted)
{
    int length;

    cr_expect_str_eq(property(path, name, &length), wanted, "%s of %s", name, path);
}

static void expect_cells(const char *path, const char *name, const uint32_t *wanted, int count)
{
    int length;
    const uint8_t *value = property(path, name, &length);

    cr_assert_eq(length, 4 * count, "%s of %s has %d bytes", name, path, length);
    for (int i = 0; i < count; i++)
        cr_expect_eq(fdt32_ld((const fdt32_t *)(const void *)(value + 4 * i)), wanted[i],
                     "%s of %s, cell %d", name, path, i);
}

#define EXPECT_CELLS(path, name, ...)                         \
    expect_cells(path, name, (const uint32_t[]){__VA_ARGS__}, \
                 (int)MV_COUNT(((const uint32_t[]){__VA_ARGS__})))

Test(arm64_fdt, every_node_has_what_its_binding_requires)
{
    static const struct {
        const char *path, *properties[8];
    } required[] = {
        {"/", {"model", "compatible", "#address-cells", "#size-cells", "interrupt-parent"}},
        {"/chosen", {"bootargs", "stdout-path", "rng-seed", "kaslr-seed"}},
        {"/cpus", {"#address-cells", "#size-cells"}},
        {"/cpus/cpu@0", {"device_type", "compatible", "reg", "enable-method"}},
        {"/cpus/cpu@3", {"device_type", "compatible", "reg", "enable-method"}},
        {"/psci", {"compatible", "method"}},
        {"/memory@40000000", {"device_type", "reg"}},
        {"/interrupt-controller@8000000",
         {"compatible", "reg", "interrupt-controller", "#interrupt-cells", "phandle"}},
        {"/timer", {"compatible", "interrupts"}},
        {"/serial@1000000", {"compatible", "reg", "interrupts", "clock-frequency"}},
        {"/exit@1010000", {"compatible", "reg"}},
        {"/bus-clock", {"compatible", "phandle", "#clock-cells", "clock-frequency"}},
        {"/rtc@1040000", {"compatible", "reg", "clocks", "clock-names"}},
        {"/virtio@2000000", {"compatible", "reg", "interrupts", "dma-coherent"}},
        {"/virtio@2001000", {"compatible", "reg", "interrupts", "dma-coherent"}},
    };

    for (unsigned i = 0; i < MV_COUNT(required); i++)
        for (unsigned j = 0; required[i].properties[j]; j++) {
            int length;

            property(required[i].path, required[i].properties[j], &length);
        }
}

Test(arm64_fdt, what_is_not_listed_is_not_there)
{
    int count = 0, offset;

    fdt_for_each_subnode(offset, tree, 0) count++;
    /* chosen, cpus, psci, memory, interrupt controller, timer, clock, and five devices */
    cr_expect_eq(count, 12, "%d nodes", count);
}

Test(arm64_fdt, the_values_are_the_machines)
{
    EXPECT_CELLS("/", "#address-cells", 2);
    EXPECT_CELLS("/", "#size-cells", 2);
    EXPECT_CELLS("/", "interrupt-parent", 1);
    expect_string("/chosen", "bootargs", "console=ttyS0 quiet");
    expect_string("/chosen", "stdout-path", "/serial@1000000");
    EXPECT_CELLS("/chosen", "linux,initrd-start", 0, 0x41000000);
    EXPECT_CELLS("/chosen", "linux,initrd-end", 0, 0x41000000 + 12345);
    expect_string("/cpus/cpu@2", "enable-method", "psci");
    EXPECT_CELLS("/cpus/cpu@2", "reg", 2);
    expect_string("/psci", "compatible", "arm,psci-1.0");
    expect_string("/psci", "method", "hvc");
    expect_string("/memory@40000000", "device_type", "memory");
    EXPECT_CELLS("/memory@40000000", "reg", 0, 0x40000000, 1, 0x80000000);
    EXPECT_CELLS("/interrupt-controller@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x10000000, 0,
                 0x80000);
    EXPECT_CELLS("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
    expect_string("/serial@1000000", "compatible", "ns16550a");
    EXPECT_CELLS("/serial@1000000", "reg", 0, 0x1000000, 0, 8);
    EXPECT_CELLS("/serial@1000000", "interrupts", 0, 0, 1);
    expect_string("/rtc@1040000", "compatible", "arm,pl031");
    EXPECT_CELLS("/rtc@1040000", "clocks", 2);
    expect_string("/rtc@1040000", "clock-names", "apb_pclk");
    expect_string("/virtio@2001000", "compatible", "virtio,mmio");
    EXPECT_CELLS("/virtio@2001000", "reg", 0, 0x2001000, 0, 0x200);
    EXPECT_CELLS("/virtio@2001000", "interrupts", 0, 17, 1);
}

Test(arm64_fdt, the_guest_gets_random_bytes)
{
    int length;

    cr_expect_eq(memcmp(property("/chosen", "rng-seed", &length), given.chosen.seed, 64), 0);
    cr_expect_eq(length, 64);
    cr_expect_eq(memcmp(property("/chosen", "kaslr-seed", &length), given.chosen.seed + 64, 8), 0);
    cr_expect_eq(length, 8);
}

Test(arm64_fdt, without_an_initrd_none_is_named)
{
    int length;

    given.chosen.initrd_size = 0;
    write_tree();
    cr_expect_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-start", &length));
    cr_expect_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-end", &length));
}

Test(arm64_fdt, a_gicv2_has_a_cpu_interface_and_targets)
{
    given.gic = 2;
    given.cpus = 3;
    write_tree();
    expect_string("/interrupt-controller@8000000", "compatible", "arm,cortex-a15-gic");
    EXPECT_CELLS("/interrupt-controller@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0,
                 0x2000);
    EXPECT_CELLS("/timer", "interrupts", 1, 13, 0x704, 1, 14, 0x704, 1, 11, 0x704, 1, 10, 0x704);
}

/* KVM: virt/kvm/arm64/sys_regs.c, reset_mpidr */
Test(arm64_fdt, cpus_are_numbered_as_kvm_does)
{
    cr_expect_eq(mv_arm64_mpidr(0), 0);
    cr_expect_eq(mv_arm64_mpidr(15), 15);
    cr_expect_eq(mv_arm64_mpidr(16), 0x100);
    cr_expect_eq(mv_arm64_mpidr(511), 0x1f0f);
    cr_expect_eq(mv_arm64_mpidr(4096), 0x10000);
    given.cpus = 18;
    write_tree();
    EXPECT_CELLS("/cpus/cpu@101", "reg", 0x101);
}

Test(arm64_fdt, the_room_is_enough_and_less_is_refused)
{
    char append[2048];

    memset(append, 'a', sizeof(append));
    append[sizeof(append) - 1] = '\0';
    given.chosen.append = append;
    given.cpus = 512;
    cr_assert_leq(mv_arm64_tree_room(512, append), sizeof(tree));
    write_tree();
    for (uint64_t size = 0; size < 8192; size += 8)
        cr_expect_eq(mv_arm64_tree_write(&given, tree, size), -ENOSPC, "%llu",
                     (unsigned long long)size);
}
