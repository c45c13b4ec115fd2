/* SPDX-License-Identifier: MIT */
/* fdt-dump CPUS GIC: writes a device tree to the standard output, for fdt_compiles. */
#include <stdio.h>
#include <stdlib.h>

#include "boot/fdt.h"
#include "layout.h"

int main(int argc, char **argv)
{
    static const struct mv_device devices[] = {
        {.desc = {"serial0", "ns16550a", "serial", NULL, NULL, MV_SPACE_MMIO, MV_SERIAL_BASE, 8,
                  MV_SERIAL_IRQ}},
        {.desc = {"exit", "minivmm,exit", "exit", NULL, NULL, MV_SPACE_MMIO, MV_EXIT_BASE, 1,
                  MV_NO_IRQ}},
        {.desc = {"rtc", "arm,pl031", "rtc", NULL, NULL, MV_SPACE_MMIO, MV_RTC_BASE, 0x1000,
                  MV_NO_IRQ}},
        {.desc = {"vda", "virtio,mmio", "virtio", NULL, NULL, MV_SPACE_MMIO, MV_VIRTIO_BASE, 0x200,
                  16}},
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
