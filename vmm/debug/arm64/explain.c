/* SPDX-License-Identifier: MIT */
/*
 * Explains what is wrong with a vCPU, by the Arm Architecture Reference Manual: an invalid state,
 * or exceptions whose vectors raise the next exception.  Arm has no triple fault: a guest without
 * vectors takes exceptions forever.  Left out: the RES1 bits of SCTLR_EL1, as later extensions
 * define them, and KVM's own reset state does not set them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/util.h"
#include "explain.h"

enum {
    MODE = 0xf,
    EL0T = 0,
    EL1T = 4,
    EL1H = 5,
    AARCH32 = 1 << 4,
    PSTATE_IL = 1 << 20,
    PSTATE_RESERVED = 0xc0fc020,
    SCTLR_M = 1 << 0,
    SCTLR_SA = 1 << 3,
    SCTLR_SA0 = 1 << 4,
    VECTORS = 0x800, /* bytes of the vector table; 0x80 per vector */
};

static uint64_t stack_pointer(const struct mv_arm64_state *s)
{
    return (s->pstate & MODE) == EL1H ? s->sp_el1 : s->sp_el0;
}

/* clang-format off */
/* Name, section, text, and the condition that violates the rule, for a state s. */
#define RULES(X) \
    X("pstate-aarch32", "C5.2.18", "PSTATE.M[4] is 1: 32-bit state, and this vCPU has 64 bits", s->pstate & AARCH32) \
    X("pstate-mode", "C5.2.18", "PSTATE.M is no mode that a guest has: EL0t (0), EL1t (4) or EL1h (5)", \
      !(s->pstate & AARCH32) && mode != EL0T && mode != EL1T && mode != EL1H) \
    X("pstate-reserved", "C5.2.18", "PSTATE has reserved bits set", s->pstate & PSTATE_RESERVED || s->pstate >> 34) \
    X("pstate-il", "D1.4.1", "PSTATE.IL is 1: whatever comes first raises an exception (illegal state)", s->pstate & PSTATE_IL) \
    X("pc-aligned", "D1.3.2", "PC is no multiple of 4", s->pc & 3) \
    X("sp-aligned", "D1.3.2", "SP is no multiple of 16, and SCTLR_EL1 asks for that (SA, SA0)", \
      stack_pointer(s) & 15 && s->sctlr & (mode == EL0T ? SCTLR_SA0 : SCTLR_SA)) \
    X("vbar-aligned", "D17.2", "VBAR_EL1 is no multiple of 2 KiB", s->vbar % VECTORS) \
    X("tcr-size", "D8.2", "SCTLR_EL1.M turns the MMU on, and TCR_EL1.T0SZ, less than 16, is no size of addresses", \
      s->sctlr & SCTLR_M && (s->tcr & 63) < 16 && !(s->tcr & 1 << 7))
/* clang-format on */

#define RULE(name, section, words, broken)   {name, section, words},
#define BROKEN(name, section, words, broken) broken,

static const struct mv_arm64_rule rules[] = {RULES(RULE)};

const struct mv_arm64_rule *mv_arm64_rules(unsigned *ret_count)
{
    *ret_count = MV_COUNT(rules);
    return rules;
}

unsigned mv_arm64_explain_state(const struct mv_arm64_state *s, FILE *to)
{
    unsigned mode = s->pstate & MODE, count = 0;
    const bool broken[] = {RULES(BROKEN)};

    for (unsigned i = 0; i < MV_COUNT(rules); i++)
        if (broken[i]) {
            fprintf(to, "%s (Arm ARM, %s)\n", rules[i].words, rules[i].section);
            count++;
        }
    return count;
}

/* ---- endless exceptions ---- */

static bool in_vectors(const struct mv_arm64_state *s, uint64_t address)
{
    return address - s->vbar < VECTORS;
}

void mv_arm64_explain_end(const struct mv_arm64_state *s, FILE *to)
{
    bool fetched = s->vector.mapped && s->vector.executable && s->vector_in_memory;
    char words[240];

    if (!in_vectors(s, s->pc) || (fetched && !in_vectors(s, s->elr)))
        return;
    mv_esr_describe(s->esr, words, sizeof(words));
    fprintf(to,
            "what happened (Arm ARM, D1.3): exceptions without end\n"
            "  the last one was %s; at %#" PRIx64 ", address %#" PRIx64 "\n"
            "  its vector is at %#" PRIx64 ", VBAR_EL1 + %#" PRIx64 ", ",
            words, s->elr, s->far, s->pc, s->pc - s->vbar);
    if (!s->vector.mapped)
        fprintf(to, "which is not mapped: %s\n", s->vector.why);
    else if (!s->vector.executable)
        fprintf(to, "which may not be executed (PXN)\n");
    else if (!s->vector_in_memory)
        fprintf(to, "and no memory is there\n");
    else
        fprintf(to, "and the code there raises an exception itself\n");
    if (s->vbar == 0)
        fprintf(to, "  note: VBAR_EL1 is 0: it was never set\n");
    fprintf(to,
            "  so each exception raises the next one; which came first is not known any more\n");
}
