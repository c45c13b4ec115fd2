/* SPDX-License-Identifier: MIT */
/* floor.c on arm64: what its vCPU runs, from EL1 without MMU on, and the exit that this makes. */
#pragma once

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

enum { CODE_GPA = 0x1000, EXIT_REASON = KVM_EXIT_MMIO };

static const uint32_t code[] = {
    0xd2a02041, /* mov x1, #0x1020000: no memory, but minivmm's boot timer */
    0x52800020, /* mov w0, #1 */
    0x39000020, /* strb w0, [x1] */
};

/* The vCPU is to begin with the code.  Returns what could not be done, or NULL. */
static const char *prepare(int vm, int vcpu)
{
    struct kvm_vcpu_init init;
    uint64_t pc = CODE_GPA;
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
              offsetof(struct kvm_regs, regs.pc) / sizeof(uint32_t),
        .addr = (uint64_t)(uintptr_t)&pc,
    };

    if (ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) < 0)
        return "KVM_ARM_PREFERRED_TARGET";
    if (ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) < 0)
        return "KVM_ARM_VCPU_INIT";
    return ioctl(vcpu, KVM_SET_ONE_REG, &reg) < 0 ? "KVM_SET_ONE_REG" : 0;
}
