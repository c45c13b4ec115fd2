/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables: found by the scan for the RSDP and by the pointer handed
 * over, each with a valid checksum, the CPUs in the MADT as many as cpus=N, and
 * the FADT telling the truth about what is not there.  And the MP tables, which Linux reads
 * with acpi=off: found where it looks for them.
 */
#include "runtime.h"

static bool sums_to_zero(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;

    while (size--)
        sum = (uint8_t)(sum + *bytes++);
    return sum == 0;
}

static uint64_t scan(void)
{
    for (uint64_t address = 0xe0000; address < 0x100000; address += 16)
        if (same((const void *)address, "RSD PTR ", 8))
            return address;
    return 0;
}

static void check_rsdp(const uint8_t *rsdp)
{
    check(same(rsdp, "RSD PTR ", 8));
    check(sums_to_zero(rsdp, 20));
    check_equal(rsdp[15], 2);
    check_equal(load(rsdp + 20, 4), 36);
    check(sums_to_zero(rsdp, 36));
}

static void check_table(const struct acpi_table *table)
{
    check((uint64_t)table >= 0xe0000);
    check(table->length >= sizeof(*table));
    check((uint64_t)table + table->length <= 0x100000);
    check(sums_to_zero(table, table->length));
}

static void check_tables(const uint8_t *rsdp)
{
    const struct acpi_table *xsdt = (const struct acpi_table *)load(rsdp + 24, 8);

    check(same(&xsdt->signature, "XSDT", 4));
    check_table(xsdt);
    check_equal((xsdt->length - sizeof(*xsdt)) % 8, 0);
    for (size_t i = 0; i < (xsdt->length - sizeof(*xsdt)) / 8; i++)
        check_table((const struct acpi_table *)load(xsdt->data + 8 * i, 8));
}

static void check_fadt(const struct acpi_table *fadt)
{
    const uint8_t *bytes = (const uint8_t *)fadt;
    const struct acpi_table *dsdt = (const struct acpi_table *)load(bytes + 140, 8);

    check(fadt->length >= 276);
    check_equal(load(bytes + 40, 4), (uint64_t)dsdt);
    check(same(&dsdt->signature, "DSDT", 4));
    check_table(dsdt);
    check_equal(load(bytes + 109, 2) & 3, 0);       /* no legacy devices, no i8042 */
    check_equal(load(bytes + 109, 2) >> 2 & 1, 1);  /* no VGA */
    check_equal(load(bytes + 109, 2) >> 5 & 1, 1);  /* no RTC */
    check_equal(load(bytes + 112, 4) >> 20 & 1, 1); /* hardware-reduced */
    check_equal(load(bytes + 112, 4) >> 10 & 1, 1); /* has a reset register */
    check_equal(load(bytes + 120, 8), 0x602);
    check_equal(bytes[128], 1);
    check_equal(load(bytes + 248, 8), 0x600); /* sleep control */
    check_equal(load(bytes + 260, 8), 0x601); /* sleep status */
}

static void check_madt(const struct acpi_table *madt, unsigned cpus)
{
    unsigned found = 0, ioapics = 0;
    uint32_t at_byte = 8;

    check_equal(load(madt->data, 4), 0xfee00000);
    while (at_byte < madt->length - sizeof(*madt)) {
        const uint8_t *entry = madt->data + at_byte;

        check(entry[1] >= 2);
        if (entry[0] == 0) { /* local APIC: IDs in order, enabled */
            check_equal(entry[3], found);
            check_equal(load(entry + 4, 4), 1);
            found++;
        }
        if (entry[0] == 9) { /* local x2APIC: from 255 on */
            check(found >= 255);
            check_equal(load(entry + 4, 4), found);
            check_equal(load(entry + 8, 4), 1);
            check_equal(load(entry + 12, 4), found);
            found++;
        }
        if (entry[0] == 1) {
            check_equal(load(entry + 4, 4), 0xfec00000);
            check_equal(load(entry + 8, 4), 0);
            check_equal(ioapic_read(1) >> 16 & 0xff, 23); /* version: 24 inputs */
            ioapics++;
        }
        at_byte += entry[1];
    }
    check_equal(at_byte, madt->length - sizeof(*madt));
    check_equal(found, cpus);
    check_equal(ioapics, 1);
}

/* MPS 4: in the last KiB of base memory; its table has the first 39 CPUs. */
static void check_mp_tables(unsigned cpus)
{
    const uint8_t *pointer = (const uint8_t *)(639ull << 10), *table, *at;
    unsigned found = 0;

    while (!same(pointer, "_MP_", 4)) {
        pointer += 16;
        check((uint64_t)pointer < 640 << 10);
    }
    check(sums_to_zero(pointer, 16));
    table = (const uint8_t *)load(pointer + 4, 4);
    check(same(table, "PCMP", 4));
    check(sums_to_zero(table, load(table + 4, 2)));
    check_equal(load(table + 36, 4), 0xfee00000);
    for (at = table + 44; at < table + load(table + 4, 2); at += *at == 0 ? 20 : 8)
        found += *at == 0;
    check_equal(found, cpus < 39 ? cpus : 39);
}

void test(void)
{
    check_equal(scan(), acpi_rsdp);
    check_rsdp((const uint8_t *)acpi_rsdp);
    check_tables((const uint8_t *)acpi_rsdp);
    check(find_acpi_table("FACP") != NULL);
    check_fadt(find_acpi_table("FACP"));
    check(find_acpi_table("APIC") != NULL);
    check_madt(find_acpi_table("APIC"), (unsigned)option("cpus", 1));
    check_mp_tables((unsigned)option("cpus", 1));
}
