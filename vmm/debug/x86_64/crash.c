/* SPDX-License-Identifier: MIT */
/*
 * Explains a triple fault: the exception of the last instruction, and, following the processor step
 * by step, why it could not be delivered (SDM volume 3, 6.10 to 6.15: IDT, gate, segment, stack,
 * entry).  If it finds no exception, it says so and checks only the delivery of one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash.h"

enum {
    REAL_IDT_LIMIT = 0x3ff,
    LINKS_MOST = 8, /* most exceptions that are followed in a chain */
};

/* Which pairs of exceptions cause a double fault (SDM, table 6-5). */
enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static const struct exception {
    const char *name, *words;
    enum severity severity;
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
static struct mv_fault read_gate(const struct mv_x86_cpu *c, int vector, bool software,
                                 struct gate *ret)
{
    const struct kvm_dtable *idt = &c->s.sregs.idt;
    unsigned size = c->is_long ? 16 : c->protected ? 8 : 4, from = (unsigned)vector * size;
    uint64_t raw[2] = {0};
    struct mv_fault found;
    bool known;

    if (from + size - 1 > idt->limit)
        return mv_x86_fault(
            GP, "the IDT's limit is %#x, and its entry would be the bytes %#x to %#x%s", idt->limit,
            from, from + size - 1,
            idt->limit == 0    ? " (no IDT was loaded)"
            : idt->limit < 256 ? " (is the limit a number of entries? it counts bytes, less 1)"
            : idt->limit == REAL_IDT_LIMIT ? " (is it the IDT of real mode?)"
                                           : "");
    found = mv_x86_read_linear(c, idt->base + from, raw, size, "the IDT's entry is read at");
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
        return mv_x86_fault(GP, "its entry in the IDT, at %#" PRIx64 ", is empty (all zeros)",
                            (uint64_t)idt->base + from);
    if (!known)
        return mv_x86_fault(GP,
                            "its entry in the IDT, at %#" PRIx64
                            ", has the type %#x, and a gate has 0xe or 0xf",
                            (uint64_t)idt->base + from, ret->type);
    if (software && ret->dpl < c->cpl)
        return mv_x86_fault(GP, "its gate is not for ring %u: DPL is %u", c->cpl, ret->dpl);
    if (!ret->present)
        return mv_x86_fault(
            NP, "its gate is not present: bit 47 (P) of the IDT's entry at %#" PRIx64 " is 0",
            (uint64_t)idt->base + from);
    return fine;
}

/* Switches to a stack from the TSS: an IST, or that of a more privileged level (SDM, 6.14.4 and
 * 7.7). */
static struct mv_fault stack_of_tss(const struct mv_x86_cpu *c, const struct gate *gate,
                                    struct mv_x86_cpu *to)
{
    const struct kvm_segment *tr = &c->s.sregs.tr;
    unsigned size = c->is_long ? 8 : 4;
    unsigned at = !c->is_long ? 4 : gate->ist ? 0x1c + 8 * gate->ist : 4;
    uint64_t sp = 0;
    struct mv_fault found;

    if (at + size - 1 > tr->limit)
        return mv_x86_fault(TS,
                            "the TSS's limit, %#x, ends before the stack pointer at its byte %#x",
                            tr->limit, at);
    found = mv_x86_read_linear(c, tr->base + at, &sp, size, "the TSS is read at");
    to->s.regs.rsp = sp;
    return found;
}

/* Says where the frame is pushed, and where in the TSS the stack pointer came from, if it did. */
static void say_stack(const struct mv_x86_cpu *c, unsigned ist, bool from_tss, char text[128])
{
    char source[80] = "";

    if (from_tss)
        snprintf(source, sizeof(source),
                 ist ? "IST%u of the TSS at %#" PRIx64 " is %#" PRIx64 ": "
                     : "RSP%u of the TSS at %#" PRIx64 " is %#" PRIx64 ": ",
                 ist, (uint64_t)c->s.sregs.tr.base, (uint64_t)c->s.regs.rsp);
    snprintf(text, 128, "%sthe frame is pushed onto the stack at", source);
}

static struct mv_fault deliver_real(struct mv_x86_cpu *c, const struct gate *gate)
{
    struct mv_fault found =
        mv_x86_touch_stack(c, -6, 6, WRITE, "the frame is pushed onto the stack at");

    if (found.vector != NONE)
        return found;
    c->s.regs.rsp = (c->s.regs.rsp & ~0xffffull) | ((c->s.regs.rsp - 6) & 0xffff);
    c->s.regs.rip = gate->offset;
    c->s.regs.rflags &= ~(uint64_t)RFLAGS_IF;
    c->s.sregs.cs.selector = (uint16_t)gate->selector;
    c->s.sregs.cs.base = (uint64_t)gate->selector << 4;
    return fine;
}

/* Delivers an exception as the processor does; on success *c is the state in its handler. */
static struct mv_fault deliver(struct mv_x86_cpu *c, const struct mv_fault *what)
{
    struct gate gate = {0};
    struct mv_x86_descriptor code = {0};
    struct mv_x86_cpu to = *c;
    char doing[128];
    unsigned frame;
    struct mv_fault found = read_gate(c, what->vector, what->software, &gate);

    if (found.vector != NONE)
        return found;
    if (!c->protected)
        return deliver_real(c, &gate);
    found = mv_x86_load(c, LOAD_GATE, gate.selector, "the segment of its gate in the IDT", &code);
    if (found.vector != NONE)
        return found;
    if (c->is_long && mv_x86_touch(c, gate.offset, 1, FETCH, false, "").vector == GP)
        return mv_x86_fault(GP, "its handler's address, %#" PRIx64 ", is not canonical",
                            gate.offset);
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
    found = mv_x86_touch_stack(&to, -(int64_t)frame, frame, WRITE, doing);
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
    *c = mv_x86_view(&to.s, c->mem);
    return fine;
}

/* ---- in words ---- */

/* The name of an exception; if is_long, also its description and vector. */
static const char *name(const struct mv_fault *f, bool is_long, char text[80])
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

static enum severity severity_of(const struct mv_fault *f)
{
    bool known = !f->software && (size_t)f->vector < MV_COUNT(exceptions);

    return known ? exceptions[f->vector].severity : BENIGN;
}

/* Combines two exceptions (SDM, table 6-5): returns the second one, a double fault, or NONE for
 * shutdown. */
static struct mv_fault combine(const struct mv_fault *first, const struct mv_fault *second)
{
    enum severity a = severity_of(first), b = severity_of(second);

    if (first->vector == DF && !first->software)
        return fine;
    if (b == BENIGN || a == BENIGN || (a == CONTRIBUTORY && b == PAGE_FAULT))
        return *second;
    return mv_x86_fault(DF, "it comes of two exceptions at once");
}

static void say_code(const uint8_t *code, unsigned length, FILE *to)
{
    if (length)
        fprintf(to, ", the instruction");
    for (unsigned i = 0; i < length; i++)
        fprintf(to, " %02x", code[i]);
}

/* Names likely causes, if the state shows any. */
static void say_hints(const struct mv_x86_cpu *c, const uint8_t *code, unsigned length, FILE *to)
{
    const struct kvm_sregs *s = &c->s.sregs;

    if (c->is_long && !c->is64)
        fprintf(to,
                "  note: long mode is active, but CS is not 64-bit code (CS.L is 0): for 64-bit "
                "code the far jump to it is missing (SDM, 9.8.5.3)\n");
    if (length >= 2 && !code[0] && !code[1])
        fprintf(to, "  note: the code there is zeros: a jump to memory that nothing was put into, "
                    "or code that ran past its end\n");
    if (length >= 2 && code[0] == 0xff && code[1] == 0xff)
        fprintf(to, "  note: the code there is all ones, as where no memory is\n");
    if (c->protected && s->idt.limit == 0xffff && s->idt.base == 0)
        fprintf(to, "  note: IDTR is as after a reset (base 0, limit 0xffff): no IDT was loaded\n");
}

/* Follows the exception until the processor shuts down or enters a handler.  Returns whether a
 * handler is entered. */
static bool follow(struct mv_x86_cpu *c, struct mv_fault now, FILE *to)
{
    struct mv_fault cause = fine;
    char text[80];

    for (unsigned i = 0; i < LINKS_MOST; i++) {
        struct mv_fault before = cause, next;

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
    struct mv_x86_cpu c = mv_x86_view(state, mem);
    uint8_t code[CODE_MOST];
    char text[80];
    int before = NONE;

    fprintf(to, "what happened (SDM volume 3, 6.12 to 6.15):\n");
    for (unsigned i = 0; i < LINKS_MOST; i++) {
        unsigned length;
        struct mv_fault first = mv_x86_first_fault(&c, code, &length);

        fprintf(to, "  at %#" PRIx64, (uint64_t)c.s.regs.rip);
        say_code(code, length, to);
        if (first.vector == NONE && i > 0) {
            fprintf(to, " raises nothing known here: the crash came later in this handler\n");
            return;
        }
        if (first.vector == NONE)
            first =
                mv_x86_fault(GP, "probably, or another: nothing is known here of this instruction");
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

/* ---- KVM_EXIT_INTERNAL_ERROR ---- */

/* Reads up to `most` bytes at a linear address, as far as there is memory; returns their number. */
static unsigned read_code(const struct mv_x86_cpu *c, uint64_t at, uint8_t *code, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        struct mv_walk walk;

        mv_x86_walk(c->mem, &c->s.sregs, at + i, &walk);
        if (!walk.mapped || !mv_mem_read(c->mem, walk.address, &code[i], 1))
            return i;
    }
    return most;
}

static bool ran_through_zeros(const struct mv_x86_cpu *c, uint64_t at)
{
    static const uint8_t zeros[CODE_MOST + 1];
    uint8_t before[sizeof(zeros)];

    return at >= sizeof(before) &&
           read_code(c, at - sizeof(before), before, sizeof(before)) == sizeof(before) &&
           memcmp(before, zeros, sizeof(zeros)) == 0;
}

void mv_x86_explain_stuck(const struct mv_x86_state *state, const struct mv_mem *mem, FILE *to)
{
    struct mv_x86_cpu c = mv_x86_view(state, mem);
    uint64_t at = c.is64 ? state->regs.rip : (uint32_t)(state->sregs.cs.base + state->regs.rip);
    struct mv_x86_instruction instruction;
    uint8_t code[CODE_MOST];
    unsigned have = read_code(&c, at, code, sizeof(code));
    bool whole = have && mv_x86_decode(state, code, have, &instruction);
    struct mv_walk walk;

    fprintf(to, "  at %#" PRIx64, at);
    if (!have) {
        mv_x86_walk(mem, &state->sregs, at, &walk);
        fprintf(to, walk.mapped ? " no memory is there%s\n" : " nothing is mapped: %s\n", walk.why);
    } else {
        say_code(code, whole ? instruction.length : have, to);
        fprintf(to, whole              ? ": KVM cannot emulate it\n"
                    : have < CODE_MOST ? " goes on where no memory is\n"
                                       : " is none that is known here\n");
    }
    if (whole && instruction.has_memory)
        fprintf(to, "  note: what reaches an address without memory has to be a simple load or "
                    "store, such as mov\n");
    /* zeros decode as instructions of two bytes, so the last may cross the end of memory */
    if (ran_through_zeros(&c, at) || (!have && ran_through_zeros(&c, at - 1)))
        fprintf(to,
                "  note: the code before it is zeros: it ran on through memory that nothing was "
                "put into (is a hlt missing?)\n");
    else if (!have)
        fprintf(to, "  note: a jump, call or return went there, or code ran past the end of "
                    "memory\n");
}
