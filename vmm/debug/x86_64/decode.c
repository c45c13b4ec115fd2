/* SPDX-License-Identifier: MIT */
/*
 * Decodes as much of an instruction as shows which faults it can raise: its opcode, its memory
 * operand, and its use of the stack (SDM volume 2, 2 and appendix A).  Left out: the exact length
 * of some instructions without ModRM, EVEX, 3DNow!, and bit strings beyond their operand.
 */
#include <string.h>

#include "core/util.h"
#include "explain.h"

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

/* clang-format off */

/* The meaning of the letters in the maps; a dot is an opcode that does not access memory. */
static const unsigned letters[128] = {
    ['r'] = M,       ['R'] = M | B,       ['w'] = M | W,       ['W'] = M | W | B,
    ['k'] = M | I1,  ['x'] = M | IZ,      ['i'] = M | W | I1,  ['I'] = M | W | B | I1,
    ['z'] = M | W | IZ, ['e'] = M | NONE, ['y'] = I1,          ['P'] = M | W | POP,
    ['p'] = PUSH,    ['q'] = PUSH | NOT64, ['o'] = POP,        ['O'] = POP | NOT64,
    ['n'] = NOT64,   ['l'] = M | NOT64,   ['f'] = FAR_POINTER, ['F'] = FAR_POINTER | PUSH,
    ['a'] = OFFSET,  ['A'] = OFFSET | B,  ['b'] = OFFSET | W,  ['B'] = OFFSET | W | B,
    ['s'] = FROM,    ['S'] = FROM | B,    ['t'] = TO,          ['T'] = TO | B,
    ['m'] = FROM | TO, ['M'] = FROM | TO | B, ['0'] = CPL0,    ['u'] = UD,
    ['8'] = M | FPU, ['v'] = M | SSE,     ['V'] = M | W | SSE, ['K'] = M | I1 | SSE,
    ['d'] = M | SSE | ALIGNED,            ['D'] = M | W | SSE | ALIGNED,
};

/* One-byte opcodes, and two-byte opcodes after 0F: a row for each high digit. */
static const char *const maps[2][16] = {
    {"WwRr..qOWwRr..q.", "WwRr..qOWwRr..qO", "WwRr...nWwRr...n", "WwRr...nRrRr...n",
     "................", "ppppppppoooooooo", "qOlr....pxpkTtSs", "................",
     "IzniRrWwWwRrwerP", "..........F.po..", "AaBbMmSs..TtSs..", "................",
     "IioollIzp.oo.yno", "WwWwnnn.88888888", "........p.f.....", "....0.Rr......Wr"},
    {"rrrr..0.00.u.e..", "vVvVvvvVeeeeeeee", "0000....dDvDvvvv", "0.0.............",
     "rrrrrrrrrrrrrrrr", "vvvvvvvvvvvvvvvv", "vvvvvvvvvvvvvvvv", "KKKKvvv.......VV",
     "................", "WWWWWWWWWWWWWWWW", "po.riw..po.wiwrr", "WwrwrrRrruiwrrrr",
     "WwKwKKKr........", "vvvvvvVvvvvvvvvv", "vvvvvvvDvvvvvvvv", "vvvvvvvvvvvvvvvu"},
};
/* clang-format on */

static unsigned what_of(const struct mv_x86_instruction *i)
{
    if (i->map == 2 && i->opcode >= 0xf0) /* MOVBE, CRC32 and the like */
        return M;
    if (i->map > 1)
        return M | SSE | (i->map == 3 ? (unsigned)I1 : 0);
    return letters[(unsigned char)maps[i->map][i->opcode >> 4][i->opcode & 15]];
}

/* Opcodes for which ModRM's reg field selects the instruction. */
static void adjust_group(struct mv_x86_instruction *i)
{
    unsigned choice = i->modrm >> 3 & 7;

    if (i->map == 1) {
        if ((i->opcode == 0x00 && (choice == 2 || choice == 3)) ||               /* LLDT, LTR */
            (i->opcode == 0x01 && choice == 6) ||                                /* LMSW */
            (i->opcode == 0x01 && i->modrm < 0xc0 && choice != 4 && choice > 1)) /* LGDT... */
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

/* Returns whether the address is relative to the next instruction. */
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

/* ---- the instruction ---- */

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
            p->rex = byte; /* valid only right before the opcode, where compilers put it */
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
    /* VEX and EVEX use the encodings of LES, LDS and BOUND with register operands */
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
