/* SPDX-License-Identifier: MIT */
/*
 * GDB steps over a watchpoint, and over a breakpoint, to go on.  While a person looks the guest's
 * timer becomes due, so each such step would end in its handler, and the guest come back for ever.
 * So IRQs are masked for the step: PSTATE.I (Arm ARM, C5.2.2), and what the guest could see or
 * change of it is left to it.
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

/* An exception that the step has led to has kept PSTATE in SPSR_EL1. */
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
