/* SPDX-License-Identifier: MIT */
/*
 * ACPI for kernels that expect a PC.  The tables of arch/x86_64/acpi.c describe a hardware-reduced
 * machine; this changes them to describe the fixed hardware by which it can be powered off (ACPI
 * 6.4, 4.8.3.2.1) and a PC's devices.  It adds an RSDT for kernels that do not know the XSDT.
 */
#include <string.h>

#include "oldpc.h"

enum { LENGTH = 4, CHECKSUM = 9, HEADER = 36, TABLES = 2 };

/* Fields that differ from those of a hardware-reduced machine.  5.2.9, FADT; 5.2.12, MADT */
struct field {
    uint16_t offset;
    uint8_t size;
    uint32_t value;
};

enum {
    IAPC_BOOT_ARCH = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4, /* legacy devices, 8042, no VGA, no ASPM */
    FLAGS = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 10, /* WBINVD, no buttons, RESET_REG: not HW_REDUCED */
    PORTS = 1, /* bits 0 to 7 of a register's address, 5.2.3.2: the space; 8 to 15: its width */
};

static const struct field fadt[] = {
    {46, 2, MV_SCI_IRQ}, /* SMI_CMD stays 0: the machine is always in ACPI mode */
    {56, 4, MV_PM1_BASE + MV_PM1_EVENT},
    {64, 4, MV_PM1_BASE + MV_PM1_CONTROL},
    {88, 1, 4}, /* PM1_EVT_LEN */
    {89, 1, 2}, /* PM1_CNT_LEN */
    {108, 1, 0x32} /* CENTURY: its index in CMOS memory */,
    {109, 2, IAPC_BOOT_ARCH},
    {112, 4, FLAGS},
    {148, 4, PORTS | 32 << 8},
    {152, 4, MV_PM1_BASE + MV_PM1_EVENT},
    {172, 4, PORTS | 16 << 8},
    {176, 4, MV_PM1_BASE + MV_PM1_CONTROL},
};

static const struct field madt[] = {{40, 4, 1}}; /* PCAT_COMPAT: a pair of 8259s */

static void fit(uint8_t *table, const struct field *fields, unsigned count)
{
    uint32_t length;

    for (unsigned i = 0; i < count; i++)
        memcpy(table + fields[i].offset, &fields[i].value, fields[i].size);
    memcpy(&length, table + LENGTH, sizeof(length));
    table[CHECKSUM] = 0;
    table[CHECKSUM] = mv_acpi_checksum(table, length);
}

/* 5.2.7: as the XSDT, but with addresses of 4 bytes. */
static void put_rsdt(uint8_t *to, const uint8_t *xsdt)
{
    const struct field fields[] = {{0, 1, 'R'}, {LENGTH, 4, HEADER + TABLES * 4}};

    memcpy(to, xsdt, HEADER);
    for (unsigned i = 0; i < TABLES; i++)
        memcpy(to + HEADER + i * 4, xsdt + HEADER + i * 8, 4);
    fit(to, fields, MV_COUNT(fields));
}

/* 5.2.5.3: the first 20 bytes are those of ACPI 1.0. */
static void name_rsdt(uint8_t *rsdp)
{
    const uint32_t gpa = MV_RSDT_GPA;

    memcpy(rsdp + 16, &gpa, sizeof(gpa));
    rsdp[8] = rsdp[32] = 0;
    rsdp[8] = mv_acpi_checksum(rsdp, 20);
    rsdp[32] = mv_acpi_checksum(rsdp, 36);
}

/* The table whose address is stored at `at`. */
static uint8_t *table_at(struct mv_mem *mem, const uint8_t *at)
{
    uint64_t gpa;

    memcpy(&gpa, at, sizeof(gpa));
    return mv_mem_host(mem, gpa, HEADER);
}

void mv_oldpc_fit_acpi(struct mv_mem *mem)
{
    uint8_t *rsdp = mv_mem_host(mem, MV_ACPI_GPA, HEADER);
    uint8_t *xsdt = table_at(mem, rsdp + 24);

    fit(table_at(mem, xsdt + HEADER), fadt, MV_COUNT(fadt));
    fit(table_at(mem, xsdt + HEADER + 8), madt, MV_COUNT(madt));
    put_rsdt(mv_mem_host(mem, MV_RSDT_GPA, HEADER), xsdt);
    name_rsdt(rsdp);
}
