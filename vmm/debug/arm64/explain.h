/* SPDX-License-Identifier: MIT */
/* Explains what is wrong with a vCPU: pure functions of registers and memory, without KVM. */
#ifndef MV_ARM64_EXPLAIN_H
#define MV_ARM64_EXPLAIN_H

#include "debug/arch_debug.h"

/* ---- walk.c ---- */

/* The registers that control address translation. */
struct mv_translation {
    uint64_t sctlr, tcr, ttbr0, ttbr1;
};

/* Walks the page tables that these registers point to. */
void mv_arm64_walk(const struct mv_mem *mem, const struct mv_translation *regs, uint64_t address,
                   struct mv_walk *ret_walk);

/* ---- explain.c ---- */

struct mv_arm64_state {
    uint64_t pc, pstate, sp_el0, sp_el1, sctlr, tcr, vbar, elr, esr, far;
    struct mv_walk vector; /* the walk for the address in pc */
    bool vector_in_memory;
};

struct mv_arm64_rule {
    const char *name, *section, *words;
};

/* The rules for a valid state; static storage. */
const struct mv_arm64_rule *mv_arm64_rules(unsigned *ret_count);

/* Writes a line for each violated rule; returns their number. */
unsigned mv_arm64_explain_state(const struct mv_arm64_state *state, FILE *to);

/* If the vCPU is in an endless loop of exceptions, explains it; else writes nothing. */
void mv_arm64_explain_end(const struct mv_arm64_state *state, FILE *to);

/* ---- esr.c ---- */

/* Describes a syndrome (ESR_EL1; Arm ARM, D17.2.37): its class, and for an abort the kind of
 * fault and the access. */
void mv_esr_describe(uint64_t esr, char *text, size_t size);

/* Describes a data abort of which only the ISS, the syndrome's lower part, is known. */
void mv_esr_describe_data_abort(uint64_t iss, char *text, size_t size);

#endif
