/* SPDX-License-Identifier: MIT */
/* Access checks by page tables, segments and descriptor tables (SDM volume 3, 4.6, 4.7 and 5). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "crash.h"

enum { CR0_WP = 1u << 16, CR4_SMEP = 1u << 20 };

struct mv_fault mv_x86_fault(int vector, const char *format, ...)
{
    struct mv_fault fault = {.vector = vector};
    va_list args;

    va_start(args, format);
    vsnprintf(fault.why, sizeof(fault.why), format, args);
    va_end(args);
    return fault;
}

struct mv_x86_cpu mv_x86_view(const struct mv_x86_state *state, const struct mv_mem *mem)
{
    struct mv_x86_cpu c = {.s = *state, .mem = mem, .protected = state->sregs.cr0 & CR0_PE};

    c.v86 = c.protected && state->regs.rflags & RFLAGS_VM;
    c.is_long = state->sregs.efer & EFER_LMA;
    c.is64 = c.is_long && state->sregs.cs.l;
    c.cpl = !c.protected ? 0 : c.v86 ? 3 : state->sregs.ss.dpl;
    return c;
}

/* ---- memory ---- */

/* Returns why the page tables forbid the access (SDM, 4.6 and 4.7), or NULL. */
static const char *forbidden(const struct mv_x86_cpu *c, const struct mv_walk *walk,
                             enum mv_x86_access access, bool user)
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

static struct mv_fault touch_page(const struct mv_x86_cpu *c, uint64_t address,
                                  enum mv_x86_access access, bool user, const char *doing)
{
    struct mv_walk walk;
    const char *why;

    mv_x86_walk(c->mem, &c->s.sregs, address, &walk);
    if (!walk.mapped && walk.levels == 0)
        return mv_x86_fault(GP, "%s %#" PRIx64 ", which is not canonical: its upper bits differ",
                            doing, address);
    why = walk.mapped ? forbidden(c, &walk, access, user) : walk.why;
    return why ? mv_x86_fault(PF, "%s %#" PRIx64 ", which %s%s", doing, address,
                              walk.mapped ? "is mapped, but " : "is not mapped: ", why)
               : fine;
}

struct mv_fault mv_x86_touch(const struct mv_x86_cpu *c, uint64_t address, uint64_t size,
                             enum mv_x86_access access, bool user, const char *doing)
{
    struct mv_fault first = touch_page(c, address, access, user, doing);

    if (first.vector != NONE || size == 0 || !((address ^ (address + size - 1)) >> 12))
        return first;
    return touch_page(c, mv_align_down(address + size - 1, MV_PAGE_SIZE), access, user, doing);
}

struct mv_fault mv_x86_read_linear(const struct mv_x86_cpu *c, uint64_t address, void *ret_data,
                                   unsigned size, const char *doing)
{
    struct mv_fault found = mv_x86_touch(c, address, size, READ, false, doing);

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

const struct kvm_segment *mv_x86_segment(const struct mv_x86_cpu *c, unsigned number)
{
    const struct kvm_sregs *s = &c->s.sregs;
    const struct kvm_segment *const all[] = {&s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs};

    return all[number];
}

/* Checks an access by segment and offset (SDM, 5.3). */
struct mv_fault mv_x86_touch_segment(const struct mv_x86_cpu *c, unsigned number, uint64_t offset,
                                     unsigned size, enum mv_x86_access access, const char *doing)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    const struct kvm_segment *s = mv_x86_segment(c, number);
    int vector = number == 2 ? SS : GP;
    struct mv_fault found;

    if (c->is64) {
        found =
            mv_x86_touch(c, offset + (number >= 4 ? s->base : 0), size, access, c->cpl == 3, doing);
        if (found.vector == GP && vector == SS)
            found.vector = SS;
        return found;
    }
    if (c->protected && !c->v86 && (s->unusable || !s->present))
        return mv_x86_fault(vector,
                            "%s %s:%#" PRIx64 ", and %s holds no usable segment (null selector)",
                            doing, names[number], offset, names[number]);
    if (!(s->type & 8) && s->type & 4 ? offset <= s->limit : offset + size - 1 > s->limit)
        return mv_x86_fault(vector,
                            "%s %s:%#" PRIx64 ", which is beyond the limit of the segment, %#x",
                            doing, names[number], offset, s->limit);
    if (c->protected && !c->v86 && access == WRITE && (s->type & 8 || !(s->type & 2)))
        return mv_x86_fault(vector, "%s %s:%#" PRIx64 ", and the segment may not be written", doing,
                            names[number], offset);
    return mv_x86_touch(c, (uint32_t)(s->base + offset), size, access, c->cpl == 3, doing);
}

uint64_t mv_x86_stack_pointer(const struct mv_x86_cpu *c)
{
    uint64_t sp = c->s.regs.rsp;

    return c->is64 ? sp : c->s.sregs.ss.db ? (uint32_t)sp : (uint16_t)sp;
}

struct mv_fault mv_x86_touch_stack(const struct mv_x86_cpu *c, int64_t from, unsigned size,
                                   enum mv_x86_access access, const char *doing)
{
    uint64_t offset = mv_x86_stack_pointer(c) + (uint64_t)from;

    if (!c->is64)
        offset &= c->s.sregs.ss.db ? UINT32_MAX : UINT16_MAX;
    return mv_x86_touch_segment(c, 2, offset, size, access, doing);
}

static struct mv_x86_descriptor unpack(uint64_t bits)
{
    struct mv_x86_descriptor d = {
        .bits = bits,
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

static struct mv_fault read_descriptor(const struct mv_x86_cpu *c, const char *who,
                                       unsigned selector, struct mv_x86_descriptor *ret)
{
    const struct kvm_sregs *s = &c->s.sregs;
    bool in_ldt = selector & 4;
    uint64_t base = in_ldt ? s->ldt.base : s->gdt.base, bits;
    uint32_t limit = in_ldt ? s->ldt.limit : s->gdt.limit;
    struct mv_fault found;

    if (in_ldt && (s->ldt.unusable || !s->ldt.present))
        return mv_x86_fault(GP, "%s, selector %#x, is one of the LDT, and there is none", who,
                            selector);
    if ((selector | 7) > limit)
        return mv_x86_fault(GP, "%s, selector %#x, lies outside of the %s, whose limit is %#x", who,
                            selector, in_ldt ? "LDT" : "GDT", limit);
    found = mv_x86_read_linear(c, base + (selector & ~7u), &bits, sizeof(bits),
                               in_ldt ? "the LDT is read at" : "the GDT is read at");
    *ret = unpack(bits);
    return found;
}

/* Returns why the descriptor does not suit this load (SDM volume 2, MOV and JMP; volume 3, 6.12),
 * or NULL. */
static const char *wrong_kind(const struct mv_x86_cpu *c, enum mv_x86_load load, unsigned selector,
                              const struct mv_x86_descriptor *d)
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
        if (load == LOAD_GATE)
            return d->dpl > c->cpl ? "has less privilege than the code before" : NULL;
        return !(d->type & 4) && d->dpl < c->cpl ? "is for more privileged code" : NULL;
    case LOAD_STACK:
        if (!data || !(d->type & 2))
            return "is not a data segment that may be written";
        return d->dpl != c->cpl || (selector & 3) != c->cpl ? "has another privilege level" : NULL;
    case LOAD_DATA:
        if (!data && !(code && d->type & 2))
            return "is not a segment that may be read";
        return d->dpl < c->cpl && (d->type & 12) != 12 ? "is for more privileged code" : NULL;
    case LOAD_TSS:
        if (d->type == 11 || d->type == 3)
            return "is a TSS that is busy: was it loaded before?";
        return d->type != 9 && (d->type != 1 || c->is_long) ? "is not a TSS" : NULL;
    default: return d->type != 2 ? "is not an LDT" : NULL;
    }
}

struct mv_fault mv_x86_load(const struct mv_x86_cpu *c, enum mv_x86_load load, unsigned selector,
                            const char *who, struct mv_x86_descriptor *ret)
{
    struct mv_fault found;
    const char *wrong;

    if (!c->protected || c->v86)
        return fine;
    if (!(selector & ~3u)) {
        bool allowed = load == LOAD_DATA || load == LOAD_LDT || (load == LOAD_STACK && c->is64);

        return allowed ? fine : mv_x86_fault(GP, "%s is the null selector", who);
    }
    found = read_descriptor(c, who, selector, ret);
    if (found.vector != NONE)
        return found;
    wrong = wrong_kind(c, load, selector, ret);
    if (wrong)
        return mv_x86_fault(GP, "%s, selector %#x, %s: its descriptor is %#" PRIx64, who, selector,
                            wrong, ret->bits);
    if (!ret->present)
        return mv_x86_fault(
            load == LOAD_STACK ? SS : NP,
            "%s, selector %#x, is not present: bit 47 (P) of its descriptor %#" PRIx64 " is 0", who,
            selector, ret->bits);
    return fine;
}
