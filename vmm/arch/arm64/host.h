/* SPDX-License-Identifier: MIT */
/* What the code around KVM needs to know about an arm64 host at compile time. */
#ifndef MV_ARM64_HOST_H
#define MV_ARM64_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* KVM leaves no registers in the shared page.  This one is a PSTATE that the caller has set and KVM
 * may refuse. */
struct mv_synced {
    uint64_t pstate;
    bool have_pstate;
};

/* The generic timer's virtual count, and the name of Linux's clocksource for it. */
#define MV_COUNTER "arch_sys_counter"
static inline uint64_t mv_counter(void)
{
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks)::"memory");
    return ticks;
}

/* What to do if there is no /dev/kvm. */
void mv_hint_no_kvm(char *ret_hint, size_t size);

#endif
