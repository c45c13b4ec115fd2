/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's state at the guest's first instruction (Documentation/arm64/booting.rst, 4): EL1 with
 * SP_EL1, all exceptions masked, MMU and caches off as after a reset, device tree in X0, X1 to X3
 * zero.  Only vCPU 0 starts like this; the others are off until the guest calls PSCI CPU_ON.  On a
 * bare machine all vCPUs start at once.
 */
#include <errno.h>
#include <string.h>

#include "arm64.h"
#include "core/vcpu.h"

enum { PSTATE_EL1H_MASKED = 0x3c5 }; /* D, A, I, F and M = EL1h */

/* Op0, Op1, CRn, CRm, Op2, as the manual writes them (Arm ARM, D19.2). */
#define SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define CPACR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 2)
#define TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define TCR_EL1   ARM64_SYS_REG(3, 0, 2, 0, 2)
#define MAIR_EL1  ARM64_SYS_REG(3, 0, 10, 2, 0)

/* A register of struct kvm_regs, by its offset there in 32-bit words. */
#define CORE_REG(name)                                     \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
     offsetof(struct kvm_regs, name) / sizeof(uint32_t))

static int set_reg(const struct mv_vcpu *vcpu, uint64_t id, uint64_t value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)&value};

    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_ONE_REG, &reg);
}

static int get_reg(const struct mv_vcpu *vcpu, uint64_t id, uint64_t *ret_value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)ret_value};

    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_ONE_REG, &reg);
}

/* Turns the MMU on, with the machine's page table (TCR_EL1, MAIR_EL1, SCTLR_EL1): 32-bit addresses
 * for TTBR0, none for TTBR1, pages of 4 KiB, cached. */
static int set_mmu(const struct mv_arch *arch, const struct mv_vcpu *vcpu)
{
    enum {
        T0SZ = 32,
        CACHED = 1 << 8 | 1 << 10 | 3 << 12,
        EPD1 = 1 << 23,
        M_C_I = 1 | 4 | 1 << 12
    };
    const struct {
        uint64_t id, value;
    } all[] = {{TTBR0_EL1, arch->mmu_table}, {TCR_EL1, T0SZ | CACHED | EPD1}, {MAIR_EL1, 0xff00}};
    uint64_t sctlr;
    int error = get_reg(vcpu, SCTLR_EL1, &sctlr);

    for (unsigned i = 0; !error && i < MV_COUNT(all); i++)
        error = set_reg(vcpu, all[i].id, all[i].value);
    return error ? error : set_reg(vcpu, SCTLR_EL1, sctlr | M_C_I);
}

/* Compiled code uses floating point and SIMD, which CPACR_EL1.FPEN enables. */
static int set_flat(const struct mv_arch *arch, const struct mv_vcpu *vcpu)
{
    const uint64_t fpen = 3u << 20;
    int error = set_reg(vcpu, CORE_REG(sp_el1), arch->entry.stack - vcpu->index * MV_PAGE_SIZE);

    if (!error && arch->bare)
        error = set_reg(vcpu, CORE_REG(regs.regs[0]), vcpu->index);
    if (!error)
        error = set_reg(vcpu, CPACR_EL1, fpen);
    if (!error && arch->entry.mode == MV_ENTRY_EL1_MMU)
        error = set_mmu(arch, vcpu);
    return error;
}

static int set_entry(const struct mv_arch *arch, const struct mv_vcpu *vcpu)
{
    int error = set_reg(vcpu, CORE_REG(regs.pstate), PSTATE_EL1H_MASKED);

    if (!error)
        error = set_reg(vcpu, CORE_REG(regs.pc), arch->entry.pc);
    if (!error)
        error = set_reg(vcpu, CORE_REG(regs.regs[0]), arch->entry.data);
    if (!error && arch->entry.mode != MV_ENTRY_ARM64)
        error = set_flat(arch, vcpu);
    return error;
}

int mv_arch_init_vcpu(struct mv_arch *arch, struct mv_mem *mem, struct mv_vcpu *vcpu,
                      struct mv_error *err)
{
    struct kvm_vcpu_init init = {.target = arch->target, .features = {arch->features}};
    int sve = KVM_ARM_VCPU_SVE;
    const char *call = "KVM_ARM_VCPU_INIT";
    int error;

    (void)mem;
    if (vcpu->index > 0 && !arch->bare)
        init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
    error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_ARM_VCPU_INIT, &init);
    if (!error && (arch->features & 1u << KVM_ARM_VCPU_SVE)) {
        call = "KVM_ARM_VCPU_FINALIZE";
        error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_ARM_VCPU_FINALIZE, &sve);
    }
    if (!error && arch->entry.mode != MV_ENTRY_NONE && (vcpu->index == 0 || arch->bare)) {
        call = "KVM_SET_ONE_REG";
        error = set_entry(arch, vcpu);
    }
    if (error)
        return mv_fail(err, error, call, NULL, "KVM refuses the state of vCPU %u (%s): %s",
                       vcpu->index, call, strerror(-error));
    return 0;
}

uint64_t mv_arch_pc(const struct kvm_run *run)
{
    (void)run;
    return 0;
}

/* What the guest asked of PSCI, which KVM implements. */
enum mv_end_reason mv_arch_exit(const struct kvm_run *run)
{
    if (run->exit_reason != KVM_EXIT_SYSTEM_EVENT)
        return MV_END_INTERNAL_ERROR;
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN: return MV_END_POWER_OFF;
    case KVM_SYSTEM_EVENT_RESET: return MV_END_REBOOT;
    case KVM_SYSTEM_EVENT_CRASH: return MV_END_PANIC;
    default: return MV_END_INTERNAL_ERROR;
    }
}

/* Neither the architecture nor KVM has a way to tell the guest. */
void mv_arch_tell_of_stop(const struct mv_vcpu *vcpu)
{
    (void)vcpu;
}

/* Asleep if PSCI has turned it off.  An interrupt ends WFI even if it is masked. */
bool mv_arch_is_asleep(const struct mv_vcpu *vcpu)
{
    struct kvm_mp_state state;

    return !MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_MP_STATE, &state) &&
           state.mp_state == KVM_MP_STATE_STOPPED;
}
