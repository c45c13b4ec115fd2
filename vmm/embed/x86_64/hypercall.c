/* SPDX-License-Identifier: MIT */
/* A hypercall's registers are those of the C calling convention (System V ABI for x86-64, 3.2.3):
 * arguments in RDI, RSI, RDX and RCX, result in RAX. */
#include "embed/embed.h"

bool mv_is_hypercall(const struct mv_exit *exit)
{
    return exit->kind == MV_EXIT_PORT && exit->access.write &&
           exit->access.address == MV_HYPERCALL_PORT && exit->access.size == 4;
}

int mv_hypercall_get(const struct mv_vcpu *vcpu, struct mv_hypercall *call)
{
    struct kvm_regs regs;
    int error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_REGS, &regs);

    if (error)
        return error;
    call->arguments[0] = regs.rdi;
    call->arguments[1] = regs.rsi;
    call->arguments[2] = regs.rdx;
    call->arguments[3] = regs.rcx;
    return 0;
}

int mv_hypercall_return(const struct mv_vcpu *vcpu, uint64_t result)
{
    struct kvm_regs regs;
    int error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_REGS, &regs);

    regs.rax = result;
    return error ? error : MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_REGS, &regs);
}
