/* SPDX-License-Identifier: MIT */
/* What the code around KVM needs to know of an arm64 host when it is compiled. */
#ifndef MV_ARM64_HOST_H
#define MV_ARM64_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* KVM leaves no registers in the shared page.  This one it refuses. */
struct mv_synced {
    uint64_t pstate;
    bool have_pstate;
};

/* The counter of the processors, and what Linux calls it: the generic timer's virtual count. */
#define MV_COUNTER "arch_sys_counter"
static inline uint64_t mv_counter(void)
{
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks)::"memory");
    return ticks;
}

/* What to do where there is no /dev/kvm. */
#define MV_HINT_NO_KVM                                                                           \
    "KVM needs a kernel that was started at EL2: look for \"kvm\" in dmesg; a virtual machine "  \
    "needs nested virtualization from its host; or run the same command under tools/lab, which " \
    "emulates a machine with KVM"

#endif
