/* SPDX-License-Identifier: MIT */
/*
 * CPUID on the first of cpus=N CPUs: one socket of N cores with one thread each,
 * KVM, the features that a kernel for virtual machines looks for, and the sizes of what XSAVE
 * saves, of which Linux 7 does not start if they contradict each other.
 */
#include "runtime.h"

enum { LEVEL_NONE = 0, LEVEL_THREAD = 1, LEVEL_CORE = 2 };

static unsigned bits_for(unsigned cpus)
{
    unsigned bits = 0;

    while (1u << bits < cpus)
        bits++;
    return bits;
}

static void check_topology(unsigned leaf, unsigned cpus)
{
    struct cpuid threads = cpuid(leaf, 0), cores = cpuid(leaf, 1), end = cpuid(leaf, 2);

    check_equal(threads.c >> 8 & 0xff, LEVEL_THREAD);
    check_equal(threads.c & 0xff, 0);
    check_equal(threads.a & 0x1f, 0);
    check_equal(threads.b & 0xffff, 1);
    check_equal(threads.d, 0); /* our x2APIC ID */
    check_equal(cores.c >> 8 & 0xff, LEVEL_CORE);
    check_equal(cores.c & 0xff, 1);
    check_equal(cores.a & 0x1f, bits_for(cpus));
    check_equal(cores.b & 0xffff, cpus);
    check_equal(cores.d, 0);
    check_equal(end.c >> 8 & 0xff, LEVEL_NONE);
    check_equal(end.b & 0xffff, 0);
}

static void check_features(unsigned cpus)
{
    struct cpuid features = cpuid(1, 0);

    check_equal(features.b >> 24, 0); /* APIC ID */
    check(features.c >> 31);          /* hypervisor */
    check(features.c >> 21 & 1);      /* x2APIC */
    check_equal(features.c >> 24 & 1, option("deadline", 1));
    check(features.d >> 9 & 1); /* APIC */
    check_equal(features.d >> 28 & 1, cpus > 1);
    if (cpus > 1)
        check_equal(features.b >> 16 & 0xff, cpus);
}

static void check_hypervisor(void)
{
    struct cpuid leaf = cpuid(0x40000000, 0);

    check(same(&leaf.b, "KVMK", 4));
    check(same(&leaf.c, "VMKV", 4));
    check(same(&leaf.d, "M\0\0", 4));
    check(leaf.a >= 0x40000001);
    leaf = cpuid(0x40000001, 0);
    check(leaf.a >> 3 & 1);  /* kvm-clock by the new MSRs */
    check(leaf.a >> 24 & 1); /* and it is stable */
}

static void check_tsc(void)
{
    struct cpuid leaf = cpuid(0x15, 0);

    if (cpuid(0, 0).a < 0x15 || !leaf.a)
        return; /* the host does not know */
    check(leaf.b > 0);
    check(leaf.c > 0);
    /* between 100 MHz and 10 GHz */
    check((uint64_t)leaf.c * leaf.b / leaf.a > 100000000ull);
    check((uint64_t)leaf.c * leaf.b / leaf.a < 10000000000ull);
}

static void check_amd(unsigned cpus)
{
    struct cpuid vendor = cpuid(0, 0);

    if (!same(&vendor.b, "Auth", 4))
        return;
    check(cpuid(0x80000000, 0).a >= 0x80000008);
    check_equal(cpuid(0x80000008, 0).c & 0xff, cpus - 1);
    check_equal(cpuid(0x80000008, 0).c >> 12 & 0xf, bits_for(cpus));
    check_equal(cpuid(0x80000001, 0).c >> 1 & 1, cpus > 1);
    if (cpuid(0x80000001, 0).c >> 22 & 1) /* topology extensions */
        check_equal(cpuid(0x8000001e, 0).a, 0);
}

/* XCR0 with all that there is: CR4.OSXSAVE has to be set before. */
static void enable_xsave(uint64_t features)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | 1u << 18));
    __asm__ volatile("xsetbv" ::"a"((uint32_t)features), "d"((uint32_t)(features >> 32)), "c"(0));
}

/* Intel's manual, volume 1, 13.2 and 13.4: leaf 0xd has the size of all features and of those that
 * are enabled, and the place of each; after the registers of x87 and SSE and a header in the first
 * 576 bytes.  In the compacted form they follow each other, some at multiples of 64. */
static void check_xsave(void)
{
    enum { FIRST = 576 };
    uint32_t end = FIRST, compacted = FIRST;
    struct cpuid leaf;

    if (!(cpuid(1, 0).c >> 26 & 1))
        return;
    leaf = cpuid(0xd, 0);
    uint64_t features = (uint64_t)leaf.d << 32 | leaf.a;
    enable_xsave(features);
    for (unsigned i = 2; i < 63; i++) {
        if (!(features >> i & 1))
            continue;
        leaf = cpuid(0xd, i);
        if (leaf.b + leaf.a > end)
            end = leaf.b + leaf.a;
        compacted = (leaf.c & 2 ? (compacted + 63) & ~63u : compacted) + leaf.a;
    }
    check_equal(cpuid(0xd, 0).c, end);
    check_equal(cpuid(0xd, 0).b, end);
    if (cpuid(0xd, 1).a & 2) /* XSAVEC */
        check_equal(cpuid(0xd, 1).b, compacted);
}

void test(void)
{
    unsigned cpus = (unsigned)option("cpus", 1);

    check_features(cpus);
    check_hypervisor();
    if (cpuid(0, 0).a >= 0xb)
        check_topology(0xb, cpus);
    if (cpuid(0, 0).a >= 0x1f && cpuid(0x1f, 0).b)
        check_topology(0x1f, cpus);
    check_tsc();
    check_amd(cpus);
    check_xsave();
}
