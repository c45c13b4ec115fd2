/* SPDX-License-Identifier: MIT */
/* Writes the device tree to a file, for inspection with dtc. */
#include <libfdt.h>
#include <string.h>

#include "arm64.h"
#include "debug/dump.h"
#include "machine/machine.h"

const char *mv_tables(void)
{
    return "dtb";
}

int mv_machine_dump_tables(const struct mv_machine *machine, const char *path, struct mv_error *err)
{
    const struct mv_mem *mem = &machine->mem;
    const void *tree = mv_mem_host(mem, machine->arch->entry.data, sizeof(struct fdt_header));
    uint64_t size = fdt_totalsize(tree);
    int error = mv_write_file(path, mv_mem_host(mem, machine->arch->entry.data, size), size);

    if (error)
        return mv_fail(err, error, "write", "name a file that you can write to",
                       "cannot write the device tree %s: %s", path, strerror(-error));
    return 0;
}
