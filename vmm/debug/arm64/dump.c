/* SPDX-License-Identifier: MIT */
/* The device tree, written to a file: to be looked at with dtc. */
#include <libfdt.h>
#include <string.h>

#include "arm64.h"
#include "debug/dump.h"

const char mv_arch_tables[] = "dtb";

int mv_arch_dump(const struct mv_arch *arch, const struct mv_mem *mem, const char *path,
                 struct mv_error *err)
{
    const void *tree = mv_mem_host(mem, arch->entry.data, sizeof(struct fdt_header));
    uint64_t size = fdt_totalsize(tree);
    int error = mv_write_file(path, mv_mem_host(mem, arch->entry.data, size), size);

    if (error)
        return mv_fail(err, error, "write", "name a file that you can write to",
                       "cannot write the device tree %s: %s", path, strerror(-error));
    return 0;
}
