/* SPDX-License-Identifier: MIT */
/* x86's watchpoints stop behind the access, so that GDB need not step over them: interrupts may
 * come during a step. */
#include "gdb.h"

bool mv_gdb_mask_interrupts(struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

void mv_gdb_unmask_interrupts(struct mv_vcpu *vcpu)
{
    (void)vcpu;
}
