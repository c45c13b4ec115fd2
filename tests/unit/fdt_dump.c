/* SPDX-License-Identifier: MIT */
/* fdt-dump CPUS GIC: writes a device tree to the standard output, for fdt_compiles. */
#include <stdio.h>
#include <stdlib.h>

#include "arm64.h"
#include "fdt_devices.h"

int main(int argc, char **argv)
{
    const struct mv_mem mem = {.regions = {{.base = MV_RAM_GPA, .size = MV_GIB}}, .count = 1};
    const struct mv_arm64_tree tree = {
        .mem = &mem,
        .devices = fdt_devices,
        .count = MV_COUNT(fdt_devices),
        .cpus = argc > 1 ? (unsigned)atoi(argv[1]) : 1,
        .gic = argc > 2 ? (unsigned)atoi(argv[2]) : 3,
        .chosen = {.append = "console=ttyS0",
                   .initrd = MV_RAM_GPA + 0x4000000,
                   .initrd_size = 0x1000},
    };
    uint64_t room = mv_arm64_tree_room(tree.cpus, tree.chosen.append);
    void *bytes = malloc(room);
    int64_t size = bytes ? mv_arm64_tree_write(&tree, bytes, room) : -1;
    bool good = size > 0 && fwrite(bytes, (size_t)size, 1, stdout) == 1;

    free(bytes);
    return good ? 0 : 1;
}
