/* SPDX-License-Identifier: MIT */
/* What the code around KVM needs to know about an x86-64 host at compile time. */
#ifndef MV_X86_HOST_H
#define MV_X86_HOST_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Registers as KVM leaves them in the shared page at an exit. */
struct mv_synced {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    bool have_regs, have_sregs;
};

/* The CPUs' counter, and the name of Linux's clocksource for it, in use if Linux trusts it: all
 * CPUs then share it, at one frequency.  Reading it takes one instruction. */
#define MV_COUNTER "tsc"
static inline uint64_t mv_counter(void)
{
    return __builtin_ia32_rdtsc();
}

/* What to do if there is no /dev/kvm. */
void mv_hint_no_kvm(char *ret_hint, size_t size);

#endif
