/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for a hardware-reduced machine (ACPI 6.4): RSDP, XSDT, FADT, MADT
 * and a DSDT written from the devices' descriptions.  No firmware runs: the
 * guest's kernel finds all that it needs here.  A kernel that expects an old PC is told of
 * fixed hardware instead, which it can be switched off by (4.8.3.2.1), and of its devices; what
 * it reads may be older than the XSDT.
 *
 *   gpa +------+-----------+-----------+-----------+-----------+-----------+
 *       | RSDP | XSDT      | RSDT      | DSDT      | FADT      | MADT      |
 *       +------+-----------+-----------+-----------+-----------+-----------+
 *
 * The AML (chapter 20) needs five constructs only: Scope, Device, Name, Package
 * and a buffer of resource descriptors (6.4).
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
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

static void put8(struct writer *w, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    put(w, &byte, 1);
}

static void put16(struct writer *w, unsigned value)
{
    put8(w, value);
    put8(w, value >> 8);
}

static void put32(struct writer *w, uint32_t value)
{
    put16(w, value & 0xffff);
    put16(w, value >> 16);
}

static void put64(struct writer *w, uint64_t value)
{
    put32(w, (uint32_t)value);
    put32(w, (uint32_t)(value >> 32));
}

static void put_zeros(struct writer *w, size_t count)
{
    while (count--)
        put8(w, 0);
}

static void patch32(struct writer *w, size_t at, uint32_t value)
{
    struct writer patch = {.data = w->data, .size = w->size, .at = at};

    if (!w->overflow)
        put32(&patch, value);
}

/* The byte that makes [from, from + size) sum up to 0. */
static uint8_t checksum(const struct writer *w, size_t from, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + w->data[from + i]);
    return (uint8_t)-sum;
}

/* ---- the common header, 5.2.6 ---- */

enum { HEADER_LENGTH = 4, HEADER_CHECKSUM = 9, HEADER_SIZE = 36 };

static size_t begin_table(struct writer *w, const char *signature, unsigned revision)
{
    size_t start;

    put_zeros(w, (size_t)-w->at & 7);
    start = w->at;
    put(w, signature, 4);
    put32(w, 0); /* length, patched at the end */
    put8(w, revision);
    put8(w, 0); /* checksum, likewise */
    put(w, OEM_ID, 6);
    put(w, "MINIVMM ", 8);
    put32(w, 1); /* OEM revision */
    put(w, "MVMM", 4);
    put32(w, 1); /* creator revision */
    return start;
}

static void end_table(struct writer *w, size_t start)
{
    if (w->overflow)
        return;
    patch32(w, start + HEADER_LENGTH, (uint32_t)(w->at - start));
    w->data[start + HEADER_CHECKSUM] = checksum(w, start, w->at - start);
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
    put_zeros(w, 3);
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

static unsigned hex_digit(char digit)
{
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)(digit - 'A' + 10);
}

/* A _HID: an EISA id such as PNP0501 is compressed into a DWord (19.3.4), an
 * ACPI id such as LNRO0005 is a string. */
static void put_hid(struct writer *w, const char *hid)
{
    uint8_t id[4];

    put_name(w, "_HID");
    if (strlen(hid) != 7) {
        put8(w, AML_STRING);
        put(w, hid, strlen(hid) + 1);
        return;
    }
    id[0] = (uint8_t)((hid[0] - 0x40) << 2 | (hid[1] - 0x40) >> 3);
    id[1] = (uint8_t)((hid[1] & 7) << 5 | (hid[2] - 0x40));
    id[2] = (uint8_t)(hex_digit(hid[3]) << 4 | hex_digit(hid[4]));
    id[3] = (uint8_t)(hex_digit(hid[5]) << 4 | hex_digit(hid[6]));
    put8(w, AML_DWORD);
    put(w, id, 4);
}

/* 6.4.2.5 I/O port, 6.4.3.4 32-bit fixed memory, 6.4.3.6 extended interrupt,
 * 6.4.2.9 end tag */
static void put_resources(struct writer *w, const struct mv_device_desc *desc)
{
    uint8_t bytes[64] = {0};
    struct writer r = {.data = bytes, .size = sizeof(bytes)};

    if (desc->space == MV_SPACE_PORT) {
        put8(&r, 0x47);
        put8(&r, 1); /* 16-bit decoding */
        put16(&r, (unsigned)desc->base);
        put16(&r, (unsigned)desc->base);
        put8(&r, 1); /* alignment */
        put8(&r, (unsigned)desc->bytes);
    } else {
        put8(&r, 0x86);
        put16(&r, 9);
        put8(&r, 1); /* writable */
        put32(&r, (uint32_t)desc->base);
        put32(&r, (uint32_t)desc->bytes);
    }
    if (desc->irq >= 0) {
        put8(&r, 0x89);
        put16(&r, 6);
        put8(&r, 0x03); /* consumer, edge, active high, exclusive */
        put8(&r, 1);
        put32(&r, (uint32_t)desc->irq);
    }
    put8(&r, 0x79);
    put8(&r, 0); /* no checksum */
    assert(!r.overflow);

    put_name(w, "_CRS");
    put8(w, AML_BUFFER);
    size_t package = begin_package(w);
    put_byte(w, (unsigned)r.at);
    put(w, bytes, r.at);
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
    end_table(w, start);
    return start;
}

/* ---- FADT, 5.2.9 ---- */

enum {
    FADT_WBINVD = 1 << 0,
    FADT_PWR_BUTTON = 1 << 4, /* no fixed-hardware power button */
    FADT_SLP_BUTTON = 1 << 5, /* no fixed-hardware sleep button */
    FADT_RESET_REG_SUP = 1 << 10,
    FADT_HW_REDUCED = 1 << 20,
    /* IAPC_BOOT_ARCH, 5.2.9.3: the first two only of a PC */
    FADT_LEGACY_DEVICES = 1 << 0,
    FADT_8042 = 1 << 1,
    FADT_NO_VGA = 1 << 2,
    FADT_NO_ASPM = 1 << 4,
    FADT_NO_RTC = 1 << 5,
};

/* Generic Address Structure, 5.2.3.2; a size of 0 leaves it out. */
static void put_register(struct writer *w, unsigned port, unsigned size)
{
    put8(w, size ? 1 : 0); /* system I/O */
    put8(w, size * 8);
    put8(w, 0);
    put8(w, size); /* access size: 1 is a byte */
    put64(w, size ? port : 0);
}

static void put_pm1_registers(struct writer *w)
{
    put16(w, MV_SCI_IRQ);
    put32(w, 0); /* SMI_CMD: it is in ACPI mode already */
    put32(w, 0); /* the values to write there */
    put32(w, MV_PM1_BASE + MV_PM1_EVENT);
    put32(w, 0); /* PM1b */
    put32(w, MV_PM1_BASE + MV_PM1_CONTROL);
    put_zeros(w, 88 - 68); /* PM1b, PM2, timer, general events: none */
    put8(w, 4);            /* PM1_EVT_LEN */
    put8(w, 2);            /* PM1_CNT_LEN */
    put_zeros(w, 108 - 90);
    put8(w, 0x32); /* CENTURY, in the clock */
}

static size_t put_fadt(struct writer *w, mv_gpa dsdt, bool is_pc)
{
    size_t start = begin_table(w, "FACP", 6);
    unsigned flags = FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP;

    put32(w, 0);              /* FIRMWARE_CTRL: no FACS, since nothing sleeps and wakes */
    put32(w, (uint32_t)dsdt); /* DSDT */
    put16(w, 0);
    if (is_pc)
        put_pm1_registers(w);
    else
        put_zeros(w, 109 - 46);           /* the legacy registers, which are not there */
    put16(w, FADT_NO_VGA | FADT_NO_ASPM | /* offset 109: IAPC_BOOT_ARCH */
                 (is_pc ? FADT_LEGACY_DEVICES | FADT_8042 : FADT_NO_RTC));
    put8(w, 0);
    put32(w, is_pc ? flags : flags | FADT_HW_REDUCED);
    put_register(w, MV_POWER_BASE + MV_POWER_RESET, 1); /* offset 116: RESET_REG */
    put8(w, MV_POWER_RESET_VALUE);
    put16(w, 0); /* ARM_BOOT_ARCH */
    put8(w, 4);  /* minor version: ACPI 6.4 */
    put64(w, 0);
    put64(w, dsdt); /* offset 140: X_DSDT */
    put_register(w, MV_PM1_BASE + MV_PM1_EVENT, is_pc ? 4 : 0);
    put_register(w, 0, 0); /* X_PM1b_EVT_BLK */
    put_register(w, MV_PM1_BASE + MV_PM1_CONTROL, is_pc ? 2 : 0);
    for (unsigned i = 0; i < 5; i++)
        put_register(w, 0, 0);                                  /* X_PM1b_CNT_BLK to X_GPE1_BLK */
    put_register(w, MV_POWER_BASE + MV_POWER_SLEEP_CONTROL, 1); /* offset 244 */
    put_register(w, MV_POWER_BASE + MV_POWER_SLEEP_STATUS, 1);
    put(w, "MINIVMM", 8); /* hypervisor vendor identity */
    assert(w->overflow || w->at - start == 276);
    end_table(w, start);
    return start;
}

/* ---- MADT, 5.2.12 ---- */

static void put_cpu(struct writer *w, uint32_t id)
{
    if (id < 255) { /* 5.2.12.2 processor local APIC */
        put8(w, 0);
        put8(w, 8);
        put8(w, id);
        put8(w, id);
        put32(w, 1); /* enabled */
    } else {         /* 5.2.12.12 processor local x2APIC */
        put8(w, 9);
        put8(w, 16);
        put16(w, 0);
        put32(w, id);
        put32(w, 1);
        put32(w, id);
    }
}

static size_t put_madt(struct writer *w, unsigned cpus, bool is_pc)
{
    size_t start = begin_table(w, "APIC", 5);

    put32(w, (uint32_t)MV_LAPIC_GPA);
    put32(w, is_pc); /* flags, PCAT_COMPAT: whether there is a pair of 8259s */
    for (unsigned i = 0; i < cpus && !w->overflow; i++)
        put_cpu(w, i);
    put8(w, 1); /* 5.2.12.3 I/O APIC */
    put8(w, 12);
    put8(w, 0); /* KVM's has the id 0 */
    put8(w, 0);
    put32(w, (uint32_t)MV_IOAPIC_GPA);
    put32(w, 0); /* from interrupt 0 on */
    put8(w, 4);  /* 5.2.12.7 local APIC NMI: LINT1 of all CPUs */
    put8(w, 6);
    put8(w, 0xff);
    put16(w, 0);
    put8(w, 1);
    if (cpus > 255) { /* 5.2.12.13 local x2APIC NMI: the same for those */
        put8(w, 10);
        put8(w, 12);
        put16(w, 0);
        put32(w, UINT32_MAX);
        put8(w, 1);
        put_zeros(w, 3);
    }
    end_table(w, start);
    return start;
}

/* ---- XSDT 5.2.8, RSDT 5.2.7, RSDP 5.2.5.3 ---- */

enum { RSDP_SIZE = 36, TABLES = 2 };

static void put_rsdp(struct writer *w, mv_gpa xsdt, mv_gpa rsdt)
{
    size_t start = w->at;

    put(w, "RSD PTR ", 8);
    put8(w, 0); /* checksum of the first 20 bytes */
    put(w, OEM_ID, 6);
    put8(w, 2);
    put32(w, (uint32_t)rsdt);
    put32(w, RSDP_SIZE);
    put64(w, xsdt);
    put32(w, 0); /* extended checksum, then reserved */
    if (w->overflow)
        return;
    w->data[start + 8] = checksum(w, start, 20);
    w->data[start + 32] = checksum(w, start, RSDP_SIZE);
}

/* With addresses of so many bytes. */
static void put_root(struct writer *w, const char *signature, const mv_gpa tables[TABLES],
                     unsigned bytes)
{
    size_t start = begin_table(w, signature, 1);

    for (unsigned i = 0; i < TABLES; i++)
        put(w, &tables[i], bytes);
    end_table(w, start);
}

int64_t mv_acpi_write(uint8_t *to, size_t size, mv_gpa gpa, const struct mv_device *devices,
                      unsigned count, unsigned cpus, bool is_pc)
{
    /* The roots come first, and are written last. */
    const size_t xsdt = 40, rsdt = xsdt + mv_align_up(HEADER_SIZE + TABLES * 8, 8);
    const size_t first = is_pc ? rsdt + HEADER_SIZE + TABLES * 4 : rsdt;
    struct writer head = {.data = to, .size = size};
    struct writer w = {.data = to, .size = size, .at = first, .overflow = first > size};
    mv_gpa tables[TABLES], dsdt;

    dsdt = gpa + put_dsdt(&w, devices, count);
    tables[0] = gpa + put_fadt(&w, dsdt, is_pc);
    tables[1] = gpa + put_madt(&w, cpus, is_pc);
    if (w.overflow)
        return -ENOSPC;
    put_rsdp(&head, gpa + xsdt, is_pc ? gpa + rsdt : 0);
    put_root(&head, "XSDT", tables, 8);
    if (is_pc)
        put_root(&head, "RSDT", tables, 4);
    return (int64_t)w.at;
}
