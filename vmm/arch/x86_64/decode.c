/* SPDX-License-Identifier: MIT */
/*
 * As much of an instruction as tells what it can fault for: its opcode, its memory operand, and
 * whether it uses the stack (SDM volume 2, 2 and appendix A).  Left out: the lengths of what has no
 * ModRM, EVEX, 3DNow!, and bit strings beyond their operand.
 */
#include <string.h>

#include "explain.h"
#include "util.h"

enum {
    M = MV_X86_MODRM,
    W = MV_X86_WRITE,
    B = MV_X86_BYTE,
    I1 = MV_X86_IMM8,
    IZ = MV_X86_IMM,
    PUSH = MV_X86_PUSH,
    POP = MV_X86_POP,
    NOT64 = MV_X86_NOT64,
    CPL0 = MV_X86_CPL0,
    NONE = MV_X86_NONE,
    SSE = MV_X86_SSE,
    ALIGNED = MV_X86_ALIGNED,
    UD = MV_X86_UD,
    FPU = MV_X86_FPU,
    TO = MV_X86_STRING_TO,
    FROM = MV_X86_STRING_FROM,
    OFFSET = MV_X86_OFFSET,
    FAR_POINTER = IZ | NOT64,
    ES = 0,
    SS = 2,
    DS = 3,
};

struct row {
    uint8_t first, last;
    unsigned what;
};

/* The first row that has an opcode counts. */
static const struct row one_byte[] = {
    {0x06, 0x06, PUSH | NOT64},
    {0x07, 0x07, POP | NOT64},
    {0x0e, 0x0e, PUSH | NOT64},
    {0x16, 0x16, PUSH | NOT64},
    {0x17, 0x17, POP | NOT64},
    {0x1e, 0x1e, PUSH | NOT64},
    {0x1f, 0x1f, POP | NOT64},
    {0x27, 0x27, NOT64},
    {0x2f, 0x2f, NOT64},
    {0x37, 0x37, NOT64},
    {0x3f, 0x3f, NOT64},
    {0x50, 0x57, PUSH},
    {0x58, 0x5f, POP},
    {0x60, 0x60, PUSH | NOT64},
    {0x61, 0x61, POP | NOT64},
    {0x62, 0x62, M | NOT64},
    {0x63, 0x63, M},
    {0x68, 0x68, PUSH},
    {0x69, 0x69, M | IZ},
    {0x6a, 0x6a, PUSH},
    {0x6b, 0x6b, M | I1},
    {0x6c, 0x6c, TO | B},
    {0x6d, 0x6d, TO},
    {0x6e, 0x6e, FROM | B},
    {0x6f, 0x6f, FROM},
    {0x80, 0x80, M | W | B | I1},
    {0x81, 0x81, M | W | IZ},
    {0x82, 0x82, NOT64},
    {0x83, 0x83, M | W | I1},
    {0x84, 0x84, M | B},
    {0x85, 0x85, M},
    {0x86, 0x86, M | W | B},
    {0x87, 0x87, M | W},
    {0x88, 0x88, M | W | B},
    {0x89, 0x89, M | W},
    {0x8a, 0x8a, M | B},
    {0x8b, 0x8b, M},
    {0x8c, 0x8c, M | W},
    {0x8d, 0x8d, M | NONE},
    {0x8e, 0x8e, M},
    {0x8f, 0x8f, M | W | POP},
    {0x9a, 0x9a, FAR_POINTER | PUSH},
    {0x9c, 0x9c, PUSH},
    {0x9d, 0x9d, POP},
    {0xa0, 0xa0, OFFSET | B},
    {0xa1, 0xa1, OFFSET},
    {0xa2, 0xa2, OFFSET | B | W},
    {0xa3, 0xa3, OFFSET | W},
    {0xa4, 0xa4, FROM | TO | B},
    {0xa5, 0xa5, FROM | TO},
    {0xa6, 0xa6, FROM | B},
    {0xa7, 0xa7, FROM},
    {0xaa, 0xaa, TO | B},
    {0xab, 0xab, TO},
    {0xac, 0xac, FROM | B},
    {0xad, 0xad, FROM},
    {0xc0, 0xc0, M | W | B | I1},
    {0xc1, 0xc1, M | W | I1},
    {0xc2, 0xc3, POP},
    {0xc4, 0xc5, M | NOT64},
    {0xc6, 0xc6, M | W | B | I1},
    {0xc7, 0xc7, M | W | IZ},
    {0xc8, 0xc8, PUSH},
    {0xca, 0xcb, POP},
    {0xcd, 0xcd, I1},
    {0xce, 0xce, NOT64},
    {0xcf, 0xcf, POP},
    {0xd0, 0xd0, M | W | B},
    {0xd1, 0xd1, M | W},
    {0xd2, 0xd2, M | W | B},
    {0xd3, 0xd3, M | W},
    {0xd4, 0xd6, NOT64},
    {0xd8, 0xdf, M | FPU},
    {0xe8, 0xe8, PUSH},
    {0xea, 0xea, FAR_POINTER},
    {0xf4, 0xf4, CPL0},
    {0xf6, 0xf6, M | B},
    {0xf7, 0xf7, M},
    {0xfe, 0xfe, M | W | B},
    {0xff, 0xff, M},
};

static const struct row two_bytes[] = {
    {0x00, 0x03, M},
    {0x06, 0x06, CPL0},
    {0x08, 0x09, CPL0},
    {0x0b, 0x0b, UD},
    {0x0d, 0x0d, M | NONE},
    {0x11, 0x11, M | W | SSE},
    {0x13, 0x13, M | W | SSE},
    {0x17, 0x17, M | W | SSE},
    {0x10, 0x16, M | SSE},
    {0x18, 0x1f, M | NONE},
    {0x20, 0x23, CPL0},
    {0x28, 0x28, M | SSE | ALIGNED},
    {0x29, 0x29, M | W | SSE | ALIGNED},
    {0x2b, 0x2b, M | W | SSE | ALIGNED},
    {0x2a, 0x2f, M | SSE},
    {0x30, 0x30, CPL0},
    {0x32, 0x32, CPL0},
    {0x40, 0x4f, M},
    {0x50, 0x6f, M | SSE},
    {0x70, 0x73, M | I1 | SSE},
    {0x74, 0x76, M | SSE},
    {0x7e, 0x7f, M | W | SSE},
    {0x90, 0x9f, M | W | B},
    {0xa0, 0xa0, PUSH},
    {0xa1, 0xa1, POP},
    {0xa3, 0xa3, M},
    {0xa4, 0xa4, M | W | I1},
    {0xa5, 0xa5, M | W},
    {0xa8, 0xa8, PUSH},
    {0xa9, 0xa9, POP},
    {0xab, 0xab, M | W},
    {0xac, 0xac, M | W | I1},
    {0xad, 0xad, M | W},
    {0xb0, 0xb0, M | W | B},
    {0xb1, 0xb1, M | W},
    {0xb3, 0xb3, M | W},
    {0xb6, 0xb6, M | B},
    {0xb9, 0xb9, UD},
    {0xba, 0xba, M | W | I1},
    {0xbb, 0xbb, M | W},
    {0xae, 0xbf, M},
    {0xc0, 0xc0, M | W | B},
    {0xc1, 0xc1, M | W},
    {0xc3, 0xc3, M | W},
    {0xc2, 0xc2, M | I1 | SSE},
    {0xc4, 0xc6, M | I1 | SSE},
    {0xc7, 0xc7, M},
    {0xd6, 0xd6, M | W | SSE},
    {0xe7, 0xe7, M | W | SSE | ALIGNED},
    {0xd0, 0xfe, M | SSE},
    {0xff, 0xff, UD},
};

static unsigned look_up(const struct row *rows, size_t count, uint8_t opcode)
{
    for (size_t i = 0; i < count; i++)
        if (opcode >= rows[i].first && opcode <= rows[i].last)
            return rows[i].what;
    return 0;
}

static unsigned what_of(const struct mv_x86_instruction *i)
{
    uint8_t opcode = i->opcode;

    if (i->map > 1)
        return M | SSE | (i->map == 3 ? (unsigned)I1 : 0);
    if (i->map == 1)
        return look_up(two_bytes, MV_COUNT(two_bytes), opcode);
    if (opcode < 0x40 && (opcode & 7) < 4) /* ADD to CMP, which does not write */
        return M | (opcode & 1 ? 0 : (unsigned)B) |
               (opcode & 2 || opcode >= 0x38 ? 0 : (unsigned)W);
    return look_up(one_byte, MV_COUNT(one_byte), opcode);
}

/* Where ModRM's middle bits choose among instructions. */
static void adjust_group(struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7;

    if (i->map == 1) {
        if ((i->opcode == 0x00 && (choice == 2 || choice == 3)) ||              /* LLDT, LTR */
            (i->opcode == 0x01 && (choice == 2 || choice == 3 || choice >= 6))) /* LGDT, LIDT... */
            i->what |= CPL0;
        if (i->opcode == 0x01 && choice < 2)
            i->what |= W;
        if (i->opcode == 0xba && choice == 4) /* BT */
            i->what &= ~(unsigned)W;
    } else if (i->opcode >= 0x80 && i->opcode <= 0x83 && choice == 7) { /* CMP */
        i->what &= ~(unsigned)W;
    } else if (i->opcode == 0xf6 || i->opcode == 0xf7) {
        i->what |= choice < 2 ? (i->opcode == 0xf6 ? I1 : IZ) : choice < 4 ? (unsigned)W : 0;
    } else if (i->opcode == 0xff) {
        const unsigned whats[] = {W, W, PUSH, PUSH, 0, 0, PUSH, UD};

        bool is_far = choice == 3 || choice == 5; /* the pointer is in memory */

        i->what |= is_far && i->modrm >= 0xc0 ? (unsigned)UD : whats[choice];
    }
}

/* ---- bytes ---- */

struct bytes {
    const uint8_t *code;
    unsigned size, at;
    bool short_of;
};

static uint64_t take(struct bytes *b, unsigned count)
{
    uint64_t value = 0;

    if (b->size - b->at < count) {
        b->short_of = true;
        return 0;
    }
    memcpy(&value, b->code + b->at, count);
    b->at += count;
    return value;
}

static uint64_t take_signed(struct bytes *b, unsigned count)
{
    unsigned shift = 64 - 8 * count;

    return (uint64_t)((int64_t)(take(b, count) << shift) >> shift);
}

uint64_t mv_x86_register(const struct kvm_regs *regs, unsigned number)
{
    const uint64_t low[] = {regs->rax, regs->rcx, regs->rdx, regs->rbx,
                            regs->rsp, regs->rbp, regs->rsi, regs->rdi};
    const uint64_t high[] = {regs->r8,  regs->r9,  regs->r10, regs->r11,
                             regs->r12, regs->r13, regs->r14, regs->r15};

    return number & 8 ? high[number & 7] : low[number & 7];
}

/* ---- the memory operand ---- */

static void address16(struct mv_x86_instruction *i, struct bytes *b, const struct kvm_regs *r)
{
    const uint64_t sums[] = {r->rbx + r->rsi, r->rbx + r->rdi, r->rbp + r->rsi, r->rbp + r->rdi,
                             r->rsi,          r->rdi,          r->rbp,          r->rbx};
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;

    i->offset = mod == 0 && rm == 6 ? take(b, 2) : sums[rm];
    if (mod == 1 || mod == 2)
        i->offset += take_signed(b, mod);
    if (rm == 2 || rm == 3 || (rm == 6 && mod))
        i->segment = SS;
}

/* Returns whether it is relative to the next instruction. */
static bool address32(struct mv_x86_instruction *i, struct bytes *b, const struct kvm_regs *r,
                      unsigned rex, bool is64)
{
    unsigned mod = i->modrm >> 6, base = (i->modrm & 7) | (rex & 1 ? 8u : 0);
    bool absolute = mod == 0 && (base & 7) == 5, relative = absolute && is64;

    if ((i->modrm & 7) == 4) {
        unsigned sib = (unsigned)take(b, 1), index = (sib >> 3 & 7) | (rex & 2 ? 8u : 0);

        base = (sib & 7) | (rex & 1 ? 8u : 0);
        absolute = mod == 0 && (base & 7) == 5;
        if (index != 4)
            i->offset = mv_x86_register(r, index) << (sib >> 6);
    }
    if (!absolute) {
        i->offset += mv_x86_register(r, base);
        if (base == 4 || base == 5)
            i->segment = SS;
    }
    if (absolute || mod == 2)
        i->offset += take_signed(b, 4);
    else if (mod == 1)
        i->offset += take_signed(b, 1);
    return relative;
}

/* ---- all of it ---- */

struct prefixes {
    bool address;
    int segment;
    unsigned rex;
};

static uint8_t take_prefixes(struct mv_x86_instruction *i, struct bytes *b, bool is64,
                             struct prefixes *p)
{
    for (;;) {
        uint8_t byte = (uint8_t)take(b, 1);

        switch (byte) {
        case 0x66: i->prefix66 = true; break;
        case 0x67: p->address = true; break;
        case 0xf2:
        case 0xf3: i->repeats = true; break;
        case 0xf0: break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e: p->segment = is64 ? p->segment : byte >> 3 & 3; break;
        case 0x64:
        case 0x65: p->segment = byte & 7; break;
        default:
            if (!is64 || (byte & 0xf0) != 0x40)
                return byte;
            p->rex = byte; /* counts only right before the opcode, where compilers put it */
            break;
        }
        if (b->short_of)
            return 0;
    }
}

static void take_opcode(struct mv_x86_instruction *i, struct bytes *b, bool is64, uint8_t byte)
{
    i->opcode = byte;
    if (byte == 0x0f) {
        i->map = 1;
        i->opcode = (uint8_t)take(b, 1);
        if (i->opcode == 0x38 || i->opcode == 0x3a) {
            i->map = i->opcode == 0x38 ? 2 : 3;
            i->opcode = (uint8_t)take(b, 1);
        }
    }
    i->what = what_of(i);
    /* VEX and EVEX: what would be the registers' form of LES, LDS and BOUND */
    if (i->map == 0 && (byte == 0xc4 || byte == 0xc5 || byte == 0x62) && b->at < b->size &&
        (is64 || b->code[b->at] >= 0xc0))
        i->what = MV_X86_VEX;
}

bool mv_x86_decode(const struct mv_x86_state *state, const uint8_t *code, unsigned size,
                   struct mv_x86_instruction *ret_instruction)
{
    const struct kvm_sregs *s = &state->sregs;
    bool is64 = s->efer & 1u << 10 && s->cs.l, big = s->cs.db, relative = false;
    struct mv_x86_instruction i = {.segment = DS};
    struct bytes b = {.code = code, .size = size};
    struct prefixes p = {.segment = -1};
    uint8_t byte = take_prefixes(&i, &b, is64, &p);

    take_opcode(&i, &b, is64, byte);
    i.rex_w = p.rex & 8;
    i.operand = i.rex_w ? 8 : (is64 || big) != i.prefix66 ? 4 : 2;
    i.address = is64 ? (p.address ? 4 : 8) : big != p.address ? 4 : 2;
    i.stack = is64 ? (i.prefix66 ? 2 : 8) : i.operand;
    if (i.what & M || (i.map == 1 && i.opcode >= 0x20 && i.opcode <= 0x23)) {
        i.modrm = (uint8_t)take(&b, 1);
        i.reg = (i.modrm >> 3 & 7) | (p.rex & 4 ? 8u : 0);
        i.rm = (i.modrm & 7) | (p.rex & 1 ? 8u : 0);
        adjust_group(&i);
    }
    if (i.what & M && i.modrm < 0xc0) {
        i.has_memory = !(i.what & NONE);
        if (i.address == 2)
            address16(&i, &b, &state->regs);
        else
            relative = address32(&i, &b, &state->regs, p.rex, is64);
    } else if (i.what & OFFSET) {
        i.has_memory = true;
        i.offset = take(&b, i.address);
    }
    if (i.what & (I1 | IZ))
        i.constant = take(&b, i.what & I1 ? 1 : i.operand == 2 ? 2 : 4);
    if ((i.what & FAR_POINTER) == FAR_POINTER)
        i.selector = (unsigned)take(&b, 2);
    i.length = b.at;
    if (relative)
        i.offset += state->regs.rip + i.length;
    i.offset &= mv_size_mask(i.address);
    if (p.segment >= 0)
        i.segment = (unsigned)p.segment;
    if (i.what & B)
        i.operand = 1;
    *ret_instruction = i;
    return !b.short_of;
}
