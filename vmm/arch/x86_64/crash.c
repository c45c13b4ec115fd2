/* SPDX-License-Identifier: MIT */
/*
 * A triple fault in words.  From the registers just before the last instruction and from memory:
 * which exception that instruction raises, and, step by step as the processor does it, why the
 * exception could not be delivered (SDM volume 3, 6.10 to 6.15: IDT, gate, segment, stack, entry).
 * Where no exception is found it says so, and tries the delivery alone.  Left out: tasks, I/O
 * permission bits, shadow stacks, and exceptions of values (SIMD, overflow, IDIV's ranges).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "explain.h"
#include "util.h"

enum {
    CR0_PE = 1u << 0,
    CR0_EM = 1u << 2,
    CR0_TS = 1u << 3,
    CR0_WP = 1u << 16,
    CR4_OSFXSR = 1u << 9,
    CR4_OSXSAVE = 1u << 18,
    CR4_SMEP = 1u << 20,
    EFER_LME = 1u << 8,
    EFER_LMA = 1u << 10,
    CR0_PG = 1u << 31,
    RFLAGS_IF = 1u << 9,
    RFLAGS_VM = 1u << 17,
    MSR_EFER = 0xc0000080u,
    REAL_IDT_LIMIT = 0x3ff,
    LINKS_MOST = 8, /* how far a chain is followed */
    CODE_MOST = 15, /* bytes of an instruction */
};

enum { DE = 0, BP = 3, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14 };
enum { INTERRUPT = 32, NONE = -1 };

/* How two exceptions make a double fault (SDM, table 6-5). */
enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static const struct exception {
    const char *name, *words;
    enum class class;
} exceptions[] = {
    [DE] = {"#DE", "division error", CONTRIBUTORY},
    [1] = {"#DB", "debug exception", BENIGN},
    [2] = {"NMI", "non-maskable interrupt", BENIGN},
    [BP] = {"#BP", "breakpoint", BENIGN},
    [4] = {"#OF", "overflow", BENIGN},
    [5] = {"#BR", "bound range exceeded", BENIGN},
    [UD] = {"#UD", "invalid opcode", BENIGN},
    [NM] = {"#NM", "device not available", BENIGN},
    [DF] = {"#DF", "double fault", CONTRIBUTORY},
    [9] = {"#9", "coprocessor overrun", BENIGN},
    [TS] = {"#TS", "invalid TSS", CONTRIBUTORY},
    [NP] = {"#NP", "segment not present", CONTRIBUTORY},
    [SS] = {"#SS", "stack fault", CONTRIBUTORY},
    [GP] = {"#GP", "general protection", CONTRIBUTORY},
    [PF] = {"#PF", "page fault", PAGE_FAULT},
};

struct fault {
    int vector;    /* NONE: all is well */
    bool software; /* by INT n */
    char why[400];
};

struct cpu {
    struct mv_x86_state s;
    const struct mv_mem *mem;
    bool protected, v86, is_long, is64;
    unsigned cpl;
};

enum access { READ, WRITE, FETCH };

static const struct fault fine = {.vector = NONE};

static struct fault fault(int vector, const char *format, ...) MV_PRINTF(2, 3);

static struct fault fault(int vector, const char *format, ...)
{
    struct fault fault = {.vector = vector};
    va_list args;

    va_start(args, format);
    vsnprintf(fault.why, sizeof(fault.why), format, args);
    va_end(args);
    return fault;
}

static struct cpu view(const struct mv_x86_state *state, const struct mv_mem *mem)
{
    struct cpu c = {.s = *state, .mem = mem, .protected = state->sregs.cr0 & CR0_PE};

    c.v86 = c.protected && state->regs.rflags & RFLAGS_VM;
    c.is_long = state->sregs.efer & EFER_LMA;
    c.is64 = c.is_long && state->sregs.cs.l;
    c.cpl = !c.protected ? 0 : c.v86 ? 3 : state->sregs.ss.dpl;
    return c;
}

/* ---- memory ---- */

/* Why the page tables forbid it (SDM, 4.6 and 4.7), or NULL. */
static const char *forbidden(const struct cpu *c, const struct mv_walk *walk, enum access access,
                             bool user)
{
    if (walk->page_size && c->s.address_bits < 64 && walk->address >> c->s.address_bits)
        return "its page's entry has reserved bits: an address wider than the processor's";
    if (user && !walk->user)
        return "its page is the kernel's (U/S is 0), and this is ring 3";
    if (access == WRITE && !walk->writable && (user || c->s.sregs.cr0 & CR0_WP))
        return user ? "its page is read-only" : "its page is read-only, and CR0.WP is 1";
    if (access == FETCH && !walk->executable)
        return "its page is marked as not executable (NX, bit 63)";
    if (access == FETCH && !user && walk->page_size && walk->user && c->s.sregs.cr4 & CR4_SMEP)
        return "its page is a user's (U/S is 1), and CR4.SMEP is 1";
    return NULL;
}

static struct fault touch_page(const struct cpu *c, uint64_t address, enum access access, bool user,
                               const char *doing)
{
    struct mv_walk walk;
    const char *why;

    mv_x86_walk(c->mem, &c->s.sregs, address, &walk);
    if (!walk.mapped && walk.levels == 0)
        return fault(GP, "%s %#" PRIx64 ", which is not canonical: its upper bits differ", doing,
                     address);
    why = walk.mapped ? forbidden(c, &walk, access, user) : walk.why;
    return why ? fault(PF, "%s %#" PRIx64 ", which %s%s", doing, address,
                       walk.mapped ? "is mapped, but " : "is not mapped: ", why)
               : fine;
}

static struct fault touch(const struct cpu *c, uint64_t address, uint64_t size, enum access access,
                          bool user, const char *doing)
{
    struct fault first = touch_page(c, address, access, user, doing);

    if (first.vector != NONE || size == 0 || !((address ^ (address + size - 1)) >> 12))
        return first;
    return touch_page(c, mv_align_down(address + size - 1, MV_PAGE_SIZE), access, user, doing);
}

/* As the processor itself reads its tables; all ones where nothing is mapped, or no memory. */
static struct fault read_linear(const struct cpu *c, uint64_t address, void *ret_data,
                                unsigned size, const char *doing)
{
    struct fault found = touch(c, address, size, READ, false, doing);

    memset(ret_data, 0xff, size);
    for (unsigned done = 0; done < size;) {
        uint64_t at = address + done;
        unsigned part = (unsigned)mv_min(size - done, MV_PAGE_SIZE - at % MV_PAGE_SIZE);
        struct mv_walk walk;

        mv_x86_walk(c->mem, &c->s.sregs, at, &walk);
        if (walk.mapped)
            mv_mem_read(c->mem, walk.address, (uint8_t *)ret_data + done, part);
        done += part;
    }
    return found;
}

/* ---- segments ---- */

static const struct kvm_segment *segment_of(const struct cpu *c, unsigned number)
{
    const struct kvm_sregs *s = &c->s.sregs;
    const struct kvm_segment *const all[] = {&s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs};

    return all[number];
}

/* An access by a segment and an offset (SDM, 5.3). */
static struct fault touch_segment(const struct cpu *c, unsigned number, uint64_t offset,
                                  unsigned size, enum access access, const char *doing)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    const struct kvm_segment *s = segment_of(c, number);
    int vector = number == 2 ? SS : GP;
    struct fault found;

    if (c->is64) {
        found = touch(c, offset + (number >= 4 ? s->base : 0), size, access, c->cpl == 3, doing);
        if (found.vector == GP && vector == SS)
            found.vector = SS;
        return found;
    }
    if (c->protected && !c->v86 && (s->unusable || !s->present))
        return fault(vector, "%s %s:%#" PRIx64 ", and %s holds no usable segment (null selector)",
                     doing, names[number], offset, names[number]);
    if (!(s->type & 8) && s->type & 4 ? offset <= s->limit : offset + size - 1 > s->limit)
        return fault(vector, "%s %s:%#" PRIx64 ", which is beyond the limit of the segment, %#x",
                     doing, names[number], offset, s->limit);
    if (c->protected && !c->v86 && access == WRITE && (s->type & 8 || !(s->type & 2)))
        return fault(vector, "%s %s:%#" PRIx64 ", and the segment may not be written", doing,
                     names[number], offset);
    return touch(c, (uint32_t)(s->base + offset), size, access, c->cpl == 3, doing);
}

enum load { LOAD_CODE, LOAD_GATE, LOAD_DATA, LOAD_STACK, LOAD_TSS, LOAD_LDT };

struct descriptor {
    uint64_t bits;
    unsigned type; /* with S in bit 4 */
    unsigned dpl;
    bool present, is64, big;
    uint32_t base, limit;
};

static struct descriptor unpack(uint64_t bits)
{
    struct descriptor d = {.bits = bits,
                           .type = bits >> 40 & 31,
                           .dpl = bits >> 45 & 3,
                           .present = bits >> 47 & 1,
                           .is64 = bits >> 53 & 1,
                           .big = bits >> 54 & 1,
                           .base = (uint32_t)((bits >> 16 & 0xffffff) | (bits >> 56 & 0xff) << 24),
                           .limit = (uint32_t)((bits & 0xffff) | (bits >> 48 & 0xf) << 16)};

    if (bits >> 55 & 1)
        d.limit = d.limit << 12 | 0xfff;
    return d;
}

static struct fault read_descriptor(const struct cpu *c, const char *who, unsigned selector,
                                    struct descriptor *ret)
{
    const struct kvm_sregs *s = &c->s.sregs;
    bool in_ldt = selector & 4;
    uint64_t base = in_ldt ? s->ldt.base : s->gdt.base, bits;
    uint32_t limit = in_ldt ? s->ldt.limit : s->gdt.limit;
    const char *table = in_ldt ? "LDT" : "GDT";
    struct fault found;

    if (in_ldt && (s->ldt.unusable || !s->ldt.present))
        return fault(GP, "%s, selector %#x, is one of the LDT, and there is none", who, selector);
    if ((selector | 7) > limit)
        return fault(GP, "%s, selector %#x, lies outside of the %s, whose limit is %#x", who,
                     selector, table, limit);
    found = read_linear(c, base + (selector & ~7u), &bits, sizeof(bits), "the GDT is read at");
    *ret = unpack(bits);
    return found;
}

/* What the descriptor has to be (SDM volume 2, MOV and JMP; volume 3, 6.12). */
static const char *wrong_kind(const struct cpu *c, enum load load, unsigned selector,
                              const struct descriptor *d)
{
    bool code = (d->type & 0x18) == 0x18, data = (d->type & 0x18) == 0x10;

    switch (load) {
    case LOAD_GATE:
    case LOAD_CODE:
        if (!code)
            return data ? "is a data segment, not code" : "is not a code segment";
        if (c->is_long && load == LOAD_GATE && (!d->is64 || d->big))
            return "is not 64-bit code (L is 0), as a handler in long mode has to be";
        if (c->is_long && d->is64 && d->big)
            return "has L and D both set";
        return d->dpl > c->cpl && load == LOAD_GATE ? "has less privilege than the code before"
                                                    : NULL;
    case LOAD_STACK:
        if (!data || !(d->type & 2))
            return "is not a data segment that may be written";
        return d->dpl != c->cpl || (selector & 3) != c->cpl ? "has another privilege level" : NULL;
    case LOAD_DATA:
        return !data && !(code && d->type & 2) ? "is not a segment that may be read" : NULL;
    case LOAD_TSS: return (d->type & ~2u) != 9 && (d->type & ~2u) != 1 ? "is not a TSS" : NULL;
    default: return d->type != 2 ? "is not an LDT" : NULL;
    }
}

static struct fault load(const struct cpu *c, enum load load, unsigned selector, const char *who,
                         struct descriptor *ret)
{
    struct fault found;
    const char *wrong;

    if (!c->protected || c->v86)
        return fine;
    if (!(selector & ~3u)) {
        bool allowed = load == LOAD_DATA || load == LOAD_LDT || (load == LOAD_STACK && c->is64);

        return allowed ? fine : fault(GP, "%s is the null selector", who);
    }
    found = read_descriptor(c, who, selector, ret);
    if (found.vector != NONE)
        return found;
    wrong = wrong_kind(c, load, selector, ret);
    if (wrong)
        return fault(GP, "%s, selector %#x, %s: its descriptor is %#" PRIx64, who, selector, wrong,
                     ret->bits);
    if (!ret->present)
        return fault(load == LOAD_STACK ? SS : NP,
                     "%s, selector %#x, is not present: bit 47 (P) of its descriptor %#" PRIx64
                     " is 0",
                     who, selector, ret->bits);
    return fine;
}

/* ---- what an instruction raises ---- */

static uint64_t stack_pointer(const struct cpu *c)
{
    uint64_t sp = c->s.regs.rsp;

    return c->is64 ? sp : c->s.sregs.ss.db ? (uint32_t)sp : (uint16_t)sp;
}

static struct fault touch_stack(const struct cpu *c, int64_t from, unsigned size,
                                enum access access, const char *doing)
{
    uint64_t offset = stack_pointer(c) + (uint64_t)from;

    if (!c->is64)
        offset &= c->s.sregs.ss.db ? UINT32_MAX : UINT16_MAX;
    return touch_segment(c, 2, offset, size, access, doing);
}

/* An operand that is read: of a register, or of memory that can be. */
static uint64_t operand_value(const struct cpu *c, const struct mv_x86_instruction *i,
                              uint64_t extra, unsigned size)
{
    uint64_t value = 0, base = c->is64 && i->segment < 4 ? 0 : segment_of(c, i->segment)->base;

    if (i->has_memory)
        read_linear(c, base + i->offset + extra, &value, size, "");
    else
        value = mv_x86_register(&c->s.regs, i->rm);
    return value & mv_size_mask(size);
}

static struct fault divide(const struct cpu *c, const struct mv_x86_instruction *i)
{
    uint64_t divisor = operand_value(c, i, 0, i->operand);
    uint64_t upper = i->operand == 1 ? c->s.regs.rax >> 8 : c->s.regs.rdx;

    if (divisor == 0)
        return fault(DE, "it divides by zero");
    if ((i->modrm >> 3 & 7) == 6 && (upper & mv_size_mask(i->operand)) >= divisor)
        return fault(DE, "it divides, and the quotient does not fit: RDX:RAX is too large");
    return fine;
}

/* MOV to a control register, and WRMSR of EFER: the state afterwards has to keep the rules. */
static struct fault set_control(const struct cpu *c, const char *name, __u64 *was, uint64_t value,
                                struct mv_x86_state *after)
{
    unsigned count;
    const struct mv_x86_rule *rules = mv_x86_rules(&count);

    *was = value;
    if (after->sregs.efer & EFER_LME && after->sregs.cr0 & CR0_PG)
        after->sregs.efer |= EFER_LMA;
    else
        after->sregs.efer &= ~(uint64_t)EFER_LMA;
    if (!c->is_long && after->sregs.efer & EFER_LMA && c->s.sregs.cs.l)
        return fault(GP, "it turns long mode on while CS.L is 1");
    for (unsigned i = 0; i < count; i++) {
        const char *what = mv_x86_rule_broken(i, after);

        if (what && !mv_x86_rule_broken(i, &c->s) && strncmp(rules[i].name, "cs", 2) != 0)
            return fault(GP, "it sets %s to %#" PRIx64 ": %s%s%s", name, value, what,
                         *what ? " " : "", rules[i].words);
    }
    return fine;
}

static struct fault control(const struct cpu *c, const struct mv_x86_instruction *i)
{
    struct mv_x86_state after = c->s;
    struct kvm_sregs *s = &after.sregs;
    uint64_t value = mv_x86_register(&c->s.regs, i->rm);

    if (i->opcode == 0x30 && (uint32_t)c->s.regs.rcx == MSR_EFER)
        return set_control(
            c, "EFER", &s->efer,
            (uint32_t)c->s.regs.rax | c->s.regs.rdx << 32 | (c->s.sregs.efer & EFER_LMA), &after);
    if (i->opcode == 0x30 || i->opcode == 0x32)
        return fault(
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

/* Far jumps, calls and returns, and IRET: where CS comes from. */
static struct fault far_transfer(const struct cpu *c, const struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7, selector = i->selector, frame = 0;
    uint64_t at = c->is64 ? 0 : c->s.sregs.ss.base;
    const char *who = "the code segment of a far jump";
    struct descriptor d;
    struct fault found;

    if (i->opcode == 0xff) {
        selector = (unsigned)operand_value(c, i, i->operand, 2);
    } else if (i->opcode >= 0xca && i->opcode <= 0xcf) {
        who = i->opcode == 0xcf ? "the code segment that IRET finds on the stack"
                                : "the code segment of a far return";
        frame = i->operand * (i->opcode == 0xcf && c->is64 ? 5 : i->opcode == 0xcf ? 3 : 2);
        found = touch_stack(c, 0, frame, READ, "it pops from the stack at");
        if (found.vector != NONE)
            return found;
        read_linear(c, at + stack_pointer(c) + i->operand, &selector, 2, "");
        selector &= 0xffff;
    } else if (choice == 3 || i->opcode == 0x9a) {
        who = "the code segment of a far call";
    }
    found = load(c, LOAD_CODE, selector, who, &d);
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

/* MOV and POP to a segment register, LLDT, LTR. */
static struct fault segment_load(const struct cpu *c, const struct mv_x86_instruction *i)
{
    static const char *const names[] = {"it loads ES: the segment", "CS",
                                        "it loads SS: the segment", "it loads DS: the segment",
                                        "it loads FS: the segment", "it loads GS: the segment"};
    unsigned choice = i->modrm >> 3 & 7;
    unsigned selector = (unsigned)operand_value(c, i, 0, 2);
    struct descriptor d;

    if (i->map == 1 && i->opcode == 0x00 && (choice == 2 || choice == 3))
        return load(c, choice == 2 ? LOAD_LDT : LOAD_TSS, selector,
                    choice == 2 ? "it loads LDTR: the segment" : "it loads TR: the segment", &d);
    if (i->map != 0 || i->opcode != 0x8e)
        return fine;
    if (choice == 1 || choice > 5)
        return fault(UD, "it would load CS by MOV");
    return load(c, choice == 2 ? LOAD_STACK : LOAD_DATA, selector, names[choice], &d);
}

/* Features that have to be turned on first (SDM volume 2, 2.4; volume 3, 13.1). */
static struct fault unit_off(const struct cpu *c, const struct mv_x86_instruction *i)
{
    bool sse = i->what & MV_X86_SSE && (i->prefix66 || i->repeats || i->map > 1 ||
                                        i->opcode < 0x60 || i->opcode == 0xc2 || i->opcode == 0xc6);
    uint64_t cr0 = c->s.sregs.cr0, cr4 = c->s.sregs.cr4;

    if (i->what & MV_X86_VEX && !(cr4 & CR4_OSXSAVE))
        return fault(UD, "it is an AVX instruction, and CR4.OSXSAVE is 0");
    if (sse && !(cr4 & CR4_OSFXSR))
        return fault(UD, "it is an SSE instruction, and CR4.OSFXSR is 0: SSE is not turned on");
    if (i->what & MV_X86_SSE && cr0 & CR0_EM)
        return fault(UD, "it is an SSE or MMX instruction, and CR0.EM is 1");
    if (i->what & MV_X86_FPU && cr0 & CR0_EM)
        return fault(NM, "it is an x87 instruction, and CR0.EM is 1");
    if (i->what & (MV_X86_SSE | MV_X86_FPU | MV_X86_VEX) && cr0 & CR0_TS)
        return fault(NM, "it uses the x87 or SSE registers, and CR0.TS is 1");
    return fine;
}

static struct fault memory_operands(const struct cpu *c, const struct mv_x86_instruction *i)
{
    bool is_write = i->what & MV_X86_WRITE;
    unsigned size = i->what & MV_X86_SSE ? (i->what & MV_X86_ALIGNED ? 16 : 8) : i->operand;
    uint64_t mask = mv_size_mask(i->address);
    struct fault found = fine;

    if (i->has_memory && i->what & MV_X86_ALIGNED && i->offset % 16)
        return fault(GP, "it is an SSE access to %#" PRIx64 ", which is no multiple of 16",
                     i->offset);
    if (i->has_memory)
        found = touch_segment(c, i->segment, i->offset, size, is_write ? WRITE : READ,
                              is_write ? "it writes to" : "it reads from");
    if (found.vector == NONE && i->what & MV_X86_STRING_FROM)
        found =
            touch_segment(c, i->segment, c->s.regs.rsi & mask, i->operand, READ, "it reads from");
    if (found.vector == NONE && i->what & MV_X86_STRING_TO)
        found = touch_segment(c, 0, c->s.regs.rdi & mask, i->operand, WRITE, "it writes to");
    if (found.vector == NONE && i->what & MV_X86_PUSH)
        found = touch_stack(c, -(int64_t)i->stack, i->stack, WRITE, "it pushes onto the stack at");
    if (found.vector == NONE && i->what & MV_X86_POP && i->opcode != 0xc9)
        found = touch_stack(c, 0, i->stack, READ, "it pops from the stack at");
    return found;
}

static struct fault execute(const struct cpu *c, const struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7;
    struct fault found = unit_off(c, i);

    if (found.vector != NONE)
        return found;
    if (i->what & MV_X86_UD)
        return fault(UD, "it is UD2, or one like it, whose purpose that is");
    if (i->what & MV_X86_NOT64 && c->is64)
        return fault(UD, "64-bit mode does not have this instruction");
    if (i->what & MV_X86_CPL0 && c->cpl)
        return fault(GP, "only the kernel (CPL 0) may do this, and CPL is %u", c->cpl);
    if (i->map == 0 && i->opcode == 0xcc)
        return fault(BP, "it is int3");
    if (i->map == 0 && i->opcode == 0xcd) {
        found = fault((int)i->constant, "it asks for that vector");
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
    return found.vector == NONE ? segment_load(c, i) : found;
}

/* The first exception of the instruction at RIP, or what can be said instead. */
static struct fault first_fault(const struct cpu *c, uint8_t code[CODE_MOST], unsigned *ret_length)
{
    uint64_t rip = c->s.regs.rip, linear = c->is64 ? rip : (uint32_t)(c->s.sregs.cs.base + rip);
    struct fault found =
        touch_segment(c, 1, rip, 1, FETCH, "the instruction itself would be fetched from");
    struct mv_x86_instruction i;

    *ret_length = 0;
    if (found.vector != NONE)
        return found;
    read_linear(c, linear, code, CODE_MOST, "");
    if (!mv_x86_decode(&c->s, code, CODE_MOST, &i))
        return fault(GP, "it is longer than 15 bytes");
    *ret_length = i.length;
    found = touch(c, linear, i.length, FETCH, c->cpl == 3, "the instruction itself goes on to");
    if (found.vector == NONE)
        found = execute(c, &i);
    if (found.vector == NONE && (c->s.regs.rflags & RFLAGS_IF || (!i.map && i.opcode == 0xfb)))
        return fault(INTERRUPT, "probably: interrupts are on, or come on here (STI), and the "
                                "instruction raises nothing that is known "
                                "here; vector 32 stands for it below");
    return found;
}

/* ---- delivery ---- */

struct gate {
    uint64_t offset;
    unsigned selector, type, dpl, ist;
    bool present;
};

static struct gate unpack_gate(const uint64_t raw[2], bool is_long)
{
    return (struct gate){
        .offset = (raw[0] & 0xffff) | (raw[0] >> 48) << 16 | (is_long ? raw[1] << 32 : 0),
        .selector = raw[0] >> 16 & 0xffff,
        .type = raw[0] >> 40 & 31,
        .dpl = raw[0] >> 45 & 3,
        .ist = is_long ? raw[0] >> 32 & 7 : 0,
        .present = raw[0] >> 47 & 1,
    };
}

/* SDM, 6.11 and 6.14.1; in real mode 20.1.4. */
static struct fault read_gate(const struct cpu *c, int vector, bool software, struct gate *ret)
{
    const struct kvm_dtable *idt = &c->s.sregs.idt;
    unsigned size = c->is_long ? 16 : c->protected ? 8 : 4, from = (unsigned)vector * size;
    uint64_t raw[2] = {0};
    struct fault found;
    bool known;

    if (from + size - 1 > idt->limit)
        return fault(GP, "the IDT's limit is %#x, and its entry would be the bytes %#x to %#x%s",
                     idt->limit, from, from + size - 1,
                     idt->limit == 0 ? " (no IDT was loaded)"
                     : idt->limit < 256
                         ? " (is the limit a number of entries? it counts bytes, less 1)"
                     : idt->limit == REAL_IDT_LIMIT ? " (is it the IDT of real mode?)"
                                                    : "");
    found = read_linear(c, idt->base + from, raw, size, "the IDT's entry is read at");
    if (found.vector != NONE)
        return found;
    if (!c->protected) {
        *ret = (struct gate){.offset = raw[0] & 0xffff, .selector = raw[0] >> 16 & 0xffff};
        return fine;
    }
    *ret = unpack_gate(raw, c->is_long);
    known = ret->type == 14 || ret->type == 15 ||
            (!c->is_long && (ret->type == 6 || ret->type == 7 || ret->type == 5));
    if (!raw[0])
        return fault(GP, "its entry in the IDT, at %#" PRIx64 ", is empty (all zeros)",
                     (uint64_t)idt->base + from);
    if (!known)
        return fault(GP,
                     "its entry in the IDT, at %#" PRIx64
                     ", has the type %#x, and a gate has 0xe or 0xf",
                     (uint64_t)idt->base + from, ret->type);
    if (software && ret->dpl < c->cpl)
        return fault(GP, "its gate is not for ring %u: DPL is %u", c->cpl, ret->dpl);
    if (!ret->present)
        return fault(NP,
                     "its gate is not present: bit 47 (P) of the IDT's entry at %#" PRIx64 " is 0",
                     (uint64_t)idt->base + from);
    return fine;
}

/* A new stack from the TSS: IST, or for more privilege (SDM, 6.14.4 and 7.7). */
static struct fault stack_of_tss(const struct cpu *c, const struct gate *gate, struct cpu *to)
{
    const struct kvm_segment *tr = &c->s.sregs.tr;
    unsigned size = c->is_long ? 8 : 4;
    unsigned at = !c->is_long ? 4 : gate->ist ? 0x1c + 8 * gate->ist : 4;
    uint64_t sp = 0;
    struct fault found;

    if (at + size - 1 > tr->limit)
        return fault(TS, "the TSS's limit, %#x, ends before the stack pointer at its byte %#x",
                     tr->limit, at);
    found = read_linear(c, tr->base + at, &sp, size, "the TSS is read at");
    to->s.regs.rsp = sp;
    return found;
}

/* Where the frame goes; the stack pointer is named if it came from the TSS. */
static void say_stack(const struct cpu *c, unsigned ist, bool from_tss, char text[120])
{
    char source[60] = "";

    if (from_tss)
        snprintf(source, sizeof(source),
                 ist ? "IST%u of the TSS at %#" PRIx64 " is %#" PRIx64 ": "
                     : "RSP%u of the TSS at %#" PRIx64 " is %#" PRIx64 ": ",
                 ist, (uint64_t)c->s.sregs.tr.base, (uint64_t)c->s.regs.rsp);
    snprintf(text, 120, "%sthe frame is pushed onto the stack at", source);
}

static struct fault deliver_real(struct cpu *c, const struct gate *gate)
{
    struct fault found = touch_stack(c, -6, 6, WRITE, "the frame is pushed onto the stack at");

    if (found.vector != NONE)
        return found;
    c->s.regs.rsp = (c->s.regs.rsp & ~0xffffull) | ((c->s.regs.rsp - 6) & 0xffff);
    c->s.regs.rip = gate->offset;
    c->s.regs.rflags &= ~(uint64_t)RFLAGS_IF;
    c->s.sregs.cs.selector = (uint16_t)gate->selector;
    c->s.sregs.cs.base = (uint64_t)gate->selector << 4;
    return fine;
}

/* The processor's way into a handler: *c becomes its state there. */
static struct fault deliver(struct cpu *c, const struct fault *what)
{
    struct gate gate = {0};
    struct descriptor code = {0};
    struct cpu to = *c;
    char doing[120];
    unsigned frame;
    struct fault found = read_gate(c, what->vector, what->software, &gate);

    if (found.vector != NONE)
        return found;
    if (!c->protected)
        return deliver_real(c, &gate);
    found = load(c, LOAD_GATE, gate.selector, "the segment of its gate in the IDT", &code);
    if (found.vector != NONE)
        return found;
    if (!(code.type & 4))
        to.cpl = code.dpl;
    if (gate.ist || to.cpl != c->cpl)
        found = stack_of_tss(c, &gate, &to);
    if (found.vector != NONE)
        return found;
    if (c->is_long)
        to.s.regs.rsp &= ~15ull;
    to.is64 = c->is_long;
    frame = c->is_long ? 48 : to.cpl != c->cpl ? 24 : 16;
    say_stack(&to, gate.ist, gate.ist || to.cpl != c->cpl, doing);
    found = touch_stack(&to, -(int64_t)frame, frame, WRITE, doing);
    if (found.vector != NONE)
        return found;
    to.s.regs.rsp -= frame;
    to.s.regs.rip = gate.offset;
    to.s.regs.rflags &= ~(uint64_t)(RFLAGS_IF | RFLAGS_VM);
    to.s.sregs.cs = (struct kvm_segment){.selector = (uint16_t)gate.selector,
                                         .base = code.base,
                                         .limit = code.limit,
                                         .type = code.type & 15,
                                         .s = 1,
                                         .present = 1,
                                         .dpl = (uint8_t)code.dpl,
                                         .l = code.is64,
                                         .db = code.big};
    to.s.sregs.ss.dpl = (uint8_t)to.cpl;
    *c = view(&to.s, c->mem);
    return fine;
}

/* ---- in words ---- */

/* Short, or at length. */
static const char *name(const struct fault *f, bool is_long, char text[80])
{
    bool known = !f->software && (size_t)f->vector < MV_COUNT(exceptions);

    if (!known)
        snprintf(text, 80, f->software ? "INT %#x" : "an interrupt (vector %d)", f->vector);
    else if (is_long)
        snprintf(text, 80, "%s (%s, vector %d)", exceptions[f->vector].name,
                 exceptions[f->vector].words, f->vector);
    else
        snprintf(text, 80, "%s", exceptions[f->vector].name);
    return text;
}

static enum class class_of(const struct fault *f) {
    return !f->software && (size_t)f->vector < MV_COUNT(exceptions) ? exceptions[f->vector].class
                                                                    : BENIGN;
}

/* What two exceptions make: the second one, a double fault, or the end (SDM, table 6-5). */
static struct fault combine(const struct fault *first, const struct fault *second)
{
    enum class a = class_of(first), b = class_of(second);

    if (first->vector == DF && !first->software)
        return fine;
    if (b == BENIGN || a == BENIGN || (a == CONTRIBUTORY && b == PAGE_FAULT))
        return *second;
    return fault(DF, "it comes of two exceptions at once");
}

static void say_code(const uint8_t *code, unsigned length, FILE *to)
{
    if (length)
        fprintf(to, ", the instruction");
    for (unsigned i = 0; i < length; i++)
        fprintf(to, " %02x", code[i]);
}

/* What is likely behind it, where the state shows that. */
static void say_hints(const struct cpu *c, const uint8_t *code, unsigned length, FILE *to)
{
    const struct kvm_sregs *s = &c->s.sregs;

    if (c->is_long && !c->is64)
        fprintf(to, "  note: long mode is active, but CS is not 64-bit code (CS.L is 0): if 64-bit "
                    "code was meant, "
                    "the far jump to it is missing (SDM, 9.8.5.3)\n");
    if (length >= 2 && !code[0] && !code[1])
        fprintf(to, "  note: the code there is zeros: a jump to memory that nothing was put into, "
                    "or code that "
                    "ran past its end\n");
    if (length >= 2 && code[0] == 0xff && code[1] == 0xff)
        fprintf(to, "  note: the code there is all ones, as where no memory is\n");
    if (c->protected && s->idt.limit == 0xffff && s->idt.base == 0)
        fprintf(to, "  note: IDTR is as after a reset (base 0, limit 0xffff): no IDT was loaded\n");
}

/* Follows the exception until the processor shuts down, or a handler is entered.  Returns whether
 * that is entered. */
static bool follow(struct cpu *c, struct fault now, FILE *to)
{
    struct fault cause = fine;
    char text[80];

    for (unsigned i = 0; i < LINKS_MOST; i++) {
        struct fault before = cause, next;

        cause = deliver(c, &now);
        if (cause.vector == NONE) {
            fprintf(to, "  %s is delivered: its handler at %#" PRIx64 " is entered\n",
                    name(&now, false, text), (uint64_t)c->s.regs.rip);
            return true;
        }
        next = combine(&now, &cause);
        fprintf(to, "  %s cannot be delivered: %s\n", name(&now, false, text),
                strcmp(before.why, cause.why) == 0 ? "for the same reason" : cause.why);
        if (next.vector == NONE) {
            fprintf(to, "  so the processor shuts down: a triple fault\n");
            return false;
        }
        fprintf(to, "    this is %s%s\n", name(&cause, true, text),
                next.vector == DF ? ", and the two make a #DF (double fault, vector 8)" : "");
        now = next;
    }
    return false;
}

void mv_x86_explain_crash(const struct mv_x86_state *state, const struct mv_mem *mem, FILE *to)
{
    struct cpu c = view(state, mem);
    uint8_t code[CODE_MOST];
    char text[80];
    int before = NONE;

    fprintf(to, "what happened (SDM volume 3, 6.12 to 6.15):\n");
    for (unsigned i = 0; i < LINKS_MOST; i++) {
        unsigned length;
        struct fault first = first_fault(&c, code, &length);

        fprintf(to, "  at %#" PRIx64, (uint64_t)c.s.regs.rip);
        say_code(code, length, to);
        if (first.vector == NONE && i > 0) {
            fprintf(to, " raises nothing known here: the crash came later in this handler\n");
            return;
        }
        if (first.vector == NONE)
            first = fault(GP, "probably, or another: nothing is known here of this instruction");
        fprintf(to, " raises %s:\n    %s\n", name(&first, true, text), first.why);
        say_hints(&c, code, length, to);
        if (first.vector == before) {
            fprintf(to, "  and so on, until the stack cannot be written any more\n");
            return;
        }
        before = first.vector;
        if (!follow(&c, first, to))
            return;
    }
}
