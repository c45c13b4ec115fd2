/* SPDX-License-Identifier: MIT */
/* What the code around KVM needs to know of an x86-64 host when it is compiled. */
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

/* The counter of the processors, and what Linux calls it where it trusts it: one that all of them
 * share, of one frequency.  It costs an instruction. */
#define MV_COUNTER "tsc"
static inline uint64_t mv_counter(void)
{
    return __builtin_ia32_rdtsc();
}

/* What to do where there is no /dev/kvm. */
void mv_hint_no_kvm(char *ret_hint, size_t size);

#endif
