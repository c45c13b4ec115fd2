/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's state at the guest's first instruction, by entry mode:
 *
 *            Linux 64-bit        Linux 32-bit        PVH
 *   CR0      PE, PG, NE, ET      PE, ET              PE, ET
 *   CR4      PAE                 0                   0
 *   EFER     LME, LMA            0                   0
 *   CS       flat 64-bit         flat 32-bit         flat 32-bit
 *   pointer  RSI: boot_params    ESI: boot_params    EBX: hvm_start_info
 *
 * (Documentation/x86/boot.rst, "32-bit boot protocol", "64-bit boot protocol"; Xen,
 * docs/misc/pvh.pandoc.)  Kernels of other formats that are entered like PVH may get other
 * selectors, and EAX.  Flat binaries in 32- and 64-bit mode start like Linux, with the vCPU's index
 * in RDI, a stack in RSP, and x87 and SSE turned on for compiled code (SDM volume 3, 9.6.1): CR0.MP
 * and NE, CR4.OSFXSR and OSXMMEXCPT.  Interrupts are off.  Only vCPU 0 starts like this; KVM keeps
 * the others waiting until the guest sends them INIT and SIPI.  A bare machine has no local APICs:
 * there all vCPUs start at once.
 */
#include <errno.h>
#include <string.h>

#include "core/vcpu.h"
#include "layout.h"
#include "x86.h"

enum {
    CR0_PE = 1u << 0,
    CR0_MP = 1u << 1,
    CR0_ET = 1u << 4,
    CR0_NE = 1u << 5,
    CR0_PG = 1u << 31,
    CR4_PAE = 1u << 5,
    CR4_OSFXSR = 1u << 9,
    CR4_OSXMMEXCPT = 1u << 10,
    EFER_LME = 1u << 8,
    EFER_LMA = 1u << 10,
    PTE_PRESENT_WRITE = 0x3,
    PTE_LARGE = 0x80,
    MSR_MISC_ENABLE = 0x1a0,
    MISC_ENABLE_FAST_STRING = 1u << 0,
    MISC_ENABLE_NO_BTS = 1u << 11,
    MISC_ENABLE_NO_PEBS = 1u << 12,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MTRR_ENABLED_WRITE_BACK = 1u << 11 | 6,
};

/* Descriptors (SDM volume 3, 3.4.5): flat segments with the accessed bit set, and a 32-bit task
 * state segment. */
#define CODE64 0x00af9b000000ffffull
#define CODE32 0x00cf9b000000ffffull
#define DATA   0x00cf93000000ffffull
#define TSS32  0x00008b0000000067ull

/* A segment register that is loaded from this descriptor, whose base is 0. */
static struct kvm_segment load_segment(uint64_t descriptor, unsigned selector)
{
    bool pages = descriptor >> 55 & 1;
    uint32_t limit = (uint32_t)((descriptor & 0xffff) | (descriptor >> 32 & 0xf0000));

    return (struct kvm_segment){
        .limit = pages ? limit << 12 | 0xfff : limit,
        .selector = (uint16_t)selector,
        .type = descriptor >> 40 & 0xf,
        .s = descriptor >> 44 & 1,
        .present = descriptor >> 47 & 1,
        .l = descriptor >> 53 & 1,
        .db = descriptor >> 54 & 1,
        .g = pages,
    };
}

static bool is_long_mode(enum mv_entry_mode mode)
{
    return mode == MV_ENTRY_LINUX64 || mode == MV_ENTRY_FLAT64;
}

static int set_segments(const struct mv_arch *arch, struct mv_mem *mem, struct kvm_sregs *sregs)
{
    unsigned cs = arch->entry.code ? arch->entry.code : MV_SELECTOR_CS;
    uint64_t gdt[MV_SELECTOR_TSS / 8 + 1] = {[MV_SELECTOR_TSS / 8] = TSS32};

    gdt[cs / 8] = is_long_mode(arch->entry.mode) ? CODE64 : CODE32;
    gdt[cs / 8 + 1] = DATA;
    sregs->cs = load_segment(gdt[cs / 8], cs);
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = load_segment(DATA, cs + 8);
    sregs->tr = load_segment(TSS32, MV_SELECTOR_TSS);
    sregs->gdt.base = MV_GDT_GPA;
    sregs->gdt.limit = sizeof(gdt) - 1;
    sregs->idt.base = 0;
    sregs->idt.limit = 0;
    return mv_mem_write(mem, MV_GDT_GPA, gdt, sizeof(gdt)) ? 0 : -EFAULT;
}

/* Identity-maps the first 4 GiB in 2 MiB pages: one PML4, one PDPT, four PDs in a row. */
static int set_paging(struct mv_mem *mem, struct kvm_sregs *sregs)
{
    enum { ENTRIES = 512, DIRECTORIES = 4 };
    uint64_t *table = mv_mem_host(mem, MV_PAGE_TABLES, (2 + DIRECTORIES) * MV_PAGE_SIZE);

    if (!table)
        return -EFAULT;
    table[0] = (MV_PAGE_TABLES + MV_PAGE_SIZE) | PTE_PRESENT_WRITE;
    for (uint64_t i = 0; i < DIRECTORIES; i++)
        table[ENTRIES + i] = (MV_PAGE_TABLES + (2 + i) * MV_PAGE_SIZE) | PTE_PRESENT_WRITE;
    for (uint64_t i = 0; i < DIRECTORIES * ENTRIES; i++)
        table[2 * ENTRIES + i] = i * 2 * MV_MIB | PTE_PRESENT_WRITE | PTE_LARGE;
    sregs->cr3 = MV_PAGE_TABLES;
    sregs->cr4 |= CR4_PAE;
    sregs->cr0 |= CR0_PG | CR0_NE;
    sregs->efer = EFER_LME | EFER_LMA;
    return 0;
}

static int set_sregs(const struct mv_arch *arch, struct mv_mem *mem, struct mv_vcpu *vcpu)
{
    const struct mv_kvm *kvm = vcpu->host->kvm;
    struct kvm_sregs sregs;
    int error = MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_SREGS, &sregs);

    if (error)
        return error;
    if (arch->entry.mode == MV_ENTRY_FLAT16) { /* the rest as after a reset: segments of 64 KiB */
        sregs.cs.base = arch->entry.pc < 0x10000 ? 0 : arch->entry.pc & ~0xfull;
        sregs.cs.selector = (uint16_t)(sregs.cs.base >> 4);
    } else {
        bool is_flat = arch->entry.mode == MV_ENTRY_FLAT32 || arch->entry.mode == MV_ENTRY_FLAT64;

        sregs.cr0 = CR0_PE | CR0_ET | (is_flat ? CR0_MP | CR0_NE : 0);
        sregs.cr4 = is_flat ? CR4_OSFXSR | CR4_OSXMMEXCPT : 0;
        error = set_segments(arch, mem, &sregs);
        if (!error && is_long_mode(arch->entry.mode))
            error = set_paging(mem, &sregs);
        if (error)
            return error;
    }
    vcpu->run->s.regs.sregs = sregs; /* where readers expect them after an exit */
    return MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_SREGS, &sregs);
}

static int set_regs(const struct mv_arch *arch, struct mv_vcpu *vcpu)
{
    struct kvm_regs regs = {.rip = arch->entry.pc, .rflags = 0x2};

    switch (arch->entry.mode) {
    case MV_ENTRY_PVH:
        regs.rax = arch->entry.eax;
        regs.rbx = arch->entry.data;
        break;
    case MV_ENTRY_FLAT16:
        regs.rip = arch->entry.pc < 0x10000 ? arch->entry.pc : arch->entry.pc & 0xf;
        regs.rsp = arch->entry.stack;
        regs.rax = vcpu->index;
        break;
    case MV_ENTRY_FLAT32:
    case MV_ENTRY_FLAT64:
        regs.rsp = arch->entry.stack - vcpu->index * MV_PAGE_SIZE;
        regs.rdi = vcpu->index;
        break;
    default: regs.rsi = arch->entry.data; break;
    }
    vcpu->run->s.regs.regs = regs;
    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_REGS, &regs);
}

/* What firmware would have set up on each CPU. */
static int set_msrs(const struct mv_vcpu *vcpu)
{
    struct { /* struct kvm_msrs, with its entries */
        uint32_t nmsrs, pad;
        struct kvm_msr_entry entries[2];
    } msrs = {
        .nmsrs = 2,
        .entries = {{.index = MSR_MISC_ENABLE,
                     .data = MISC_ENABLE_FAST_STRING | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS},
                    {.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK}},
    };
    int set = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_MSRS, &msrs);

    return set < 0 ? set : 0; /* an MSR that this CPU lacks does no harm */
}

int mv_arch_init_vcpu(struct mv_arch *arch, struct mv_mem *mem, struct mv_vcpu *vcpu,
                      struct mv_error *err)
{
    const char *call = "KVM_SET_CPUID2";
    bool begins;
    int error;

    mv_cpuid_set_apic_id(arch->cpuid, vcpu->index);
    error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_CPUID2, arch->cpuid);
    if (!error) {
        call = "KVM_SET_MSRS";
        error = set_msrs(vcpu);
    }
    begins = arch->entry.mode != MV_ENTRY_NONE && (vcpu->index == 0 || arch->bare);
    if (!error && begins) {
        call = "KVM_SET_SREGS";
        error = set_sregs(arch, mem, vcpu);
    }
    if (!error && begins) {
        call = "KVM_SET_REGS";
        error = set_regs(arch, vcpu);
    }
    if (!error && begins && arch->is_pc) {
        call = "KVM_SET_LAPIC";
        error = mv_x86_oldpc.init_vcpu(vcpu->host->kvm, vcpu->fd);
    }
    if (error)
        return mv_fail(err, error, call, NULL, "KVM refuses the state of vCPU %u (%s): %s",
                       vcpu->index, call, strerror(-error));
    if (arch->have_sync_regs)
        vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    return 0;
}

uint64_t mv_arch_pc(const struct kvm_run *run)
{
    return run->kvm_valid_regs & KVM_SYNC_X86_REGS ? run->s.regs.regs.rip : 0;
}

enum mv_end_reason mv_arch_exit(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_SHUTDOWN ? MV_END_TRIPLE_FAULT : MV_END_INTERNAL_ERROR;
}

/* Sets kvm-clock's flag PVCLOCK_GUEST_STOPPED (api.rst, 4.70 KVM_KVMCLOCK_CTRL).  A guest that does
 * not use kvm-clock cannot be told: EINVAL. */
void mv_arch_tell_of_stop(const struct mv_vcpu *vcpu)
{
    MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

/* A CPU that the guest has not started counts as asleep. */
bool mv_arch_is_asleep(const struct mv_vcpu *vcpu)
{
    struct kvm_mp_state state;

    if (MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_MP_STATE, &state))
        return false;
    return state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
           (state.mp_state == KVM_MP_STATE_HALTED && !vcpu->run->if_flag);
}
