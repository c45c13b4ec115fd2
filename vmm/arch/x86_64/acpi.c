/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for a hardware-reduced machine (ACPI 6.4): RSDP, XSDT, FADT, MADT and a DSDT written
 * from the devices' descriptions.  No firmware runs: the kernel finds everything that it needs
 * here.
 *
 *   gpa +------+-----------+-----------+-----------+-----------+
 *       | RSDP | XSDT      | DSDT      | FADT      | MADT      |
 *       +------+-----------+-----------+-----------+-----------+
 *
 * aml.h writes bytes, and the AML of the DSDT.
 */
#include <errno.h>
#include <string.h>

#include "aml.h"
#include "layout.h"
#include "power.h"
#include "x86.h"

#define OEM_ID "MINVMM"

uint8_t mv_acpi_checksum(const void *from, size_t size)
{
    const uint8_t *bytes = from;
    unsigned sum = 0;

    while (size--)
        sum += *bytes++;
    return (uint8_t)-sum;
}

/* ---- the common header, 5.2.6 ---- */

enum { HEADER_LENGTH = 4, HEADER_CHECKSUM = 9, HEADER_SIZE = 36 };

/* end_table fills in length and checksum. */
static size_t begin_table(struct mv_aml *w, const char *signature, unsigned revision)
{
    /* OEM ID, OEM table ID and revision, creator ID and revision */
    static const char rest[] = OEM_ID "MINIVMM \1\0\0\0MVMM\1\0\0";
    size_t start;

    mv_aml_number(w, 0, -w->at & 7); /* alignment */
    start = w->at;
    mv_aml_put(w, signature, 4);
    mv_aml_number(w, 0, 4);
    mv_aml_byte(w, revision);
    mv_aml_byte(w, 0);
    mv_aml_put(w, rest, sizeof(rest));
    return start;
}

/* Returns the offset of the table. */
static size_t end_table(struct mv_aml *w, size_t start)
{
    uint32_t length = (uint32_t)(w->at - start);

    if (w->overflow)
        return 0;
    memcpy(w->data + start + HEADER_LENGTH, &length, sizeof(length));
    w->data[start + HEADER_CHECKSUM] = mv_acpi_checksum(w->data + start, length);
    return start;
}

/* \_S5 (7.4.2.6): the SLP_TYP for power-off, in the sleep control register or PM1a and PM1b
 * control.  Hobbyists' kernels search for these bytes, in their shortest form, with memcmp. */
static void put_soft_off(struct mv_aml *w)
{
    static const uint8_t package[] = {
        AML_PACKAGE, 8 /* PkgLength, this byte included */, 4, AML_BYTE, MV_POWER_S5, AML_BYTE,
        MV_POWER_S5, 0 /* two reserved elements */,         0};

    mv_aml_name(w, "_S5_");
    mv_aml_put(w, package, sizeof(package));
}

static size_t put_dsdt(struct mv_aml *w, const struct mv_device *devices, unsigned count)
{
    size_t start = begin_table(w, "DSDT", 2), package;

    put_soft_off(w);
    mv_aml_byte(w, AML_SCOPE);
    package = mv_aml_begin(w);
    mv_aml_put(w, "_SB_", 4);
    for (unsigned i = 0; i < count; i++)
        if (devices[i].desc.hid)
            mv_aml_device(w, &devices[i].desc, i);
    mv_aml_end(w, package);
    return end_table(w, start);
}

/* ---- FADT, 5.2.9 ---- */

enum {
    FADT_SIZE = 276,
    /* Flags */
    WBINVD = 1 << 0,
    PWR_BUTTON = 1 << 4, /* no fixed-hardware power button */
    SLP_BUTTON = 1 << 5, /* no fixed-hardware sleep button */
    RESET_REG_SUP = 1 << 10,
    HW_REDUCED = 1 << 20,
    /* IAPC_BOOT_ARCH, 5.2.9.3 */
    NO_VGA = 1 << 2,
    NO_ASPM = 1 << 4,
    NO_RTC = 1 << 5,
    /* Generic Address Structure, 5.2.3.2: system I/O, 8 bits from bit 0 on, byte access */
    BYTE_PORT = 1 << 0 | 8 << 8 | 1 << 24,
};

/* The fields that are not 0.  No legacy registers; no FACS, because nothing sleeps and wakes. */
static size_t put_fadt(struct mv_aml *w, mv_gpa dsdt)
{
    const struct {
        unsigned offset, size;
        uint64_t value;
    } fields[] = {
        {40, 4, dsdt},
        {109, 2, NO_VGA | NO_ASPM | NO_RTC},
        {112, 4, WBINVD | PWR_BUTTON | SLP_BUTTON | RESET_REG_SUP | HW_REDUCED},
        {116, 4, BYTE_PORT}, /* RESET_REG */
        {120, 8, MV_POWER_BASE + MV_POWER_RESET},
        {128, 1, MV_POWER_RESET_VALUE},
        {131, 1, 4},         /* minor version: ACPI 6.4 */
        {140, 8, dsdt},      /* X_DSDT */
        {244, 4, BYTE_PORT}, /* SLEEP_CONTROL_REG */
        {248, 8, MV_POWER_BASE + MV_POWER_SLEEP_CONTROL},
        {256, 4, BYTE_PORT}, /* SLEEP_STATUS_REG */
        {260, 8, MV_POWER_BASE + MV_POWER_SLEEP_STATUS},
    };
    uint8_t rest[FADT_SIZE - HEADER_SIZE] = {0};
    size_t start = begin_table(w, "FACP", 6);

    for (unsigned i = 0; i < MV_COUNT(fields); i++)
        memcpy(rest + fields[i].offset - HEADER_SIZE, &fields[i].value, fields[i].size);
    memcpy(rest + (268 - HEADER_SIZE), "MINIVMM", 8); /* hypervisor vendor identity */
    mv_aml_put(w, rest, sizeof(rest));
    return end_table(w, start);
}

/* ---- MADT, 5.2.12 ---- */

static void put_cpu(struct mv_aml *w, uint32_t id)
{
    enum { ENABLED = 1 };

    if (id < 255) { /* 5.2.12.2 processor local APIC: UID, ID */
        mv_aml_put(w, "\x00\x08", 2);
        mv_aml_byte(w, id);
        mv_aml_byte(w, id);
        mv_aml_number(w, ENABLED, 4);
    } else { /* 5.2.12.12 processor local x2APIC: ID, flags, UID */
        mv_aml_put(w, "\x09\x10\x00\x00", 4);
        mv_aml_number(w, id, 4);
        mv_aml_number(w, ENABLED, 4);
        mv_aml_number(w, id, 4);
    }
}

static size_t put_madt(struct mv_aml *w, unsigned cpus)
{
    size_t start = begin_table(w, "APIC", 5);

    mv_aml_number(w, MV_LAPIC_GPA, 4);
    mv_aml_number(w, 0, 4); /* flags: no 8259s */
    for (unsigned i = 0; i < cpus && !w->overflow; i++)
        put_cpu(w, i);
    mv_aml_put(w, "\x01\x0c\x00\x00", 4); /* 5.2.12.3 I/O APIC: KVM's has ID 0 */
    mv_aml_number(w, MV_IOAPIC_GPA, 4);
    mv_aml_number(w, 0, 4);                       /* global system interrupt base */
    mv_aml_put(w, "\x04\x06\xff\x00\x00\x01", 6); /* 5.2.12.7 local APIC NMI: LINT1 of all CPUs */
    if (cpus > 255) /* 5.2.12.13 local x2APIC NMI: the same for x2APICs */
        mv_aml_put(w, "\x0a\x0c\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00", 12);
    return end_table(w, start);
}

/* ---- RSDP 5.2.5.3, XSDT 5.2.8 ---- */

enum { RSDP_SIZE = 36, RSDP_CHECKSUM = 8, RSDP_EXTENDED_CHECKSUM = 32 };

int64_t mv_acpi_write(uint8_t *to, size_t size, mv_gpa gpa, const struct mv_device *devices,
                      unsigned count, unsigned cpus)
{
    /* The root tables come first in memory, but are written last. */
    const size_t xsdt = 40, first = xsdt + HEADER_SIZE + 2 * sizeof(mv_gpa);
    struct mv_aml head = {.data = to, .size = size};
    struct mv_aml w = {.data = to, .size = size, .at = first, .overflow = first > size};
    size_t dsdt = put_dsdt(&w, devices, count), fadt = put_fadt(&w, gpa + dsdt);
    size_t madt = put_madt(&w, cpus);

    if (w.overflow)
        return -ENOSPC;
    mv_aml_put(&head, "RSD PTR \0" OEM_ID "\2\0\0\0\0", 20); /* revision 2, no RSDT */
    mv_aml_number(&head, RSDP_SIZE, 4);
    mv_aml_number(&head, gpa + xsdt, 8);
    mv_aml_number(&head, 0, 4);
    to[RSDP_CHECKSUM] = mv_acpi_checksum(to, 20);
    to[RSDP_EXTENDED_CHECKSUM] = mv_acpi_checksum(to, RSDP_SIZE);
    begin_table(&head, "XSDT", 1);
    mv_aml_number(&head, gpa + fadt, 8);
    mv_aml_number(&head, gpa + madt, 8);
    end_table(&head, xsdt);
    return (int64_t)w.at;
}
