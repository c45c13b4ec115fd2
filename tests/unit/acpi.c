/* SPDX-License-Identifier: MIT */
/* The ACPI tables, byte by byte, against ACPI 6.4 (sections named beside). */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "oldpc/oldpc.h"
#include "x86.h"

#define SIZE (MV_HEADERS_GPA - MV_ACPI_GPA)
#define GPA  MV_ACPI_GPA

static const struct mv_device devices[] = {
    {.desc = {.name = "serial0",
              .compatible = "ns16550a",
              .node = "serial",
              .hid = "PNP0501",
              .acpi_name = "COM1",
              .space = MV_SPACE_PORT,
              .base = 0x3f8,
              .bytes = 8,
              .irq = 4}},
    {.desc =
         {.name = "hidden", .space = MV_SPACE_PORT, .base = 0x600, .bytes = 3, .irq = MV_NO_IRQ}},
    {.desc = {.name = "pvpanic",
              .hid = "QEMU0001",
              .acpi_name = "PEVT",
              .space = MV_SPACE_PORT,
              .base = 0x505,
              .bytes = 1,
              .irq = MV_NO_IRQ}},
    {.desc = {.name = "virtio0",
              .hid = "LNRO0005",
              .acpi_name = "VR00",
              .space = MV_SPACE_MMIO,
              .base = 0xd0000000,
              .bytes = 0x200,
              .irq = 5}},
};

static uint8_t *bytes;
static int64_t used;

static void start(void)
{
    bytes = calloc(1, SIZE);
    cr_assert_not_null(bytes);
    used = mv_acpi_write(bytes, SIZE, GPA, devices, MV_COUNT(devices), 4);
    cr_assert_gt(used, 0);
}

static void stop(void)
{
    free(bytes);
}

TestSuite(acpi, .init = start, .fini = stop);

static uint64_t get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, at, size);
    return value;
}

static uint8_t sum(const uint8_t *at, uint64_t size)
{
    uint8_t total = 0;

    while (size--)
        total = (uint8_t)(total + *at++);
    return total;
}

/* The table at a guest address; checks the common header, 5.2.6. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
    const uint8_t *table = bytes + (gpa - GPA);
    uint64_t length;

    cr_assert(gpa >= GPA && gpa - GPA + 36 <= (uint64_t)used);
    length = get(table + 4, 4);
    cr_assert_eq(memcmp(table, signature, 4), 0, "%.4s", (const char *)table);
    cr_assert(length >= 36 && gpa - GPA + length <= (uint64_t)used);
    cr_expect_eq(gpa % 8, 0);
    cr_expect_eq(sum(table, length), 0, "checksum of %s", signature);
    cr_expect_eq(memcmp(table + 10, "MINVMM", 6), 0);
    return table;
}

static const uint8_t *table(const char *signature)
{
    const uint8_t *xsdt = table_at(get(bytes + 24, 8), "XSDT");
    uint64_t count = (get(xsdt + 4, 4) - 36) / 8;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t gpa = get(xsdt + 36 + 8 * i, 8);

        if (memcmp(bytes + (gpa - GPA), signature, 4) == 0)
            return table_at(gpa, signature);
    }
    cr_assert_fail("no table %s", signature);
    return NULL;
}

Test(acpi, the_rsdp_comes_first_with_both_checksums)
{
    /* 5.2.5.3 */
    cr_expect_eq(memcmp(bytes, "RSD PTR ", 8), 0);
    cr_expect_eq(sum(bytes, 20), 0);
    cr_expect_eq(sum(bytes, 36), 0);
    cr_expect_eq(bytes[15], 2, "revision");
    cr_expect_eq(get(bytes + 16, 4), 0, "no RSDT");
    cr_expect_eq(get(bytes + 20, 4), 36, "length");
    cr_expect_eq(get(bytes + 24, 8), GPA + 40, "XSDT");
}

Test(acpi, the_xsdt_lists_fadt_and_madt)
{
    const uint8_t *xsdt = table_at(get(bytes + 24, 8), "XSDT");

    cr_expect_eq(get(xsdt + 4, 4), 36 + 2 * 8);
    cr_expect_eq(xsdt[8], 1);
    table("FACP");
    table("APIC");
}

Test(acpi, the_fadt_describes_a_hardware_reduced_machine)
{
    const uint8_t *fadt = table("FACP");

    /* 5.2.9 */
    cr_expect_eq(get(fadt + 4, 4), 276);
    cr_expect_eq(fadt[8], 6, "major version");
    cr_expect_eq(fadt[131], 4, "minor version");
    cr_expect_eq(get(fadt + 36, 4), 0, "no FACS");
    for (unsigned at = 44; at < 109; at++)
        cr_expect_eq(fadt[at], 0, "no legacy register at %u", at);
    cr_expect_eq(get(fadt + 109, 2), 1 << 2 | 1 << 4 | 1 << 5, "no VGA, ASPM, CMOS RTC, i8042");
    cr_expect_eq(get(fadt + 112, 4), 1u << 0 | 1u << 4 | 1u << 5 | 1u << 10 | 1u << 20, "flags");
    cr_expect_eq(get(fadt + 132, 8), 0, "no X_FACS");
    for (unsigned at = 148; at < 244; at++)
        cr_expect_eq(fadt[at], 0, "no extended register block at %u", at);
    cr_expect_eq(memcmp(fadt + 268, "MINIVMM", 8), 0, "hypervisor vendor");
}

static void expect_port(const uint8_t *gas, unsigned port)
{
    /* 5.2.3.2: system I/O, 8 bits from bit 0, accessed by byte */
    cr_expect(gas[0] == 1 && gas[1] == 8 && gas[2] == 0 && gas[3] == 1);
    cr_expect_eq(get(gas + 4, 8), port);
}

Test(acpi, the_fadt_names_the_reset_and_sleep_registers)
{
    const uint8_t *fadt = table("FACP");

    expect_port(fadt + 116, 0x602);
    cr_expect_eq(fadt[128], 1, "reset value");
    expect_port(fadt + 244, 0x600);
    expect_port(fadt + 256, 0x601);
}

Test(acpi, both_dsdt_pointers_of_the_fadt_agree)
{
    const uint8_t *fadt = table("FACP");

    cr_expect_eq(get(fadt + 40, 4), get(fadt + 140, 8));
    cr_expect_eq(table_at(get(fadt + 140, 8), "DSDT")[8], 2);
}

static const uint8_t *dsdt(void)
{
    return table_at(get(table("FACP") + 140, 8), "DSDT");
}

static const uint8_t *find(const uint8_t *in, const void *what, size_t size)
{
    return memmem(in, get(in + 4, 4), what, size);
}

Test(acpi, the_dsdt_names_each_device_that_has_an_id)
{
    const uint8_t *aml = dsdt();

    cr_expect_not_null(find(aml, "COM1\x08_HID\x0c\x41\xd0\x05\x01", 14), "PNP0501 compressed");
    cr_expect_not_null(find(aml, "PEVT\x08_HID\x0dQEMU0001", 19));
    cr_expect_not_null(find(aml, "VR00\x08_HID\x0dLNRO0005", 19));
    cr_expect_null(find(aml, "hidd", 4));
    cr_expect_not_null(find(aml, "\x08_S5_\x12", 6));
}

Test(acpi, resources_are_those_of_the_description)
{
    /* 6.4.2.5, 6.4.3.4, 6.4.3.6 */
    static const uint8_t port[] = {0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6, 0, 3, 1, 4, 0, 0, 0};
    static const uint8_t panic[] = {0x47, 1, 0x05, 5, 0x05, 5, 1, 1, 0x79, 0};
    static const uint8_t memory[] = {0x86, 9,    0, 1, 0, 0, 0,    0xd0, 0, 2, 0,
                                     0,    0x89, 6, 0, 3, 1, 0x05, 0,    0, 0};
    const uint8_t *aml = dsdt();

    cr_expect_not_null(find(aml, port, sizeof(port)));
    cr_expect_not_null(find(aml, panic, sizeof(panic)), "and no interrupt");
    cr_expect_not_null(find(aml, memory, sizeof(memory)));
}

/* As the board names and places them. */
static struct mv_device slots[16];
static char slot_names[16][5];

static void fill_slots(void)
{
    for (unsigned i = 0; i < MV_COUNT(slots); i++) {
        snprintf(slot_names[i], sizeof(slot_names[i]), "VR%02u", i);
        slots[i].desc = (struct mv_device_desc){.size = sizeof(struct mv_device_desc),
                                                .name = "vdx",
                                                .compatible = "virtio,mmio",
                                                .hid = "LNRO0005",
                                                .acpi_name = slot_names[i],
                                                .space = MV_SPACE_MMIO,
                                                .base = MV_VIRTIO_BASE + i * MV_VIRTIO_STRIDE,
                                                .bytes = 0x200,
                                                .irq = mv_virtio_irq(i)};
    }
}

Test(acpi, all_virtio_slots_are_there_each_with_its_range_and_edge_triggered_interrupt)
{
    const uint8_t *aml;

    fill_slots();
    used = mv_acpi_write(bytes, SIZE, GPA, slots, MV_COUNT(slots), 1);
    cr_assert_gt(used, 0);
    aml = dsdt();
    for (unsigned i = 0; i < MV_COUNT(slots); i++) {
        /* Memory32Fixed, 6.4.3.4; extended interrupt, 6.4.3.6: consumer, edge, high, exclusive */
        const uint8_t resources[] = {
            0x86, 9, 0, 1, 0, (uint8_t)(i << 4),         0, 0xd0, 0, 2, 0, 0,
            0x89, 6, 0, 3, 1, (uint8_t)mv_virtio_irq(i), 0, 0,    0};
        const uint8_t uid[] = {0x08, '_', 'U', 'I', 'D'};
        const uint8_t *slot = find(aml, slot_names[i], 4), *end = aml + get(aml + 4, 4);

        cr_assert_not_null(slot, "%s", slot_names[i]);
        cr_expect_null(memmem(slot + 4, (size_t)(end - slot) - 4, slot_names[i], 4), "once");
        cr_expect_not_null(find(aml, resources, sizeof(resources)), "%s", slot_names[i]);
        cr_expect_not_null(memmem(slot, 64, uid, sizeof(uid)), "%s", slot_names[i]);
    }
}

Test(acpi, all_virtio_slots_fit_with_as_many_cpus_as_ever)
{
    static struct mv_device all[MV_COUNT(devices) + MV_COUNT(slots)];
    unsigned most = 1024;

    fill_slots();
    memcpy(all, devices, sizeof(devices));
    memcpy(all + MV_COUNT(devices), slots, sizeof(slots));
    all[3] = all[0]; /* the virtio slot among them */
    all[3].desc.hid = NULL;
    cr_expect_gt(mv_acpi_write(bytes, SIZE, GPA, all, MV_COUNT(all), most), 0);
}

/* ---- MADT, 5.2.12 ---- */

static void check_madt(unsigned cpus)
{
    const uint8_t *madt, *at, *end;
    unsigned seen = 0, io_apics = 0, nmis = 0, x2apic_nmis = 0;

    used = mv_acpi_write(bytes, SIZE, GPA, devices, MV_COUNT(devices), cpus);
    cr_assert_gt(used, 0);
    madt = table("APIC");
    end = madt + get(madt + 4, 4);
    cr_expect_eq(get(madt + 36, 4), 0xfee00000);
    cr_expect_eq(get(madt + 40, 4), 0, "no 8259 pair");
    for (at = madt + 44; at < end; at += at[1]) {
        cr_assert(at[1] >= 2 && at[1] <= end - at);
        switch (at[0]) {
        case 0: /* local APIC */
            cr_expect_eq(at[1], 8);
            cr_expect(at[2] == seen && at[3] == seen && seen < 255);
            cr_expect_eq(get(at + 4, 4), 1);
            seen++;
            break;
        case 9: /* local x2APIC */
            cr_expect_eq(at[1], 16);
            cr_expect(get(at + 4, 4) == seen && get(at + 12, 4) == seen && seen >= 255);
            cr_expect_eq(get(at + 8, 4), 1);
            seen++;
            break;
        case 1: /* I/O APIC */
            cr_expect_eq(at[1], 12);
            cr_expect_eq(get(at + 4, 4), 0xfec00000);
            cr_expect_eq(get(at + 8, 4), 0);
            io_apics++;
            break;
        case 4: /* NMI of local APICs: all of them, LINT1 */
            cr_expect(at[1] == 6 && at[2] == 0xff && at[5] == 1);
            nmis++;
            break;
        case 10: /* NMI of local x2APICs: likewise */
            cr_expect(at[1] == 12 && get(at + 4, 4) == UINT32_MAX && at[8] == 1);
            x2apic_nmis++;
            break;
        default: cr_assert_fail("an entry of type %u", at[0]);
        }
    }
    cr_expect_eq(at, end);
    cr_expect(seen == cpus && io_apics == 1 && nmis == 1 && x2apic_nmis == (cpus > 255));
}

Test(acpi, the_madt_lists_every_cpu)
{
    static const unsigned counts[] = {1, 2, 4, 254, 255, 256, 300, 1024};

    for (unsigned i = 0; i < MV_COUNT(counts); i++)
        check_madt(counts[i]);
}

/* ---- space ---- */

Test(acpi, a_buffer_that_is_too_small_by_any_count_is_refused_and_not_overrun)
{
    for (int64_t size = 0; size < used; size++) {
        uint8_t *small = malloc((size_t)size + 1); /* a sanitizer sees the byte behind */

        small[size] = 0xee;
        cr_expect_eq(mv_acpi_write(small, (size_t)size, GPA, devices, MV_COUNT(devices), 4),
                     -ENOSPC, "%lld bytes", (long long)size);
        cr_expect_eq(small[size], 0xee);
        free(small);
    }
    cr_expect_eq(mv_acpi_write(bytes, (size_t)used, GPA, devices, MV_COUNT(devices), 4), used);
}

Test(acpi, more_cpus_than_fit_below_1_mib_are_refused)
{
    cr_expect_eq(mv_acpi_write(bytes, SIZE, GPA, devices, MV_COUNT(devices), 100000), -ENOSPC);
}

Test(acpi, far_too_many_cpus_are_refused_at_once, .timeout = 2)
{
    cr_expect_eq(mv_acpi_write(bytes, SIZE, GPA, devices, MV_COUNT(devices), UINT_MAX), -ENOSPC);
}

Test(acpi, a_machine_without_devices_has_tables_too)
{
    used = mv_acpi_write(bytes, SIZE, GPA, NULL, 0, 1);
    cr_assert_gt(used, 0);
    cr_expect_null(find(dsdt(), "_HID", 4));
}

/* ---- for a kernel of an old PC ---- */

/* As such kernels do: the RSDT, the FADT's fields of ACPI 1.0, and the bytes behind "_S5_". */
Test(acpi, an_old_kernel_finds_how_to_switch_off)
{
    struct mv_mem mem = {.count = 1, .regions = {{.base = GPA, .size = SIZE, .host = bytes}}};
    const uint8_t *rsdt, *fadt, *s5;

    mv_oldpc_fit_acpi(&mem);
    used = SIZE;
    cr_expect_eq(sum(bytes, 36), 0);
    cr_expect_eq(sum(bytes, 20), 0);
    rsdt = table_at(get(bytes + 16, 4), "RSDT");
    cr_assert_eq(get(rsdt + 4, 4), 36 + 2 * 4);
    fadt = table_at(get(rsdt + 36, 4), "FACP");
    table_at(get(rsdt + 40, 4), "APIC");
    cr_expect_eq(fadt, table("FACP"), "the XSDT names the same");
    cr_expect_eq(get(fadt + 4, 4), 276);
    cr_expect_eq(get(fadt + 46, 2), 9, "SCI_INT");
    cr_expect_eq(get(fadt + 48, 4), 0, "no SMI command: it is in ACPI mode");
    cr_expect_eq(get(fadt + 56, 4), 0x608, "PM1a events");
    cr_expect_eq(get(fadt + 64, 4), 0x604, "PM1a control");
    cr_expect_eq(get(fadt + 68, 4), 0, "no PM1b");
    cr_expect(fadt[88] == 4 && fadt[89] == 2, "their lengths");
    cr_expect_eq(fadt[108], 0x32, "the century in the clock");
    cr_expect_eq(get(fadt + 109, 2), 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4, "8042, clock");
    cr_expect_eq(get(fadt + 112, 4), 1u << 0 | 1u << 4 | 1u << 5 | 1u << 10,
                 "not hardware-reduced");
    cr_expect(fadt[148] == 1 && fadt[149] == 32 && fadt[172] == 1 && fadt[173] == 16);
    cr_expect_eq(get(fadt + 152, 8), 0x608);
    cr_expect_eq(get(fadt + 176, 8), 0x604);
    cr_expect_eq(table("APIC")[40] & 1, 1, "a pair of 8259s");
    s5 = find(table_at(get(fadt + 40, 4), "DSDT"), "\x08_S5_\x12", 6);
    cr_assert_not_null(s5);
    cr_expect_lt(s5[6], 0x40, "the length of the package in one byte");
    cr_expect(s5[7] >= 2 && s5[8] == 0x0a && s5[9] == 5, "SLP_TYPa");
    cr_expect(s5[10] == 0x0a && s5[11] == 5, "SLP_TYPb");
}
