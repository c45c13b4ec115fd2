/* SPDX-License-Identifier: MIT */
/*
 * Finds the exception that an instruction raises, from the registers before it.  Left out: I/O
 * permission bits, call gates and tasks, shadow stacks, and exceptions that depend on values
 * (SIMD, overflow, IDIV's range).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash.h"

enum {
    CR0_EM = 1u << 2,
    CR0_TS = 1u << 3,
    CR0_PG = 1u << 31,
    CR4_OSFXSR = 1u << 9,
    CR4_OSXSAVE = 1u << 18,
    EFER_SCE = 1u << 0,
    EFER_LME = 1u << 8,
    MSR_EFER = 0xc0000080u,
};

/* The value of a source operand: a register, or memory, which reads as all ones if unreadable. */
static uint64_t operand_value(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i,
                              uint64_t extra, unsigned size)
{
    uint64_t value = 0, base = c->is64 && i->segment < 4 ? 0 : mv_x86_segment(c, i->segment)->base;

    if (i->has_memory)
        mv_x86_read_linear(c, base + i->offset + extra, &value, size, "");
    else
        value = mv_x86_register(&c->s.regs, i->rm);
    return value & mv_size_mask(size);
}

/* The value on the stack, `above` bytes above the stack pointer. */
static uint64_t stack_value(const struct mv_x86_cpu *c, unsigned above, unsigned size)
{
    uint64_t value = 0, base = c->is64 ? 0 : c->s.sregs.ss.base;

    mv_x86_read_linear(c, base + mv_x86_stack_pointer(c) + above, &value, size, "");
    return value;
}

static struct mv_fault divide(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    uint64_t divisor = operand_value(c, i, 0, i->operand);
    uint64_t upper = i->operand == 1 ? c->s.regs.rax >> 8 : c->s.regs.rdx;

    if (divisor == 0)
        return mv_x86_fault(DE, "it divides by zero");
    if ((i->modrm >> 3 & 7) == 6 && (upper & mv_size_mask(i->operand)) >= divisor)
        return mv_x86_fault(DE, "it divides, and the quotient does not fit: RDX:RAX is too large");
    return fine;
}

/* MOV to a control register, and WRMSR of EFER: the new state must keep the rules. */
static struct mv_fault set_control(const struct mv_x86_cpu *c, const char *name, __u64 *was,
                                   uint64_t value, struct mv_x86_state *after)
{
    unsigned count;
    const struct mv_x86_rule *rules = mv_x86_rules(&count);

    *was = value;
    if (after->sregs.efer & EFER_LME && after->sregs.cr0 & CR0_PG)
        after->sregs.efer |= EFER_LMA;
    else
        after->sregs.efer &= ~(uint64_t)EFER_LMA;
    if (!c->is_long && after->sregs.efer & EFER_LMA && c->s.sregs.cs.l)
        return mv_x86_fault(GP, "it turns long mode on while CS.L is 1");
    for (unsigned i = 0; i < count; i++) {
        const char *what = mv_x86_rule_broken(i, after);
        bool counts = /* segment rules apply only to VM entry */
            strncmp(rules[i].name, "cr", 2) == 0 || strncmp(rules[i].name, "efer", 4) == 0;

        if (what && counts && !mv_x86_rule_broken(i, &c->s))
            return mv_x86_fault(GP, "it sets %s to %#" PRIx64 ": %s%s%s", name, value, what,
                                *what ? " " : "", rules[i].words);
    }
    return fine;
}

static struct mv_fault control(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    struct mv_x86_state after = c->s;
    struct kvm_sregs *s = &after.sregs;
    uint64_t value = mv_x86_register(&c->s.regs, i->rm);

    if (i->opcode == 0x30 && (uint32_t)c->s.regs.rcx == MSR_EFER)
        return set_control(
            c, "EFER", &s->efer,
            (uint32_t)c->s.regs.rax | c->s.regs.rdx << 32 | (c->s.sregs.efer & EFER_LMA), &after);
    if (i->opcode == 0x30 || i->opcode == 0x32)
        return mv_x86_fault(
            GP, "probably: it accesses the MSR %#x, which may not be there, or not take this value",
            (uint32_t)c->s.regs.rcx);
    if (i->opcode != 0x22)
        return fine;
    switch (i->reg) {
    case 0: return set_control(c, "CR0", &s->cr0, value, &after);
    case 3: return set_control(c, "CR3", &s->cr3, value & ~(1ull << 63), &after);
    case 4: return set_control(c, "CR4", &s->cr4, value, &after);
    default: return fine;
    }
}

/* Far jumps, calls and returns, and IRET: checks the new CS. */
static struct mv_fault far_transfer(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7, selector = i->selector, frame = 0;
    const char *who = "the code segment of a far jump";
    struct mv_x86_descriptor d;
    struct mv_fault found;

    if (i->opcode == 0xff) {
        selector = (unsigned)operand_value(c, i, i->operand, 2);
    } else if (i->opcode >= 0xca && i->opcode <= 0xcf) {
        who = i->opcode == 0xcf ? "the code segment that IRET finds on the stack"
                                : "the code segment of a far return";
        frame = i->operand * (i->opcode == 0xcf && c->is64 ? 5 : i->opcode == 0xcf ? 3 : 2);
        found = mv_x86_touch_stack(c, 0, frame, READ, "it pops from the stack at");
        if (found.vector != NONE)
            return found;
        selector = (unsigned)stack_value(c, i->operand, 2);
    } else if (choice == 3 || i->opcode == 0x9a) {
        who = "the code segment of a far call";
    }
    found = mv_x86_load(c, LOAD_CODE, selector, who, &d);
    if (found.vector != NONE && i->opcode == 0xcf)
        strncat(found.why, "; is an error code left on the stack, or RSP not where the frame is?",
                sizeof(found.why) - strlen(found.why) - 1);
    return found;
}

static bool is_far(const struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7;

    return i->map == 0 &&
           (i->opcode == 0xea || i->opcode == 0x9a || i->opcode == 0xca || i->opcode == 0xcb ||
            i->opcode == 0xcf || (i->opcode == 0xff && (choice == 3 || choice == 5)));
}

/* Near 64-bit jumps, calls and returns: only a non-canonical target faults here; other faults are
 * those of the next fetch. */
static struct mv_fault near_transfer(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7;
    bool is_return = i->opcode == 0xc2 || i->opcode == 0xc3;
    struct mv_fault found;

    if (!c->is64 || i->map || !(is_return || (i->opcode == 0xff && (choice == 2 || choice == 4))))
        return fine;
    found = mv_x86_touch(c, is_return ? stack_value(c, 0, 8) : operand_value(c, i, 0, 8), 1, FETCH,
                         c->cpl == 3, "it goes to");
    return found.vector == GP ? found : fine;
}

/* MOV and POP to a segment register, LLDT, LTR. */
static struct mv_fault segment_load(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    static const char *const names[] = {"it loads ES: the segment", "it loads CS: the segment",
                                        "it loads SS: the segment", "it loads DS: the segment",
                                        "it loads FS: the segment", "it loads GS: the segment"};
    unsigned choice = i->modrm >> 3 & 7, selector;
    bool is_pop = i->map ? i->opcode == 0xa1 || i->opcode == 0xa9
                         : i->opcode == 0x07 || i->opcode == 0x17 || i->opcode == 0x1f;
    struct mv_x86_descriptor d;

    if (is_pop)
        choice = i->opcode >> 3 & (i->map ? 1 : 3);
    selector = (unsigned)(is_pop ? stack_value(c, 0, 2) : operand_value(c, i, 0, 2));
    if (i->map == 1 && i->opcode == 0x00 && (choice == 2 || choice == 3))
        return mv_x86_load(c, choice == 2 ? LOAD_LDT : LOAD_TSS, selector,
                           choice == 2 ? "it loads LDTR: the segment" : "it loads TR: the segment",
                           &d);
    if (!is_pop && (i->map != 0 || i->opcode != 0x8e))
        return fine;
    if (is_pop && i->map)
        choice += 4; /* FS, GS */
    if (choice == 1 || choice > 5)
        return mv_x86_fault(UD, "it would load CS by MOV");
    return mv_x86_load(c, choice == 2 ? LOAD_STACK : LOAD_DATA, selector, names[choice], &d);
}

/* Instructions not allowed in rings above IOPL (SDM volume 1, 18.5.1): CLI, STI, and port I/O
 * except to ports that the TSS allows. */
static bool needs_iopl(const struct mv_x86_instruction *i)
{
    return i->map == 0 && (i->opcode == 0xfa || i->opcode == 0xfb || (i->opcode & 0xf4) == 0xe4 ||
                           (i->opcode & 0xfc) == 0x6c);
}

/* Features that the guest must enable first (SDM volume 2, 2.4; volume 3, 13.1). */
static struct mv_fault unit_off(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    bool sse = i->what & MV_X86_SSE && (i->prefix66 || i->repeats || i->map > 1 ||
                                        i->opcode < 0x60 || i->opcode == 0xc2 || i->opcode == 0xc6);
    uint64_t cr0 = c->s.sregs.cr0, cr4 = c->s.sregs.cr4;

    if (i->what & MV_X86_VEX && !(cr4 & CR4_OSXSAVE))
        return mv_x86_fault(UD, "it is an AVX instruction, and CR4.OSXSAVE is 0");
    if (sse && !(cr4 & CR4_OSFXSR))
        return mv_x86_fault(UD,
                            "it is an SSE instruction, and CR4.OSFXSR is 0: SSE is not turned on");
    if (i->what & MV_X86_SSE && cr0 & CR0_EM)
        return mv_x86_fault(UD, "it is an SSE or MMX instruction, and CR0.EM is 1");
    if (i->what & MV_X86_FPU && cr0 & CR0_EM)
        return mv_x86_fault(NM, "it is an x87 instruction, and CR0.EM is 1");
    if (i->what & (MV_X86_SSE | MV_X86_FPU | MV_X86_VEX) && cr0 & CR0_TS)
        return mv_x86_fault(NM, "it uses the x87 or SSE registers, and CR0.TS is 1");
    return fine;
}

static struct mv_fault memory_operands(const struct mv_x86_cpu *c,
                                       const struct mv_x86_instruction *i)
{
    bool is_write = i->what & MV_X86_WRITE;
    unsigned size = i->what & MV_X86_SSE ? (i->what & MV_X86_ALIGNED ? 16 : 8) : i->operand;
    uint64_t mask = mv_size_mask(i->address);
    struct mv_fault found = fine;

    if (i->has_memory && i->what & MV_X86_ALIGNED && i->offset % 16)
        return mv_x86_fault(GP, "it is an SSE access to %#" PRIx64 ", which is no multiple of 16",
                            i->offset);
    if (i->has_memory)
        found = mv_x86_touch_segment(c, i->segment, i->offset, size, is_write ? WRITE : READ,
                                     is_write ? "it writes to" : "it reads from");
    if (found.vector == NONE && i->what & MV_X86_STRING_FROM)
        found = mv_x86_touch_segment(c, i->segment, c->s.regs.rsi & mask, i->operand, READ,
                                     "it reads from");
    if (found.vector == NONE && i->what & MV_X86_STRING_TO)
        found = mv_x86_touch_segment(c, 0, c->s.regs.rdi & mask, i->operand, WRITE, "it writes to");
    if (found.vector == NONE && i->what & MV_X86_PUSH)
        found = mv_x86_touch_stack(c, -(int64_t)i->stack, i->stack, WRITE,
                                   "it pushes onto the stack at");
    if (found.vector == NONE && i->what & MV_X86_POP)
        found = mv_x86_touch_stack(c, 0, i->stack, READ, "it pops from the stack at");
    return found;
}

static struct mv_fault execute(const struct mv_x86_cpu *c, const struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7;
    struct mv_fault found = unit_off(c, i);

    if (found.vector != NONE)
        return found;
    if (i->what & MV_X86_UD)
        return mv_x86_fault(UD, "it is UD2, or one like it, whose purpose that is");
    if (i->what & MV_X86_NOT64 && c->is64)
        return mv_x86_fault(UD, "64-bit mode does not have this instruction");
    if (i->what & MV_X86_CPL0 && c->cpl)
        return mv_x86_fault(GP, "only the kernel (CPL 0) may do this, and CPL is %u", c->cpl);
    if (needs_iopl(i) && c->protected && c->cpl > (c->s.regs.rflags >> 12 & 3))
        return mv_x86_fault(GP, "ring %u may not do this: RFLAGS.IOPL is %u", c->cpl,
                            (unsigned)(c->s.regs.rflags >> 12 & 3));
    if (i->map == 1 && (i->opcode == 0x05 || i->opcode == 0x07) && !(c->s.sregs.efer & EFER_SCE))
        return mv_x86_fault(UD, "it is SYSCALL or SYSRET, and EFER.SCE is 0");
    if (i->map == 0 && i->opcode == 0xcc)
        return mv_x86_fault(BP, "it is int3");
    if (i->map == 0 && i->opcode == 0xcd) {
        found = mv_x86_fault((int)i->constant, "it asks for that vector");
        found.software = true;
        return found;
    }
    if (is_far(i))
        return far_transfer(c, i);
    found = memory_operands(c, i);
    if (found.vector == NONE && i->map == 0 && (i->opcode | 1) == 0xf7 && choice >= 6)
        found = divide(c, i);
    if (found.vector == NONE && i->map == 1 &&
        ((i->opcode & ~3) == 0x20 || i->opcode == 0x30 || i->opcode == 0x32))
        found = control(c, i);
    if (found.vector == NONE)
        found = near_transfer(c, i);
    return found.vector == NONE ? segment_load(c, i) : found;
}

struct mv_fault mv_x86_first_fault(const struct mv_x86_cpu *c, uint8_t code[CODE_MOST],
                                   unsigned *ret_length)
{
    uint64_t rip = c->s.regs.rip, linear = c->is64 ? rip : (uint32_t)(c->s.sregs.cs.base + rip);
    struct mv_fault found =
        mv_x86_touch_segment(c, 1, rip, 1, FETCH, "the instruction itself would be fetched from");
    struct mv_x86_instruction i;

    *ret_length = 0;
    if (found.vector != NONE)
        return found;
    mv_x86_read_linear(c, linear, code, CODE_MOST, "");
    if (!mv_x86_decode(&c->s, code, CODE_MOST, &i))
        return mv_x86_fault(GP, "it is longer than 15 bytes");
    *ret_length = i.length;
    found =
        mv_x86_touch(c, linear, i.length, FETCH, c->cpl == 3, "the instruction itself goes on to");
    if (found.vector == NONE)
        found = execute(c, &i);
    if (found.vector == NONE && (c->s.regs.rflags & RFLAGS_IF || (!i.map && i.opcode == 0xfb)))
        return mv_x86_fault(
            INTERRUPT, "probably: interrupts are on, or come on here (STI), and the instruction "
                       "itself raises nothing known here; vector 32 stands for it");
    return found;
}
