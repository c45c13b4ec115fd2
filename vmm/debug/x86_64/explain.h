/* SPDX-License-Identifier: MIT */
/*
 * Explains what is wrong with a vCPU: pure functions of registers and memory, without KVM.
 * Sections refer to the Intel SDM (volume 3 unless stated) and the AMD APM (volume 2).
 */
#ifndef MV_X86_EXPLAIN_H
#define MV_X86_EXPLAIN_H

#include "debug/arch_debug.h"
#include "x86.h"

struct mv_x86_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    unsigned address_bits; /* width of a guest-physical address */
    uint64_t cr4_offered;  /* bits of CR4 whose features are in the vCPU's CPUID */
};

/* ---- walk.c ---- */

/* Walks the page tables that these registers point to. */
void mv_x86_walk(const struct mv_mem *mem, const struct kvm_sregs *sregs, uint64_t address,
                 struct mv_walk *ret_walk);

/* ---- rules.c: what a processor requires of a vCPU's state before it runs it ---- */

struct mv_x86_rule {
    const char *name, *section, *words;
};

#define MV_X86_RULES_MAX 64

/* All rules; static storage. */
const struct mv_x86_rule *mv_x86_rules(unsigned *ret_count);

/* Returns NULL if the state keeps the rule; else the name of the register or bit that violates it,
 * or "" if the rule's words need none. */
const char *mv_x86_rule_broken(unsigned rule, const struct mv_x86_state *state);

/* Writes a line for each violated rule; returns their number. */
unsigned mv_x86_explain_state(const struct mv_x86_state *state, FILE *to);

/* ---- decode.c: as much of an instruction as shows which faults it can raise ---- */

enum mv_x86_what {
    MV_X86_MODRM = 1 << 0,
    MV_X86_WRITE = 1 << 1, /* writes its memory operand */
    MV_X86_BYTE = 1 << 2,
    MV_X86_IMM8 = 1 << 3,
    MV_X86_IMM = 1 << 4,      /* immediate of 2 or 4 bytes */
    MV_X86_PUSH = 1 << 5,     /* writes below the stack pointer */
    MV_X86_POP = 1 << 6,      /* reads at the stack pointer */
    MV_X86_NOT64 = 1 << 7,    /* #UD in 64-bit mode */
    MV_X86_CPL0 = 1 << 8,     /* #GP if CPL is not 0 */
    MV_X86_NONE = 1 << 9,     /* computes an address but does not access it */
    MV_X86_SSE = 1 << 10,     /* SSE or MMX, depending on the prefix */
    MV_X86_ALIGNED = 1 << 11, /* SSE operand aligned to 16 bytes */
    MV_X86_UD = 1 << 12,      /* always #UD */
    MV_X86_FPU = 1 << 13,
    MV_X86_STRING_TO = 1 << 14,   /* writes ES:RDI */
    MV_X86_STRING_FROM = 1 << 15, /* reads DS:RSI */
    MV_X86_OFFSET = 1 << 16,      /* absolute address without ModRM */
    MV_X86_VEX = 1 << 17,
};

struct mv_x86_instruction {
    unsigned map; /* 0: one byte; 1: after 0F; 2, 3: after 0F 38 and 0F 3A */
    uint8_t opcode, modrm;
    unsigned reg, rm; /* ModRM's fields, extended by REX */
    unsigned what;
    unsigned operand, address, stack; /* sizes in bytes */
    unsigned length;
    bool prefix66, repeats, rex_w;
    bool has_memory;   /* has a memory operand, at: */
    unsigned segment;  /* 0 to 5: ES, CS, SS, DS, FS, GS */
    uint64_t offset;   /* in the segment */
    uint64_t constant; /* the immediate, or the offset of a far pointer */
    unsigned selector; /* of a far pointer */
};

/* Decodes up to 15 bytes at RIP.  Returns false if the instruction needs more bytes. */
bool mv_x86_decode(const struct mv_x86_state *state, const uint8_t *code, unsigned size,
                   struct mv_x86_instruction *ret_instruction);

/* The value of a general register, by its number in an instruction. */
uint64_t mv_x86_register(const struct kvm_regs *regs, unsigned number);

/* ---- crash.c ---- */

/*
 * Explains why a vCPU in this state, just before an instruction, shut down: which exception the
 * instruction raised, and why neither it nor those that followed could be delivered.
 */
void mv_x86_explain_crash(const struct mv_x86_state *state, const struct mv_mem *mem, FILE *to);

/* Explains what KVM could not continue with in this state: the instruction, and where it is. */
void mv_x86_explain_stuck(const struct mv_x86_state *state, const struct mv_mem *mem, FILE *to);

#endif
