/* SPDX-License-Identifier: MIT */
/* A hypercall's registers are those of the C calling convention (AAPCS64, 6.8.2): arguments in X0
 * to X3, result in X0. */
#include <stddef.h>

#include "embed/embed.h"

#define X(n)                                               \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
     (offsetof(struct kvm_regs, regs.regs) / sizeof(uint32_t) + 2 * (n)))

bool mv_is_hypercall(const struct mv_exit *exit)
{
    return exit->kind == MV_EXIT_MMIO && exit->access.write &&
           exit->access.address == MV_HYPERCALL_ADDRESS && exit->access.size == 4;
}

int mv_hypercall_get(const struct mv_vcpu *vcpu, struct mv_hypercall *call)
{
    int error = 0;

    for (unsigned i = 0; i < 4 && !error; i++) {
        struct kvm_one_reg reg = {.id = X(i), .addr = (uint64_t)(uintptr_t)&call->arguments[i]};

        error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_ONE_REG, &reg);
    }
    return error;
}

int mv_hypercall_return(const struct mv_vcpu *vcpu, uint64_t result)
{
    struct kvm_one_reg reg = {.id = X(0), .addr = (uint64_t)(uintptr_t)&result};

    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_ONE_REG, &reg);
}
