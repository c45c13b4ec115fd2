/* SPDX-License-Identifier: MIT */
/* fdt-dump CPUS GIC: writes a device tree to the standard output, for fdt_compiles. */
#include <stdio.h>
#include <stdlib.h>

#include "boot/fdt.h"
#include "layout.h"

int main(int argc, char **argv)
{
    static const struct mv_device devices[] = {
        {.desc = {.name = "serial0",
                  .compatible = "ns16550a",
                  .node = "serial",
                  .space = MV_SPACE_MMIO,
                  .base = MV_SERIAL_BASE,
                  .bytes = 8,
                  .irq = MV_SERIAL_IRQ,
                  .clock = 1843200,
                  .console = true}},
        {.desc = {.name = "exit",
                  .compatible = "minivmm,exit",
                  .node = "exit",
                  .space = MV_SPACE_MMIO,
                  .base = MV_EXIT_BASE,
                  .bytes = 1,
                  .irq = MV_NO_IRQ}},
        {.desc = {.name = "rtc",
                  .compatible = "arm,pl031",
                  .node = "rtc",
                  .space = MV_SPACE_MMIO,
                  .base = MV_RTC_BASE,
                  .bytes = 0x1000,
                  .irq = MV_NO_IRQ,
                  .primecell = true}},
        {.desc = {.name = "vda",
                  .compatible = "virtio,mmio",
                  .node = "virtio",
                  .space = MV_SPACE_MMIO,
                  .base = MV_VIRTIO_BASE,
                  .bytes = 0x200,
                  .irq = 16,
                  .coherent = true}},
    };
    const struct mv_mem mem = {.regions = {{.base = MV_RAM_GPA, .size = MV_GIB}}, .count = 1};
    struct mv_fdt fdt = {
        .mem = &mem,
        .devices = devices,
        .count = MV_COUNT(devices),
        .cpus = argc > 1 ? (unsigned)atoi(argv[1]) : 1,
        .gic = argc > 2 ? (unsigned)atoi(argv[2]) : 3,
        .append = "console=ttyS0",
        .initrd = MV_RAM_GPA + 0x4000000,
        .initrd_size = 0x1000,
    };
    uint64_t room = mv_fdt_room(fdt.cpus, fdt.append);
    void *tree = malloc(room);
    int64_t size = tree ? mv_fdt_write(&fdt, tree, room) : -1;

    bool good = size > 0 && fwrite(tree, (size_t)size, 1, stdout) == 1;

    free(tree);
    return good ? 0 : 1;
}
