/* SPDX-License-Identifier: MIT */
/* x86's watchpoints stop after the access, so GDB need not step over them, and interrupts can stay
 * enabled during a step. */
#include "gdb/gdb.h"

enum { EFER_LMA = 1 << 10 };

bool mv_gdb_mask_interrupts(struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

bool mv_gdb_is_long_mode(struct mv_vcpu *vcpu)
{
    uint64_t efer = 0;

    return mv_vcpu_get(vcpu, "efer", &efer) == 0 && (efer & EFER_LMA);
}

void mv_gdb_unmask_interrupts(struct mv_vcpu *vcpu)
{
    (void)vcpu;
}
