/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a vCPU, in words: pure models over registers and memory, without KVM.
 * Sections are those of the Intel SDM (volume 3 unless named) and the AMD APM (volume 2).
 */
#ifndef MV_X86_EXPLAIN_H
#define MV_X86_EXPLAIN_H

#include "debug/arch_debug.h"
#include "x86.h"

struct mv_x86_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    unsigned address_bits; /* of a guest-physical address */
    uint64_t cr4_offered;  /* the bits of CR4 whose features the vCPU's CPUID has */
};

/* ---- walk.c ---- */

/* Walks the page tables that these registers name. */
void mv_x86_walk(const struct mv_mem *mem, const struct kvm_sregs *sregs, uint64_t address,
                 struct mv_walk *ret_walk);

/* ---- rules.c: what a processor asks of a vCPU's state before it runs it ---- */

struct mv_x86_rule {
    const char *name, *section, *words;
};

#define MV_X86_RULES_MAX 64

/* All of them; static storage. */
const struct mv_x86_rule *mv_x86_rules(unsigned *ret_count);

/* What breaks this rule: the name of a register or bit, or "" if the rule's words say it all;
 * NULL: nothing does. */
const char *mv_x86_rule_broken(unsigned rule, const struct mv_x86_state *state);

/* A line for each broken rule; returns how many there are. */
unsigned mv_x86_explain_state(const struct mv_x86_state *state, FILE *to);

/* ---- decode.c: as much of an instruction as tells what it can fault for ---- */

enum mv_x86_what {
    MV_X86_MODRM = 1 << 0,
    MV_X86_WRITE = 1 << 1, /* to its memory operand */
    MV_X86_BYTE = 1 << 2,
    MV_X86_IMM8 = 1 << 3,
    MV_X86_IMM = 1 << 4,      /* of 2 or 4 bytes */
    MV_X86_PUSH = 1 << 5,     /* writes below the stack pointer */
    MV_X86_POP = 1 << 6,      /* reads above it */
    MV_X86_NOT64 = 1 << 7,    /* #UD in 64-bit mode */
    MV_X86_CPL0 = 1 << 8,     /* #GP elsewhere */
    MV_X86_NONE = 1 << 9,     /* computes an address, and uses it for nothing */
    MV_X86_SSE = 1 << 10,     /* or MMX, by its prefix */
    MV_X86_ALIGNED = 1 << 11, /* of SSE, by 16 */
    MV_X86_UD = 1 << 12,      /* no instruction, and never one */
    MV_X86_FPU = 1 << 13,
    MV_X86_STRING_TO = 1 << 14,   /* at ES:RDI */
    MV_X86_STRING_FROM = 1 << 15, /* at DS:RSI */
    MV_X86_OFFSET = 1 << 16,      /* an address without ModRM */
    MV_X86_VEX = 1 << 17,
};

struct mv_x86_instruction {
    unsigned map; /* 0: one byte; 1: after 0F; 2, 3: after 0F 38 and 0F 3A */
    uint8_t opcode, modrm;
    unsigned reg, rm; /* the numbers in ModRM, with REX's bits */
    unsigned what;
    unsigned operand, address, stack; /* sizes in bytes */
    unsigned length;
    bool prefix66, repeats, rex_w;
    bool has_memory;   /* a memory operand, at: */
    unsigned segment;  /* 0 to 5: ES, CS, SS, DS, FS, GS */
    uint64_t offset;   /* in the segment */
    uint64_t constant; /* the immediate, or the offset of a far pointer */
    unsigned selector; /* of a far pointer */
};

/* From up to 15 bytes at RIP.  False: there are not enough of them. */
bool mv_x86_decode(const struct mv_x86_state *state, const uint8_t *code, unsigned size,
                   struct mv_x86_instruction *ret_instruction);

/* A general register by its number in an instruction. */
uint64_t mv_x86_register(const struct kvm_regs *regs, unsigned number);

/* ---- crash.c ---- */

/*
 * Why a vCPU in this state, just before an instruction, has shut down: which exception it raised,
 * why that could not be delivered, nor the one that came of this.
 */
void mv_x86_explain_crash(const struct mv_x86_state *state, const struct mv_mem *mem, FILE *to);

/* What KVM could not go on with in this state: where its instruction is, and what. */
void mv_x86_explain_stuck(const struct mv_x86_state *state, const struct mv_mem *mem, FILE *to);

#endif
