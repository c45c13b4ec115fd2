/* SPDX-License-Identifier: MIT */
/*
 * CPUID: what KVM supports, fitted to the machine that we present: one socket with single-thread
 * cores, where a vCPU's index is its APIC ID.  Leaves are those of Intel's manual (SDM volume 2,
 * CPUID) and AMD's (APM volume 3, appendix E).
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "x86.h"

#define ENTRIES     256      /* KVM reports about 60 to 100 */
#define CRYSTAL_KHZ 1000000u /* KVM's local APIC timer counts nanoseconds */

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
    for (unsigned i = 0; i < cpuid->nent; i++)
        if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
            return &cpuid->entries[i];
    return NULL;
}

static struct kvm_cpuid_entry2 *find_or_add(struct kvm_cpuid2 *cpuid, unsigned room,
                                            uint32_t function, uint32_t index)
{
    struct kvm_cpuid_entry2 *entry = find(cpuid, function, index);

    if (entry || cpuid->nent >= room)
        return entry;
    entry = &cpuid->entries[cpuid->nent++];
    *entry = (struct kvm_cpuid_entry2){.function = function, .index = index};
    return entry;
}

static void set_bit(uint32_t *reg, unsigned bit, bool on)
{
    *reg = (*reg & ~(1u << bit)) | (uint32_t)on << bit;
}

/* The least n with 1 << n >= cpus: how many bits of the APIC ID select a core. */
static unsigned id_bits(unsigned cpus)
{
    unsigned bits = 0;

    while (1u << bits < cpus)
        bits++;
    return bits;
}

/* Leaf 1: number of logical processors, HTT, and the bits that KVM leaves to us. */
static void fit_features(struct kvm_cpuid2 *cpuid, unsigned cpus, bool deadline)
{
    struct kvm_cpuid_entry2 *entry = find(cpuid, 1, 0);

    if (!entry)
        return;
    entry->ebx &= 0x0000ffff; /* brand index and CLFLUSH size */
    entry->ebx |= (uint32_t)mv_min(cpus, 255) << 16;
    entry->ecx |= 1u << 31; /* runs under a hypervisor */
    entry->ecx |= (uint32_t)deadline << 24;
    set_bit(&entry->edx, 28, cpus > 1); /* HTT: the count in EBX is valid */
}

/* Intel leaf 4, AMD leaf 0x8000001d: level 3 is shared by all cores, lower levels are private. */
static void fit_caches(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    for (unsigned i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        bool intel = entry->function == 4, amd = entry->function == 0x8000001d;
        unsigned level = entry->eax >> 5 & 7, sharing = level >= 3 ? cpus : 1;

        if ((!intel && !amd) || !(entry->eax & 0x1f))
            continue;
        entry->eax &= 0x3fff;
        entry->eax |= (sharing - 1) << 14;
        if (intel)
            entry->eax |= (uint32_t)mv_min((1u << id_bits(cpus)) - 1, 63) << 26;
    }
}

/* Leaves 0xb and 0x1f: level 0 is threads (one), level 1 is cores (all). */
static void fit_topology(struct kvm_cpuid2 *cpuid, unsigned room, unsigned cpus, uint32_t function)
{
    const struct kvm_cpuid_entry2 *leaf0 = find(cpuid, 0, 0);
    struct kvm_cpuid_entry2 *entry;

    if (!leaf0 || leaf0->eax < function)
        return;
    for (uint32_t index = 0; index < 3; index++) {
        entry = find_or_add(cpuid, room, function, index);
        if (!entry)
            return;
        entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        entry->eax = index == 1 ? id_bits(cpus) : 0; /* bits to shift to the next level */
        entry->ebx = index == 0 ? 1 : index == 1 ? cpus : 0;
        entry->ecx = index | (index < 2 ? (index + 1) << 8 : 0); /* type 1 thread, 2 core */
    }
}

/*
 * AMX needs a permission that this process does not request from the host's kernel (arch_prctl(2),
 * ARCH_REQ_XCOMP_GUEST_PERM).  Without it KVM hides XTILEDATA but, before Linux 6.4, not XTILECFG,
 * and then refuses the XCR0 that a guest sets accordingly.
 */
static void fit_amx(struct kvm_cpuid2 *cpuid)
{
    const uint32_t both = 3u << 17; /* XTILECFG, XTILEDATA */
    struct kvm_cpuid_entry2 *entry = find(cpuid, 0xd, 0);

    if (!entry || (entry->eax & both) == both)
        return;
    entry->eax &= ~both;
    entry = find(cpuid, 7, 0);
    if (entry)
        entry->edx &= ~(1u << 22 | 1u << 24 | 1u << 25); /* AMX-BF16, AMX-TILE, AMX-INT8 */
    entry = find(cpuid, 7, 1);
    if (entry)
        entry->eax &= ~(1u << 21); /* AMX-FP16 */
}

/* AMD: leaf 0x80000008 ECX (cores), 0x8000001e (IDs), CmpLegacy. */
static void fit_amd(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    struct kvm_cpuid_entry2 *entry = find(cpuid, 0, 0);
    bool amd = entry && (entry->ebx == 0x68747541 /* AuthenticAMD */ ||
                         entry->ebx == 0x6f677948 /* HygonGenuine */);

    if (!amd)
        return;
    entry = find(cpuid, 0x80000001, 0);
    if (entry)
        set_bit(&entry->ecx, 1, cpus > 1); /* CmpLegacy: HTT counts cores, not threads */
    entry = find(cpuid, 0x80000008, 0);
    if (entry)
        entry->ecx = (uint32_t)mv_min(cpus - 1, 255) | id_bits(cpus) << 12;
    entry = find(cpuid, 0x8000001e, 0);
    if (entry) {
        entry->ebx = 0; /* core 0, one thread; IDs are set for each vCPU */
        entry->ecx = 0; /* one node */
    }
}

/*
 * The ratio of the TSC's frequency to the crystal's, as close as it can be for a guest that
 * multiplies in 32 bits: Linux multiplies the crystal's kHz by the numerator
 * (native_calibrate_tsc).  *ret_over is 0 if no ratio fits.
 */
static void tsc_ratio(uint32_t tsc_khz, uint32_t *ret_over, uint32_t *ret_under)
{
    const uint32_t most = UINT32_MAX / CRYSTAL_KHZ;
    uint64_t best = 0; /* error of the best ratio, times its denominator */

    *ret_over = 0;
    *ret_under = 1;
    for (uint32_t under = 1; under <= most; under++) {
        uint64_t exact = (uint64_t)tsc_khz * under;
        uint64_t over = (exact + CRYSTAL_KHZ / 2) / CRYSTAL_KHZ, near = over * CRYSTAL_KHZ;
        uint64_t off = exact > near ? exact - near : near - exact;

        if (over > most)
            break;
        if (over == 0 || (*ret_over && off * *ret_under >= best * under))
            continue;
        best = off;
        *ret_over = (uint32_t)over;
        *ret_under = under;
    }
}

/* Leaf 0x15: TSC frequency = ECX * EBX / EAX; leaf 0x16: MHz. */
static void fit_tsc(struct kvm_cpuid2 *cpuid, unsigned room, uint32_t tsc_khz)
{
    struct kvm_cpuid_entry2 *leaf0 = find(cpuid, 0, 0), *entry;
    uint32_t over, under;

    tsc_ratio(tsc_khz, &over, &under);
    if (!over || !leaf0)
        return;
    entry = find_or_add(cpuid, room, 0x15, 0);
    if (!entry)
        return;
    entry->eax = under;
    entry->ebx = over;
    entry->ecx = CRYSTAL_KHZ * 1000;
    leaf0->eax = (uint32_t)mv_max(leaf0->eax, 0x15);
    entry = find(cpuid, 0x16, 0);
    if (entry) {
        entry->eax = entry->ebx = tsc_khz / 1000;
        entry->ecx = 100;
    }
}

void mv_cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned room, unsigned cpus, uint32_t tsc_khz,
                  bool deadline)
{
    fit_features(cpuid, cpus, deadline);
    fit_caches(cpuid, cpus);
    fit_tsc(cpuid, room, tsc_khz);
    fit_topology(cpuid, room, cpus, 0xb);
    if (find(cpuid, 0x1f, 0))
        fit_topology(cpuid, room, cpus, 0x1f);
    fit_amd(cpuid, cpus);
    fit_amx(cpuid);
}

void mv_cpuid_refuse_pv_eoi(struct kvm_cpuid2 *cpuid)
{
    struct kvm_cpuid_entry2 *entry = find(cpuid, KVM_CPUID_FEATURES, 0);

    if (entry)
        entry->eax &= ~(1u << KVM_FEATURE_PV_EOI);
}

void mv_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id)
{
    for (unsigned i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        switch (entry->function) {
        case 1: entry->ebx = (entry->ebx & 0x00ffffff) | (apic_id & 0xff) << 24; break;
        case 0xb:
        case 0x1f: entry->edx = apic_id; break;
        case 0x8000001e:
            entry->eax = apic_id;
            entry->ebx = (entry->ebx & 0xffffff00) | (apic_id & 0xff);
            break;
        default: break;
        }
    }
}

unsigned mv_cpuid_address_bits(const struct kvm_cpuid2 *cpuid)
{
    for (unsigned i = 0; i < cpuid->nent; i++)
        if (cpuid->entries[i].function == 0x80000008)
            return cpuid->entries[i].eax & 0xff;
    return 36; /* as on the oldest CPUs with hardware virtualization */
}

int mv_cpuid_init(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                  struct mv_error *err)
{
    bool deadline = mv_kvm_check(kvm, KVM_CAP_TSC_DEADLINE_TIMER);
    bool has_khz = mv_kvm_check(kvm, KVM_CAP_GET_TSC_KHZ);
    int tsc_khz = has_khz ? MV_KVM_CALL_VALUE(kvm, kvm->vm, KVM_GET_TSC_KHZ, 0) : 0;
    unsigned bits;
    int error;

    arch->cpuid = calloc(1, sizeof(*arch->cpuid) + ENTRIES * sizeof(struct kvm_cpuid_entry2));
    if (!arch->cpuid)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the CPUID table");
    arch->cpuid->nent = ENTRIES;
    error = MV_KVM_CALL(kvm, kvm->dev, KVM_GET_SUPPORTED_CPUID, arch->cpuid);
    if (error < 0)
        return mv_fail(err, error, "KVM_GET_SUPPORTED_CPUID", NULL,
                       "cannot read the CPUID that KVM supports: %s", strerror(-error));
    mv_cpuid_fit(arch->cpuid, ENTRIES, arch->cpus, tsc_khz > 0 ? (uint32_t)tsc_khz : 0, deadline);
    /*
     * Up to at least version 10.0, QEMU's emulated SVM delivers an injected interrupt a second
     * time, even with interrupts disabled, if emulation pauses before the guest has made any exit:
     * VMRUN leaves the vector where a pause looks for an exception.  Linux then waits for a spin
     * lock that it holds itself.
     */
    if (mv_emulated_by_tcg())
        mv_cpuid_refuse_pv_eoi(arch->cpuid); /* ending an interrupt by an exit closes the gap */
    bits = mv_cpuid_address_bits(arch->cpuid);
    if (bits < 64 && mv_mem_last(mem) >> bits)
        return mv_fail(err, -EINVAL, NULL, "give the guest less memory",
                       "this host supports at most %llu GiB of guest memory",
                       (unsigned long long)((1ull << bits) / MV_GIB));
    return 0;
}
