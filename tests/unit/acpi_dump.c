/* SPDX-License-Identifier: MIT */
/*
 * acpi-dump DIRECTORY CPUS: writes the ACPI tables of a machine with so many CPUs to
 * DIRECTORY/xsdt.dat, facp.dat, apic.dat and dsdt.dat, for a disassembler.  The
 * devices are those of the board, and a virtio slot as it will come.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "layout.h"
#include "x86.h"

#define SIZE (MV_HIGH_RAM - MV_ACPI_GPA)

static uint8_t bytes[SIZE];

static uint64_t get(uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, bytes + (gpa - MV_ACPI_GPA), size);
    return value;
}

static bool dump(const char *directory, uint64_t gpa)
{
    const uint8_t *table = bytes + (gpa - MV_ACPI_GPA);
    size_t length = get(gpa + 4, 4);
    char path[4096];
    FILE *file;
    bool good;

    snprintf(path, sizeof(path), "%s/%c%c%c%c.dat", directory, tolower(table[0]), tolower(table[1]),
             tolower(table[2]), tolower(table[3]));
    file = fopen(path, "we");
    if (!file)
        return false;
    good = fwrite(table, 1, length, file) == length;
    return fclose(file) == 0 && good;
}

int main(int argc, char **argv)
{
    struct mv_bus mmio = {0}, ports = {0};
    struct mv_board board = {0};
    struct mv_timeline timeline = {0};
    struct mv_device_env env = {.timeline = &timeline, .wake = -1};
    struct mv_error err = {0};
    uint64_t xsdt;
    bool good;

    if (argc != 3 || mv_board_init(&board, &env, &mmio, &ports, &err) < 0) {
        fprintf(stderr, "usage: acpi-dump DIRECTORY CPUS %s\n", err.tried);
        return 2;
    }
    board.devices[board.count].desc = (struct mv_device_desc){
        "virtio0", "virtio,mmio", "LNRO0005", "VR00", MV_SPACE_MMIO, 0xd0000000u, 0x200, 5};
    if (mv_acpi_write(bytes, SIZE, MV_ACPI_GPA, board.devices, board.count + 1,
                      (unsigned)atoi(argv[2])) < 0)
        return 1;
    xsdt = get(MV_ACPI_GPA + 24, 8);
    good = dump(argv[1], xsdt);
    for (uint64_t at = xsdt + 36; at < xsdt + get(xsdt + 4, 4); at += 8) {
        uint64_t table = get(at, 8);

        good = dump(argv[1], table) && good;
        if (get(table, 4) == 0x50434146) /* FACP */
            good = dump(argv[1], get(table + 140, 8)) && good;
    }
    mv_board_done(&board);
    if (!good)
        fprintf(stderr, "acpi-dump: cannot write to %s\n", argv[1]);
    return good ? 0 : 1;
}
