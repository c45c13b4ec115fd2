/* SPDX-License-Identifier: MIT */
/* What is wrong with a vCPU, in words: pure models over registers and memory, without KVM. */
#ifndef MV_ARM64_EXPLAIN_H
#define MV_ARM64_EXPLAIN_H

#include "debug/arch_debug.h"

/* ---- walk.c ---- */

/* The registers that say how addresses are translated. */
struct mv_translation {
    uint64_t sctlr, tcr, ttbr0, ttbr1;
};

/* Walks the page tables that these registers name. */
void mv_arm64_walk(const struct mv_mem *mem, const struct mv_translation *regs, uint64_t address,
                   struct mv_walk *ret_walk);

/* ---- explain.c ---- */

struct mv_arm64_state {
    uint64_t pc, pstate, sp_el0, sp_el1, sctlr, tcr, vbar, elr, esr, far;
    struct mv_walk vector; /* of the address in pc */
    bool vector_in_memory;
};

struct mv_arm64_rule {
    const char *name, *section, *words;
};

/* What a state has to keep; static storage. */
const struct mv_arm64_rule *mv_arm64_rules(unsigned *ret_count);

/* A line for each broken rule; returns how many there are. */
unsigned mv_arm64_explain_state(const struct mv_arm64_state *state, FILE *to);

/* Says so if the state is one of exceptions that never end. */
void mv_arm64_explain_end(const struct mv_arm64_state *state, FILE *to);

/* ---- esr.c ---- */

/* Says in words what a syndrome means (ESR_EL1; Arm ARM, D17.2.37): its class, and for an
 * abort the kind of fault and the access. */
void mv_esr_describe(uint64_t esr, char *text, size_t size);

/* The same for the syndrome's lower part of a data abort, which is all that there is. */
void mv_esr_describe_data_abort(uint64_t iss, char *text, size_t size);

#endif
