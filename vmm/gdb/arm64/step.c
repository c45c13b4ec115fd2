/* SPDX-License-Identifier: MIT */
/*
 * GDB steps over a watchpoint or breakpoint to continue.  The guest's timer expires while the user
 * inspects the machine, so the step would end in its handler, and the guest would return to the
 * same point forever.  So IRQs are masked for the step by PSTATE.I (Arm ARM, C5.2.2), unless the
 * instruction could read or change PSTATE.I.
 */
#include "gdb/gdb.h"

enum {
    PSTATE_I = 1u << 7,
    VECTORS_SIZE = 0x800,      /* at VBAR_EL1: D1.3.1 */
    SYSTEM_MASK = 0xfe000000u, /* exceptions, MRS, MSR, WFI...: C4.1 */
    SYSTEM = 0xd4000000u,
    ERET_MASK = 0xfff00000u, /* ERET, ERETAA, ERETAB */
    ERET = 0xd6900000u,
};

bool mv_gdb_mask_interrupts(struct mv_vcpu *vcpu)
{
    uint64_t pc, pstate;
    uint32_t instruction;

    if (mv_vcpu_get(vcpu, "pc", &pc) < 0 || mv_vcpu_get(vcpu, "pstate", &pstate) < 0 ||
        mv_vcpu_read(vcpu, pc, &instruction, sizeof(instruction)) < 0 || (pstate & PSTATE_I) ||
        (instruction & SYSTEM_MASK) == SYSTEM || (instruction & ERET_MASK) == ERET)
        return false;
    return mv_vcpu_set(vcpu, "pstate", pstate | PSTATE_I) == 0;
}

bool mv_gdb_is_long_mode(struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return true;
}

/* If the step took an exception, the PSTATE with the mask is in SPSR_EL1. */
void mv_gdb_unmask_interrupts(struct mv_vcpu *vcpu)
{
    uint64_t pc = 0, vectors = 0, flags = 0;
    const char *where = "pstate";

    if (mv_vcpu_get(vcpu, "pc", &pc) == 0 && mv_vcpu_get(vcpu, "vbar_el1", &vectors) == 0 &&
        pc - vectors < VECTORS_SIZE)
        where = "spsr_el1";
    if (mv_vcpu_get(vcpu, where, &flags) == 0)
        mv_vcpu_set(vcpu, where, flags & ~(uint64_t)PSTATE_I);
}
