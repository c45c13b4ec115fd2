/* SPDX-License-Identifier: MIT */
/* CPUID fitted to a machine, on tables such as KVM gives on Intel and AMD hosts. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "x86.h"

#define ROOM 64

static struct kvm_cpuid2 *table;

static void start(void)
{
    table = calloc(1, sizeof(*table) + ROOM * sizeof(table->entries[0]));
    cr_assert_not_null(table);
}

static void stop(void)
{
    free(table);
}

TestSuite(cpuid, .init = start, .fini = stop);

static struct kvm_cpuid_entry2 *find(uint32_t function, uint32_t index)
{
    for (unsigned i = 0; i < table->nent; i++)
        if (table->entries[i].function == function && table->entries[i].index == index)
            return &table->entries[i];
    return NULL;
}

static struct kvm_cpuid_entry2 *get(uint32_t function, uint32_t index)
{
    struct kvm_cpuid_entry2 *entry = find(function, index);

    cr_assert_not_null(entry, "leaf %#x.%u is there", function, index);
    return entry;
}

static void add(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
                uint32_t edx)
{
    cr_assert_lt(table->nent, ROOM);
    table->entries[table->nent++] = (struct kvm_cpuid_entry2){
        .function = function, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx};
}

/* A host of 2 threads times 8 cores; numbers that a fitting must replace. */
static void intel(uint32_t max_leaf)
{
    add(0, 0, max_leaf, 0x756e6547, 0x6c65746e, 0x49656e69);
    add(1, 0, 0x806f8, 0x07100800, 0x7ffafbff & ~(1u << 31), 0xbfebfbff);
    add(4, 0, 0x1c004121, 0x02c0003f, 0x3f, 0);  /* L1 data */
    add(4, 1, 0x1c004122, 0x01c0003f, 0x3f, 0);  /* L1 code */
    add(4, 2, 0x1c004143, 0x03c0003f, 0x7ff, 0); /* L2 */
    add(4, 3, 0x1c03c163, 0x03c0003f, 0xffff, 4);
    add(4, 4, 0, 0, 0, 0);
    if (max_leaf >= 0xb) {
        add(0xb, 0, 1, 2, 0x100, 7);
        add(0xb, 1, 4, 16, 0x201, 7);
    }
    if (max_leaf >= 0x16)
        add(0x16, 0, 2000, 3500, 100, 0);
    if (max_leaf >= 0x1f)
        add(0x1f, 0, 1, 2, 0x100, 7);
    add(0x80000000, 0, 0x80000008, 0, 0, 0);
    add(0x80000001, 0, 0, 0, 0x121, 0x2c100800);
    add(0x80000008, 0, 0x302e, 0, 0, 0);
}

static void amd(void)
{
    add(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
    add(1, 0, 0xa00f11, 0x07100800, 0x7ed8320b, 0x178bfbff);
    add(0xb, 0, 1, 2, 0x100, 7);
    add(0xb, 1, 4, 16, 0x201, 7);
    add(0x80000000, 0, 0x80000021, 0x68747541, 0x444d4163, 0x69746e65);
    add(0x80000001, 0, 0xa00f11, 0x40000000, 0x75c237fd, 0x2fd3fbff);
    add(0x80000008, 0, 0x3030, 0x111ef657, 0x700f, 0);
    add(0x8000001d, 0, 0x4121, 0x1c0003f, 0x3f, 0);
    add(0x8000001d, 1, 0x4122, 0x1c0003f, 0x3f, 0);
    add(0x8000001d, 2, 0x4143, 0x1c0003f, 0x3ff, 2);
    add(0x8000001d, 3, 0x3c163, 0x3c0003f, 0x7fff, 1);
    add(0x8000001d, 4, 0, 0, 0, 0);
    add(0x8000001e, 0, 0x7, 0x103, 0x001, 0);
}

static const struct {
    unsigned cpus, bits; /* bits: of the APIC ID that name a core */
} rows[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {255, 8}, {256, 8}, {257, 9}};

Test(cpuid, leaf_1_counts_processors_and_says_that_a_hypervisor_is_there)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        const struct kvm_cpuid_entry2 *leaf;

        table->nent = 0;
        intel(0x20);
        find(1, 0)->ecx &= ~(1u << 24);
        mv_cpuid_fit(table, ROOM, rows[i].cpus, 0, rows[i].cpus > 2);
        leaf = get(1, 0);
        cr_expect_eq(leaf->ebx >> 16 & 0xff, mv_min(rows[i].cpus, 255));
        cr_expect_eq(leaf->ebx & 0xffff, 0x0800, "CLFLUSH size stays");
        cr_expect(leaf->ecx >> 31);
        cr_expect_eq(leaf->ecx >> 24 & 1, rows[i].cpus > 2, "the deadline timer is KVM's");
        cr_expect_eq(leaf->edx >> 28 & 1, rows[i].cpus > 1, "HTT");
    }
}

Test(cpuid, the_topology_leaves_show_one_socket_of_single_thread_cores)
{
    static const uint32_t leaves[] = {0xb, 0x1f};

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        table->nent = 0;
        intel(0x20);
        mv_cpuid_fit(table, ROOM, rows[i].cpus, 0, false);
        for (unsigned j = 0; j < MV_COUNT(leaves); j++) {
            const struct kvm_cpuid_entry2 *threads = get(leaves[j], 0), *cores = get(leaves[j], 1),
                                          *end = get(leaves[j], 2);

            cr_expect(threads->eax == 0 && threads->ebx == 1 && threads->ecx == 0x100);
            cr_expect_eq(cores->eax, rows[i].bits, "%u CPUs", rows[i].cpus);
            cr_expect_eq(cores->ebx, rows[i].cpus);
            cr_expect_eq(cores->ecx, 0x201);
            cr_expect(end->eax == 0 && end->ebx == 0 && end->ecx == 2);
            cr_expect_eq(end->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
        }
    }
}

Test(cpuid, topology_leaves_that_the_host_does_not_have_are_not_made)
{
    intel(0xa);
    mv_cpuid_fit(table, ROOM, 4, 0, false);
    cr_expect_null(find(0xb, 0));
    cr_expect_null(find(0x1f, 0));
    stop();
    start();
    intel(0x16);
    mv_cpuid_fit(table, ROOM, 4, 0, false);
    cr_expect_not_null(find(0xb, 2));
    cr_expect_null(find(0x1f, 0));
}

Test(cpuid, private_caches_stay_private_and_the_last_level_is_shared)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        table->nent = 0;
        intel(0x20);
        mv_cpuid_fit(table, ROOM, rows[i].cpus, 0, false);
        for (unsigned index = 0; index < 4; index++) {
            const struct kvm_cpuid_entry2 *leaf = get(4, index);

            cr_expect_eq((leaf->eax >> 14 & 0xfff) + 1, index == 3 ? rows[i].cpus : 1);
            cr_expect_eq((leaf->eax >> 26) + 1, mv_min(1u << rows[i].bits, 64));
            cr_expect_eq(leaf->eax & 0x3fff, index == 3   ? 0x0163
                                             : index == 2 ? 0x0143
                                                          : 0x0121 + index);
        }
        cr_expect_eq(get(4, 4)->eax, 0, "the end of the list stays one");
    }
}

Test(cpuid, amd_leaves_count_cores)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        table->nent = 0;
        amd();
        mv_cpuid_fit(table, ROOM, rows[i].cpus, 0, false);
        cr_expect_eq(get(0x80000001, 0)->ecx >> 1 & 1, rows[i].cpus > 1, "CmpLegacy");
        cr_expect_eq(get(0x80000008, 0)->ecx & 0xff, mv_min(rows[i].cpus - 1, 255));
        cr_expect_eq(get(0x80000008, 0)->ecx >> 12 & 0xf, rows[i].bits);
        cr_expect_eq(get(0x80000008, 0)->eax, 0x3030, "address bits stay");
        cr_expect_eq(get(0x8000001e, 0)->ebx >> 8, 0, "one thread for each core");
        cr_expect_eq(get(0x8000001e, 0)->ecx, 0, "one node");
        cr_expect_eq((get(0x8000001d, 2)->eax >> 14 & 0xfff) + 1, 1);
        cr_expect_eq((get(0x8000001d, 3)->eax >> 14 & 0xfff) + 1, rows[i].cpus);
        cr_expect_eq(get(0x8000001d, 3)->eax >> 26, 0, "reserved on AMD");
        cr_expect_eq(get(0xb, 1)->ebx, rows[i].cpus);
    }
}

Test(cpuid, amd_leaves_of_an_intel_host_are_left_alone)
{
    intel(0x20);
    mv_cpuid_fit(table, ROOM, 4, 0, false);
    cr_expect_eq(get(0x80000001, 0)->ecx, 0x121);
    cr_expect_eq(get(0x80000008, 0)->ecx, 0);
}

Test(cpuid, a_known_tsc_frequency_is_told)
{
    const struct kvm_cpuid_entry2 *leaf;

    intel(0x20);
    mv_cpuid_fit(table, ROOM, 1, 2893215, false);
    leaf = get(0x15, 0);
    cr_expect_lt(llabs((int64_t)leaf->ecx * leaf->ebx / leaf->eax - 2893215000ll), 10000);
    cr_expect_eq(leaf->ecx, 1000000000, "the local APIC timer's clock");
    cr_expect_eq(get(0x16, 0)->eax, 2893);
    cr_expect_eq(get(0, 0)->eax, 0x20);
}

/* Linux multiplies the crystal's kHz and the numerator in 32 bits. */
Test(cpuid, every_tsc_frequency_is_near_for_a_guest_that_computes_in_32_bits)
{
    static const uint32_t khz[] = {800000,  1000001, 1999999, 2000000, 2000123,
                                   2400000, 2592003, 3399998, 3999990, 4200000};

    intel(0x20);
    for (unsigned i = 0; i < MV_COUNT(khz); i++) {
        const struct kvm_cpuid_entry2 *leaf;
        uint32_t told;

        mv_cpuid_fit(table, ROOM, 1, khz[i], false);
        leaf = get(0x15, 0);
        told = leaf->ecx / 1000 * leaf->ebx / leaf->eax;
        cr_expect_lt(llabs((int64_t)told - khz[i]), 1 + khz[i] / 10000, "%u kHz told as %u", khz[i],
                     told);
    }
}

Test(cpuid, a_tsc_frequency_beyond_all_reason_is_not_told)
{
    intel(0xd);
    mv_cpuid_fit(table, ROOM, 1, 1, false);
    mv_cpuid_fit(table, ROOM, 1, UINT32_MAX, false);
    cr_expect_null(find(0x15, 0));
}

/* As KVM of Linux 6.1 has it on a Sapphire Rapids. */
Test(cpuid, one_half_of_amx_is_taken_away)
{
    intel(0x20);
    add(7, 0, 2, 0, 0, 1u << 22 | 1u << 24 | 1u << 25 | 1u << 26);
    add(7, 1, 1u << 21 | 1u << 4, 0, 0, 0);
    add(0xd, 0, 1u << 17 | 0xe7, 0xa80, 0xa80, 0);
    mv_cpuid_fit(table, ROOM, 1, 0, false);
    cr_expect_eq(get(0xd, 0)->eax, 0xe7);
    cr_expect_eq(get(7, 0)->edx, 1u << 26);
    cr_expect_eq(get(7, 1)->eax, 1u << 4);
}

Test(cpuid, the_tsc_leaf_raises_the_highest_leaf)
{
    intel(0xd);
    mv_cpuid_fit(table, ROOM, 1, 1000000, false);
    cr_expect_eq(get(0, 0)->eax, 0x15);
    cr_expect_not_null(find(0x15, 0));
}

Test(cpuid, an_unknown_tsc_frequency_adds_nothing)
{
    intel(0xd);
    mv_cpuid_fit(table, ROOM, 1, 0, false);
    cr_expect_null(find(0x15, 0));
    cr_expect_eq(get(0, 0)->eax, 0xd);
}

Test(cpuid, a_full_table_is_never_written_beyond)
{
    unsigned full;

    intel(0x20);
    full = table->nent;
    for (unsigned room = full; room < full + 6; room++) {
        table->nent = 0;
        intel(0x20);
        memset(&table->entries[full], 0xee, (ROOM - full) * sizeof(table->entries[0]));
        mv_cpuid_fit(table, room, 300, 2000000, false);
        cr_expect_leq(table->nent, room);
        for (unsigned i = room; i < ROOM; i++)
            cr_expect_eq(table->entries[i].function, 0xeeeeeeee);
    }
}

Test(cpuid, only_pv_eoi_is_refused)
{
    add(0x40000001, 0, 0x01007efb, 1, 2, 3);
    mv_cpuid_refuse_pv_eoi(table);
    cr_expect_eq(get(0x40000001, 0)->eax, 0x01007ebb);
    cr_expect_eq(get(0x40000001, 0)->ebx, 1);
    mv_cpuid_refuse_pv_eoi(table);
    cr_expect_eq(get(0x40000001, 0)->eax, 0x01007ebb);
}

Test(cpuid, an_empty_table_stays_harmless)
{
    mv_cpuid_refuse_pv_eoi(table);
    mv_cpuid_fit(table, ROOM, 4, 2000000, false);
    mv_cpuid_set_apic_id(table, 3);
    cr_expect_eq(table->nent, 0);
    cr_expect_eq(mv_cpuid_address_bits(table), 36);
}

Test(cpuid, each_vcpu_has_its_apic_id_in_every_leaf)
{
    static const uint32_t ids[] = {0, 1, 3, 254, 255, 256, 299};

    intel(0x20);
    add(0x8000001e, 0, 7, 0x103, 0, 0);
    mv_cpuid_fit(table, ROOM, 300, 0, false);
    for (unsigned i = 0; i < MV_COUNT(ids); i++) {
        mv_cpuid_set_apic_id(table, ids[i]);
        cr_expect_eq(get(1, 0)->ebx >> 24, ids[i] & 0xff);
        for (unsigned index = 0; index < 3; index++) {
            cr_expect_eq(get(0xb, index)->edx, ids[i]);
            cr_expect_eq(get(0x1f, index)->edx, ids[i]);
        }
        cr_expect_eq(get(0x8000001e, 0)->eax, ids[i]);
        cr_expect_eq(get(0x8000001e, 0)->ebx & 0xff, ids[i] & 0xff);
    }
}

Test(cpuid, address_bits_are_those_of_the_guest)
{
    intel(0x20);
    cr_expect_eq(mv_cpuid_address_bits(table), 46);
    table->nent = 0;
    amd();
    cr_expect_eq(mv_cpuid_address_bits(table), 48);
}
