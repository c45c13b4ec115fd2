/* SPDX-License-Identifier: MIT */
/* Writes the ACPI tables to files, for a disassembler (iasl -d). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "debug/dump.h"
#include "layout.h"
#include "machine/machine.h"

/* Offsets (ACPI 6.4, 5.2.5.3, 5.2.6, 5.2.9). */
enum { RSDP_XSDT = 24, TABLE_LENGTH = 4, TABLE_HEADER = 36, FADT_X_DSDT = 140 };

const char *mv_tables(void)
{
    return "acpi";
}

static uint64_t get(const struct mv_mem *mem, mv_gpa gpa, size_t size)
{
    uint64_t value = 0;

    mv_mem_read(mem, gpa, &value, size);
    return value;
}

/* Names the file after the table's signature, in lower case. */
static int dump_table(const struct mv_mem *mem, mv_gpa gpa, const char *folder,
                      struct mv_error *err)
{
    uint64_t length = get(mem, gpa + TABLE_LENGTH, 4);
    const char *table = mv_mem_host(mem, gpa, length);
    MV_CLEANUP_FREE char *path = NULL;
    char name[5] = "";
    int error;

    if (!table)
        return mv_fail(err, -EFAULT, NULL, NULL, "an ACPI table at %#llx is not in memory",
                       (unsigned long long)gpa);
    for (unsigned i = 0; i < 4; i++)
        name[i] = (char)tolower((unsigned char)table[i]);
    if (asprintf(&path, "%s/%s.dat", folder, name) < 0)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory");
    error = mv_write_file(path, table, length);
    if (error)
        return mv_fail(err, error, "write", "name a folder that you can write to",
                       "cannot write the table %s: %s", path, strerror(-error));
    return 0;
}

int mv_machine_dump_tables(const struct mv_machine *machine, const char *path, struct mv_error *err)
{
    const struct mv_mem *mem = &machine->mem;
    mv_gpa xsdt = get(mem, MV_ACPI_GPA + RSDP_XSDT, 8);
    uint64_t end = get(mem, xsdt + TABLE_LENGTH, 4);
    int error;

    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return mv_fail(err, -errno, "mkdir", "name a folder that exists, or can be made",
                       "cannot make the folder %s: %s", path, strerror(errno));
    error = dump_table(mem, xsdt, path, err);
    for (uint64_t at = TABLE_HEADER; !error && at < end; at += 8) {
        mv_gpa table = get(mem, xsdt + at, 8);

        error = dump_table(mem, table, path, err);
        if (!error && get(mem, table, 4) == 0x50434146) /* FACP points to the DSDT */
            error = dump_table(mem, get(mem, table + FADT_X_DSDT, 8), path, err);
    }
    return error;
}
