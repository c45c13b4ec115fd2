/* SPDX-License-Identifier: MIT */
/* floor.c on x86-64: what its vCPU runs, from real mode on, and the exit that this makes. */
#pragma once

#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>

enum { CODE_GPA = 0x1000, EXIT_REASON = KVM_EXIT_IO };

static const uint8_t code[] = {0xb0, 0x01, 0xe6, 0xf5}; /* mov al, 1; out 0xf5, al */

/* The vCPU is to begin with the code.  Returns what could not be done, or NULL. */
static const char *prepare(int vm, int vcpu)
{
    struct kvm_regs regs = {.rip = CODE_GPA, .rflags = 2};
    struct kvm_sregs sregs;

    (void)vm;
    if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
        return "KVM_GET_SREGS";
    sregs.cs.base = sregs.cs.selector = 0;
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
        return "KVM_SET_SREGS";
    return ioctl(vcpu, KVM_SET_REGS, &regs) < 0 ? "KVM_SET_REGS" : 0;
}
