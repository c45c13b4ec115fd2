/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for a hardware-reduced machine (ACPI 6.4): RSDP, XSDT, FADT, MADT
 * and a DSDT written from the devices' descriptions.  No firmware runs: the
 * guest's kernel finds all that it needs here.
 *
 *   gpa +------+-----------+-----------+-----------+-----------+
 *       | RSDP | XSDT      | DSDT      | FADT      | MADT      |
 *       +------+-----------+-----------+-----------+-----------+
 *
 * The AML (chapter 20) needs five constructs only: Scope, Device, Name, Package
 * and a buffer of resource descriptors (6.4).
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "power.h"
#include "x86.h"

#define OEM_ID "MINVMM"

/* A growing run of bytes; once it has overflowed, nothing is written any more. */
struct writer {
    uint8_t *data;
    size_t size, at;
    bool overflow;
};

static void put(struct writer *w, const void *data, size_t size)
{
    if (size > w->size - w->at)
        w->overflow = true;
    if (w->overflow)
        return;
    memcpy(w->data + w->at, data, size);
    w->at += size;
}

/* A number of so many bytes, the low one first. */
static void put_number(struct writer *w, uint64_t value, size_t size)
{
    put(w, &value, size);
}

static void put8(struct writer *w, unsigned value)
{
    put_number(w, value, 1);
}

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

/* Length and checksum come with its end. */
static size_t begin_table(struct writer *w, const char *signature, unsigned revision)
{
    /* OEM's ID, table ID and revision, creator's ID and revision */
    static const char rest[] = OEM_ID "MINIVMM \1\0\0\0MVMM\1\0\0";
    size_t start;

    put_number(w, 0, -w->at & 7); /* alignment */
    start = w->at;
    put(w, signature, 4);
    put_number(w, 0, 4);
    put8(w, revision);
    put8(w, 0);
    put(w, rest, sizeof(rest));
    return start;
}

/* Returns where it begins. */
static size_t end_table(struct writer *w, size_t start)
{
    uint32_t length = (uint32_t)(w->at - start);

    if (w->overflow)
        return 0;
    memcpy(w->data + start + HEADER_LENGTH, &length, sizeof(length));
    w->data[start + HEADER_CHECKSUM] = mv_acpi_checksum(w->data + start, length);
    return start;
}

/* ---- AML ---- */

enum {
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_SCOPE = 0x10,
    AML_BUFFER = 0x11,
    AML_PACKAGE = 0x12,
    AML_EXT = 0x5b,
    AML_EXT_DEVICE = 0x82,
};

/* A PkgLength of always three bytes (20.2.4) holds 2^20 bytes, and can be
 * patched when its end is known.  It counts itself. */
static size_t begin_package(struct writer *w)
{
    put_number(w, 0, 3);
    return w->at - 3;
}

static void end_package(struct writer *w, size_t start)
{
    size_t length = w->at - start;

    if (w->overflow)
        return;
    assert(length < 1u << 20);
    w->data[start] = (uint8_t)(0x80 | (length & 0x0f));
    w->data[start + 1] = (uint8_t)(length >> 4);
    w->data[start + 2] = (uint8_t)(length >> 12);
}

static void put_name(struct writer *w, const char *name)
{
    put8(w, AML_NAME);
    put(w, name, 4);
}

static void put_byte(struct writer *w, unsigned value)
{
    put8(w, AML_BYTE);
    put8(w, value);
}

/* A _HID: an EISA id such as PNP0501 is compressed into a DWord (19.3.4), an
 * ACPI id such as LNRO0005 is a string. */
static void put_hid(struct writer *w, const char *hid)
{
    put_name(w, "_HID");
    if (strlen(hid) != 7) {
        put8(w, AML_STRING);
        put(w, hid, strlen(hid) + 1);
        return;
    }
    put8(w, AML_DWORD);
    put8(w, (unsigned)((hid[0] - 0x40) << 2 | (hid[1] - 0x40) >> 3));
    put8(w, (unsigned)((hid[1] & 7) << 5 | (hid[2] - 0x40)));
    put_number(w, htobe16((uint16_t)strtoul(hid + 3, NULL, 16)), 2);
}

static void put_resources(struct writer *w, const struct mv_device_desc *desc)
{
    bool is_port = desc->space == MV_SPACE_PORT, has_irq = desc->irq >= 0;
    size_t package;

    put_name(w, "_CRS");
    put8(w, AML_BUFFER);
    package = begin_package(w);
    put_byte(w, (is_port ? 8u : 12u) + (has_irq ? 9u : 0u) + 2u);
    if (is_port) { /* 6.4.2.5 I/O port: 16-bit decoding, least and most base, alignment */
        put(w, "\x47\x01", 2);
        put_number(w, desc->base, 2);
        put_number(w, desc->base, 2);
        put8(w, 1);
        put_number(w, desc->bytes, 1);
    } else { /* 6.4.3.4 32-bit fixed memory, writable */
        put(w, "\x86\x09\x00\x01", 4);
        put_number(w, desc->base, 4);
        put_number(w, desc->bytes, 4);
    }
    if (has_irq) { /* 6.4.3.6 extended interrupt: consumer, edge, active high, exclusive; one */
        put(w, "\x89\x06\x00\x03\x01", 5);
        put_number(w, (unsigned)desc->irq, 4);
    }
    put(w, "\x79\x00", 2); /* 6.4.2.9 end tag, no checksum */
    end_package(w, package);
}

static void put_device(struct writer *w, const struct mv_device_desc *desc, unsigned uid)
{
    size_t package;

    put8(w, AML_EXT);
    put8(w, AML_EXT_DEVICE);
    package = begin_package(w);
    put(w, desc->acpi_name, 4);
    put_hid(w, desc->hid);
    put_name(w, "_UID");
    put_byte(w, uid);
    put_resources(w, desc);
    end_package(w, package);
}

/* \_S5 (7.4.2.6): the SLP_TYP to write to the sleep control register, or to PM1a and PM1b control,
 * to turn off.  Hobbyists' kernels look for these bytes, in their shortest form, by memcmp. */
static void put_soft_off(struct writer *w)
{
    static const uint8_t package[] = {
        AML_PACKAGE, 8 /* bytes from this one on */, 4, AML_BYTE, MV_POWER_S5, AML_BYTE,
        MV_POWER_S5, 0 /* two reserved elements */,  0};

    put_name(w, "_S5_");
    put(w, package, sizeof(package));
}

static size_t put_dsdt(struct writer *w, const struct mv_device *devices, unsigned count)
{
    size_t start = begin_table(w, "DSDT", 2), package;

    put_soft_off(w);
    put8(w, AML_SCOPE);
    package = begin_package(w);
    put(w, "_SB_", 4);
    for (unsigned i = 0; i < count; i++)
        if (devices[i].desc.hid)
            put_device(w, &devices[i].desc, i);
    end_package(w, package);
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
    /* Generic Address Structure, 5.2.3.2: system I/O, 8 bits from bit 0 on, accessed by bytes */
    BYTE_PORT = 1 << 0 | 8 << 8 | 1 << 24,
};

/* What is not 0: there are no legacy registers, and nothing sleeps and wakes, so no FACS. */
static size_t put_fadt(struct writer *w, mv_gpa dsdt)
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
    put(w, rest, sizeof(rest));
    return end_table(w, start);
}

/* ---- MADT, 5.2.12 ---- */

static void put_cpu(struct writer *w, uint32_t id)
{
    enum { ENABLED = 1 };

    if (id < 255) { /* 5.2.12.2 processor local APIC: UID, ID */
        put(w, "\x00\x08", 2);
        put8(w, id);
        put8(w, id);
        put_number(w, ENABLED, 4);
    } else { /* 5.2.12.12 processor local x2APIC: ID, flags, UID */
        put(w, "\x09\x10\x00\x00", 4);
        put_number(w, id, 4);
        put_number(w, ENABLED, 4);
        put_number(w, id, 4);
    }
}

static size_t put_madt(struct writer *w, unsigned cpus)
{
    size_t start = begin_table(w, "APIC", 5);

    put_number(w, MV_LAPIC_GPA, 4);
    put_number(w, 0, 4); /* flags: there is no pair of 8259s */
    for (unsigned i = 0; i < cpus && !w->overflow; i++)
        put_cpu(w, i);
    put(w, "\x01\x0c\x00\x00", 4); /* 5.2.12.3 I/O APIC: KVM's has the id 0 */
    put_number(w, MV_IOAPIC_GPA, 4);
    put_number(w, 0, 4);                   /* from interrupt 0 on */
    put(w, "\x04\x06\xff\x00\x00\x01", 6); /* 5.2.12.7 local APIC NMI: LINT1 of all CPUs */
    if (cpus > 255)                        /* 5.2.12.13 local x2APIC NMI: the same for those */
        put(w, "\x0a\x0c\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00", 12);
    return end_table(w, start);
}

/* ---- RSDP 5.2.5.3, XSDT 5.2.8 ---- */

enum { RSDP_SIZE = 36, RSDP_CHECKSUM = 8, RSDP_EXTENDED_CHECKSUM = 32 };

int64_t mv_acpi_write(uint8_t *to, size_t size, mv_gpa gpa, const struct mv_device *devices,
                      unsigned count, unsigned cpus)
{
    /* The roots come first, and are written last. */
    const size_t xsdt = 40, first = xsdt + HEADER_SIZE + 2 * sizeof(mv_gpa);
    struct writer head = {.data = to, .size = size};
    struct writer w = {.data = to, .size = size, .at = first, .overflow = first > size};
    size_t dsdt = put_dsdt(&w, devices, count), fadt = put_fadt(&w, gpa + dsdt);
    size_t madt = put_madt(&w, cpus);

    if (w.overflow)
        return -ENOSPC;
    put(&head, "RSD PTR \0" OEM_ID "\2\0\0\0\0", 20); /* revision 2, no RSDT */
    put_number(&head, RSDP_SIZE, 4);
    put_number(&head, gpa + xsdt, 8);
    put_number(&head, 0, 4);
    to[RSDP_CHECKSUM] = mv_acpi_checksum(to, 20);
    to[RSDP_EXTENDED_CHECKSUM] = mv_acpi_checksum(to, RSDP_SIZE);
    begin_table(&head, "XSDT", 1);
    put_number(&head, gpa + fadt, 8);
    put_number(&head, gpa + madt, 8);
    end_table(&head, xsdt);
    return (int64_t)w.at;
}
