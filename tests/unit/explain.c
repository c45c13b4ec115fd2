/* SPDX-License-Identifier: MIT */
/* What is wrong with a vCPU, in words: each rule of its state broken alone, and crashes that no
 * machine is needed for. */
#include "debug/x86_64/explain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

#define MEMORY (2 * MV_MIB)

enum { GDT = 0x1000, IDT = 0x2000, TABLES = 0x4000, CODE = 0x8000, STACK = 0x7000, TSS = 0x3000 };

static const struct kvm_segment code64 = {
    .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
static const struct kvm_segment code32 = {
    .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
static const struct kvm_segment data32 = {
    .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
static const struct kvm_segment task = {
    .base = TSS, .limit = 0x67, .selector = 24, .type = 11, .present = 1};

/* As KVM has a vCPU after INIT. */
static struct mv_x86_state real_mode(void)
{
    struct kvm_segment data = {.limit = 0xffff, .type = 3, .present = 1, .s = 1};
    struct kvm_segment code = {
        .base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .type = 11, .present = 1, .s = 1};
    struct kvm_segment ldt = {.limit = 0xffff, .type = 2, .present = 1};

    return (struct mv_x86_state){
        .regs = {.rip = 0xfff0, .rflags = 2},
        .sregs = {.cs = code,
                  .ds = data,
                  .es = data,
                  .fs = data,
                  .gs = data,
                  .ss = data,
                  .tr = {.limit = 0xffff, .type = 3, .present = 1},
                  .ldt = ldt,
                  .gdt = {.limit = 0xffff},
                  .idt = {.limit = 0xffff},
                  .cr0 = 0x60000010},
        .address_bits = 40,
        .cr4_offered = 0x7ff,
    };
}

static struct mv_x86_state protected_mode(void)
{
    struct mv_x86_state state = real_mode();
    struct kvm_sregs *s = &state.sregs;

    s->cr0 = 0x11;
    s->cs = code32;
    s->ds = s->es = s->fs = s->gs = s->ss = data32;
    s->tr = task;
    s->gdt = (struct kvm_dtable){.base = GDT, .limit = 0x3f};
    s->idt = (struct kvm_dtable){.base = IDT, .limit = 0x7ff};
    state.regs.rip = CODE;
    state.regs.rsp = STACK;
    return state;
}

static struct mv_x86_state long_mode(void)
{
    struct mv_x86_state state = protected_mode();

    state.sregs.cr0 = 0x80000011;
    state.sregs.cr3 = TABLES;
    state.sregs.cr4 = 0x20;
    state.sregs.efer = 0x500;
    state.sregs.cs = code64;
    state.sregs.idt.limit = 0xfff;
    return state;
}

static struct mv_x86_state v86_mode(void)
{
    struct mv_x86_state state = protected_mode();
    struct kvm_sregs *s = &state.sregs;
    struct kvm_segment all = {.limit = 0xffff, .type = 3, .present = 1, .s = 1, .dpl = 3};

    s->cs = s->ds = s->es = s->fs = s->gs = s->ss = all;
    state.regs.rflags = 0x20002;
    return state;
}

/* ---- rules ---- */

#define S(member, value)                                                                      \
    {                                                                                         \
        offsetof(struct mv_x86_state, sregs.member), sizeof(((struct kvm_sregs *)0)->member), \
            value                                                                             \
    }
#define R(member, value)                                                                          \
    {                                                                                             \
        offsetof(struct mv_x86_state, regs.member), sizeof(((struct kvm_regs *)0)->member), value \
    }

static const struct broken {
    const char *rule;
    struct mv_x86_state (*base)(void);
    struct {
        size_t offset, size;
        uint64_t value;
    } pokes[3];
    const char *words;
} broken[] = {
    {"cr0-pg-pe", real_mode, {S(cr0, 0xe0000010)}, "CR0.PG (paging) is set without CR0.PE"},
    {"cr0-nw-cd", long_mode, {S(cr0, 0xa0000011)}, "CR0.NW is set without CR0.CD"},
    {"cr0-upper", long_mode, {S(cr0, 0x180000011)}, "CR0 has bits above bit 31"},
    {"cr3-width", long_mode, {S(cr3, 1ull << 40)}, "CR3 has bits above the width"},
    {"cr4-reserved", long_mode, {S(cr4, 0x8020)}, "CR4 has reserved bits"},
    {"cr4-cpuid", long_mode, {S(cr4, 0x1020)}, "LA57 is set in CR4"},
    {"cr4-pcide",
     protected_mode,
     {S(cr4, 0x20000), {offsetof(struct mv_x86_state, cr4_offered), 8, ~0ull}},
     "CR4.PCIDE is set outside of long mode"},
    {"cr8-range", long_mode, {S(cr8, 16)}, "CR8"},
    {"efer-reserved", long_mode, {S(efer, 0x502)}, "EFER has reserved bits"},
    {"efer-lma-pg",
     long_mode,
     {S(cr0, 0x11)},
     "EFER.LMA (long mode is active) is set without CR0.PG"},
    {"efer-lma-lme", long_mode, {S(efer, 0x400)}, "without EFER.LME"},
    {"efer-lme-lma",
     protected_mode,
     {S(cr0, 0x80000011), S(efer, 0x100), S(cr4, 0x20)},
     "so EFER.LMA (long mode is active) has to be"},
    {"efer-lme-pae", long_mode, {S(cr4, 0)}, "without CR4.PAE"},
    {"rflags-one", long_mode, {R(rflags, 0)}, "bit 1 of RFLAGS is 0"},
    {"rflags-reserved", long_mode, {R(rflags, 0x8002)}, "RFLAGS has reserved bits"},
    {"rflags-vm-long", long_mode, {R(rflags, 0x20002)}, "virtual-8086 mode) is set in long mode"},
    {"rflags-vm-pe", real_mode, {R(rflags, 0x20002)}, "without CR0.PE"},
    {"rip-canonical", long_mode, {R(rip, 1ull << 47)}, "RIP is not canonical"},
    {"rip-32", protected_mode, {R(rip, 1ull << 32)}, "RIP is above 4 GiB"},
    {"cs-l-d", long_mode, {S(cs.db, 1)}, "CS.L (64-bit code) and CS.D (32-bit code) are both set"},
    {"cs-l", protected_mode, {S(cs.l, 1)}, "CS.L (64-bit code) is set outside of long mode"},
    {"cs-type", protected_mode, {S(cs.type, 2)}, "CS is no code segment"},
    {"cs-present", protected_mode, {S(cs.unusable, 1)}, "CS is not present"},
    {"cs-dpl", protected_mode, {S(cs.dpl, 3)}, "CS.DPL does not fit"},
    {"ss-type", protected_mode, {S(ss.type, 1)}, "SS is no data segment that may be written"},
    {"data-type", protected_mode, {S(fs.type, 9)}, "FS is no data segment"},
    {"present", protected_mode, {S(gs.present, 0)}, "GS is usable and not present"},
    {"granularity", protected_mode, {S(ds.g, 0)}, "DS has a limit that its G bit"},
    {"base-32", long_mode, {S(es.base, 1ull << 32)}, "ES has a base above 4 GiB"},
    {"base-canonical", long_mode, {S(gs.base, 1ull << 63)}, "GS has a base that is not canonical"},
    {"v86-base", v86_mode, {S(ds.base, 0x100)}, "DS has a base that is not its selector * 16"},
    {"v86-kind", v86_mode, {S(es.limit, 0xfff)}, "ES is not a data segment of 64 KiB"},
    {"real-base",
     real_mode,
     {S(cs.base, 0x1000), S(cs.selector, 0)},
     "CS's base is not its selector * 16"},
    {"tr-present", protected_mode, {S(tr.present, 0)}, "TR (the task register) is not present"},
    {"tr-type", long_mode, {S(tr.type, 3)}, "TR is no busy TSS"},
    {"tr-gdt", protected_mode, {S(tr.selector, 28)}, "TR's selector is one of the LDT"},
    {"ldtr-type", protected_mode, {S(ldt.type, 3)}, "LDTR is no LDT"},
    {"gdtr-base", long_mode, {S(gdt.base, 1ull << 50)}, "the GDT's base is not canonical"},
    {"idtr-base", long_mode, {S(idt.base, 1ull << 50)}, "the IDT's base is not canonical"},
};

static unsigned explain(const struct mv_x86_state *state, char *text, size_t size)
{
    FILE *to = fmemopen(text, size, "w");
    unsigned count;

    cr_assert_not_null(to);
    memset(text, 0, size);
    count = mv_x86_explain_state(state, to);
    fclose(to);
    return count;
}

Test(explain, good_states_break_no_rule)
{
    struct mv_x86_state (*const bases[])(void) = {real_mode, protected_mode, long_mode, v86_mode};
    char text[2000];

    for (unsigned i = 0; i < MV_COUNT(bases); i++) {
        struct mv_x86_state state = bases[i]();

        cr_expect_eq(explain(&state, text, sizeof(text)), 0, "%u: %s", i, text);
    }
}

Test(explain, each_rule_can_be_broken_alone)
{
    for (unsigned i = 0; i < MV_COUNT(broken); i++) {
        const struct broken *row = &broken[i];
        struct mv_x86_state state = row->base();
        char text[2000];

        for (unsigned j = 0; j < 3; j++)
            memcpy((uint8_t *)&state + row->pokes[j].offset, &row->pokes[j].value,
                   row->pokes[j].size);
        cr_expect_eq(explain(&state, text, sizeof(text)), 1, "%s: %s", row->rule, text);
        cr_expect(strstr(text, row->words), "%s: %s", row->rule, text);
    }
}

Test(explain, no_rule_is_without_a_row_here)
{
    unsigned count;
    const struct mv_x86_rule *rules = mv_x86_rules(&count);

    cr_expect_eq(count, MV_COUNT(broken));
    for (unsigned i = 0; i < count && i < MV_COUNT(broken); i++) {
        cr_expect_str_eq(rules[i].name, broken[i].rule);
        cr_expect(strstr(rules[i].section, "SDM") || strstr(rules[i].section, "APM"));
    }
}

/* ---- crashes ---- */

static struct mv_mem mem;

static void put(mv_gpa at, uint64_t value)
{
    cr_assert(mv_mem_write(&mem, at, &value, sizeof(value)));
}

/* The first 2 MiB, but for the page at 0x10000, and a user's at 0x11000; a GDT with code, data, a
 * TSS and user's code; an IDT with a gate for each vector, whose handlers halt. */
static void start(void)
{
    static const uint8_t halt = 0xf4;
    const struct mv_region region = {.size = MEMORY};

    cr_assert_eq(mv_mem_init(&mem, &region, 1), 0);
    put(TABLES, (TABLES + 0x1000) | 7);
    put(TABLES + 0x1000, (TABLES + 0x2000) | 7);
    put(TABLES + 0x2000, (TABLES + 0x3000) | 7);
    for (unsigned i = 0; i < 512; i++)
        put(TABLES + 0x3000 + 8 * i, i == 16 ? 0 : i * 4096ull | (i == 17 ? 7 : 3));
    put(GDT + 8, 0x00af9b000000ffff);
    put(GDT + 16, 0x00cf93000000ffff);
    put(GDT + 32, 0x00cffb000000ffff);
    put(GDT + 40, 0x00cf9b000000ffff);
    for (unsigned i = 0; i < 256; i++)
        put(IDT + 16 * i, 0x8e0000089000ull);
    cr_assert(mv_mem_write(&mem, 0x9000, &halt, 1));
}

static void stop(void)
{
    mv_mem_done(&mem);
}

TestSuite(explain_crash, .init = start, .fini = stop);

static char told[8000];

static void crash(const struct mv_x86_state *state, const char *code, size_t size)
{
    FILE *to = fmemopen(told, sizeof(told), "w");

    cr_assert_not_null(to);
    memset(told, 0, sizeof(told));
    cr_assert(mv_mem_write(&mem, state->regs.rip, code, size));
    mv_x86_explain_crash(state, &mem, to);
    fclose(to);
}

/* What KVM could not go on with, at this address. */
static const char *stuck(struct mv_x86_state state, uint64_t rip)
{
    FILE *to = fmemopen(told, sizeof(told), "w");

    cr_assert_not_null(to);
    memset(told, 0, sizeof(told));
    state.regs.rip = rip;
    mv_x86_explain_stuck(&state, &mem, to);
    fclose(to);
    return told;
}

Test(explain_crash, where_kvm_gives_up_is_told)
{
    static const uint8_t cut[] = {0xc7, 0x05}, outside[] = {0x0f, 0x6f, 0x03};
    struct mv_x86_state long_ = long_mode(), flat = protected_mode();

    put(TABLES + 0x3000 + 8 * 18, 0x40000003); /* a page where there is no memory */
    cr_expect(strstr(stuck(flat, MEMORY + 16), "at 0x200010 no memory is there"), "%s", told);
    cr_expect(strstr(told, "a jump, call or return went there"), "%s", told);
    cr_expect(strstr(stuck(flat, MEMORY), "(is a hlt missing?)"), "%s", told);
    cr_expect(strstr(stuck(flat, MEMORY + 1), "(is a hlt missing?)"), "%s", told);
    cr_expect(strstr(stuck(long_, 0x12000), "at 0x12000 no memory is there"), "%s", told);
    cr_expect(strstr(stuck(long_, 0x10000), "nothing is mapped: the PT"), "%s", told);
    cr_assert(mv_mem_write(&mem, MEMORY - 2, cut, 2));
    cr_expect(strstr(stuck(flat, MEMORY - 2), "the instruction c7 05 goes on where no memory is"),
              "%s", told);
    cr_assert(mv_mem_write(&mem, CODE, outside, 3));
    cr_expect(strstr(stuck(long_, CODE), "the instruction 0f 6f 03: KVM cannot emulate it"), "%s",
              told);
    cr_expect(strstr(told, "a simple load or store"), "%s", told);
}

static void no_idt(struct mv_x86_state *state)
{
    state->sregs.idt.limit = 0;
}

static void user(struct mv_x86_state *state)
{
    state->sregs.ss.dpl = state->sregs.cs.dpl = 3;
    state->regs.rip = 0x11000;
    state->regs.rsp = 0x11800;
}

static void ready_for_long_mode(struct mv_x86_state *state)
{
    *state = protected_mode();
    no_idt(state);
    state->sregs.efer = 0x100;
    state->regs.rax = 0x80000011;
}

static void at_a_page_end(struct mv_x86_state *state)
{
    no_idt(state);
    state->regs.rip = 0x10000 - 2;
}

static void compatible(struct mv_x86_state *state)
{
    no_idt(state);
    state->sregs.cs = code32;
}

static void in_16_bits(struct mv_x86_state *state)
{
    *state = real_mode();
    state->sregs.cs.base = state->sregs.cs.selector = 0;
    state->regs.rip = CODE;
    state->sregs.idt.limit = 0x17;
}

static void short_segment(struct mv_x86_state *state)
{
    *state = protected_mode();
    no_idt(state);
    state->sregs.ds.limit = 0xfff;
    state->sregs.ds.g = 0;
    state->regs.rbx = 0x1000;
}

static void values(struct mv_x86_state *state)
{
    no_idt(state);
    state->regs.rax = 0x10ff8; /* where nothing is mapped */
    state->regs.rbx = 0x8004;
    state->regs.rcx = 2;
    state->regs.rdx = 7;
    state->regs.rdi = 1ull << 47;
    state->regs.r9 = 0x8000;
}

static void efer(struct mv_x86_state *state)
{
    no_idt(state);
    state->regs.rcx = 0xc0000080;
    state->regs.rax = 0x2;
}

static void no_msr(struct mv_x86_state *state)
{
    no_idt(state);
    state->regs.rcx = 0x12345678;
}

static void protected_unit(struct mv_x86_state *state)
{
    no_idt(state);
    state->sregs.cr0 |= 4; /* EM */
}

static void unknown_bit(struct mv_x86_state *state)
{
    no_idt(state);
    state->regs.rax = 0x8020;
}

static void handler_not_mapped(struct mv_x86_state *state)
{
    (void)state;
    put(IDT + 6 * 16, 0x8e0000080000ull | 1ull << 48); /* at 0x10000 */
    put(IDT + 14 * 16, 0x8e0000080000ull | 1ull << 48);
}

static void wild_handler(struct mv_x86_state *state)
{
    (void)state;
    put(IDT + 6 * 16, 0x00008e0000088000);
    put(IDT + 6 * 16 + 8, 0x8000);
}

static void idt_not_mapped(struct mv_x86_state *state)
{
    state->sregs.idt.base = 0x10000;
}

static void tss_short(struct mv_x86_state *state)
{
    user(state);
    state->sregs.tr.limit = 3;
}

static void real_idt(struct mv_x86_state *state)
{
    *state = protected_mode();
    state->sregs.idt = (struct kvm_dtable){.limit = 0xffff};
}

static void ldt_missing(struct mv_x86_state *state)
{
    no_idt(state);
    state->sregs.ldt.unusable = 1;
    state->regs.rax = 0xc;
}

static void user_without_iopl(struct mv_x86_state *state)
{
    user(state);
    state->regs.rflags = 0x1002;
}

static void wild_stack(struct mv_x86_state *state)
{
    no_idt(state);
    put(STACK, 1ull << 47);
}

static void wild_selector(struct mv_x86_state *state)
{
    no_idt(state);
    put(STACK, 0x80);
}

static void busy_tss(struct mv_x86_state *state)
{
    no_idt(state);
    put(GDT + 24, 0x00008b3000000067);
    state->regs.rax = 0x18;
}

static const struct {
    void (*tweak)(struct mv_x86_state *state);
    const char *code;
    size_t size;
    const char *words[3];
} crashes[] = {
#define CODE_IS(bytes) bytes, sizeof(bytes) - 1
    {no_idt,
     CODE_IS("\x0f\x0b"),
     {"raises #UD (invalid opcode, vector 6)", "UD2", "no IDT was loaded"}},
    {ready_for_long_mode,
     CODE_IS("\x0f\x22\xc0"),
     {"#GP", "it sets CR0 to 0x80000011", "without CR4.PAE"}},
    {unknown_bit, CODE_IS("\x0f\x22\xe0"), {"it sets CR4 to 0x8020", "CR4 has reserved bits"}},
    {efer, CODE_IS("\x0f\x30"), {"it sets EFER", "EFER has reserved bits"}},
    {no_msr, CODE_IS("\x0f\x32"), {"probably", "the MSR 0x12345678"}},
    {user,
     CODE_IS("\xf4"),
     {"raises #GP", "only the kernel (CPL 0) may do this, and CPL is 3",
      "RSP0 of the TSS at 0x3000 is 0"}},
    {tss_short,
     CODE_IS("\x0f\x0b"),
     {"the TSS's limit, 0x3, ends before", "#TS (invalid TSS, vector 10)"}},
    {at_a_page_end,
     CODE_IS("\x8b\x04"),
     {"the instruction itself goes on to 0x10000, which is not mapped", "#PF"}},
    {compatible,
     CODE_IS("\xa1\x00\x00\x01\x00"),
     {"it reads from 0x10000", "CS.L is 0", "far jump"}},
    {in_16_bits,
     CODE_IS("\x0f\x0b"),
     {"#UD", "its entry would be the bytes 0x18 to 0x1b", "triple fault"}},
    {short_segment,
     CODE_IS("\x8b\x03"),
     {"it reads from DS:0x1000", "beyond the limit of the segment, 0xfff"}},
    {values,
     CODE_IS("\x48\x89\x08"),
     {"it writes to 0x10ff8", "the PT's entry at 0x7080, 0, is not present"}},
    {values, CODE_IS("\x8b\x05\xf9\x7f\x00\x00"), {"it reads from 0x10000"}},
    {values, CODE_IS("\x43\x8a\x44\x09\x7f"), {"it reads from 0x1007f"}},
    {values, CODE_IS("\xaa"), {"it writes to 0x800000000000", "not canonical"}},
    {values, CODE_IS("\x0f\x28\x03"), {"CR4.OSFXSR is 0"}},
    {values, CODE_IS("\xc5\xf8\x77"), {"AVX instruction, and CR4.OSXSAVE is 0"}},
    {values, CODE_IS("\x48\xf7\xf1"), {"the quotient does not fit"}},
    {values, CODE_IS("\x06"), {"64-bit mode does not have this instruction"}},
    {values, CODE_IS("\xff\xe8"), {"#UD"}},
    {protected_unit, CODE_IS("\xd9\xe8"), {"#NM (device not available, vector 7)", "CR0.EM is 1"}},
    {ldt_missing, CODE_IS("\x8e\xd8"), {"selector 0xc, is one of the LDT, and there is none"}},
    {no_idt, CODE_IS("\x0f\x00\xd8"), {"it loads TR: the segment is the null selector"}},
    {no_idt, CODE_IS("\xcc"), {"#BP", "it is int3"}},
    {no_idt, CODE_IS("\xfb"), {"probably: interrupts are on, or come on here"}},
    {no_idt, CODE_IS("\x90"), {"probably, or another", "no IDT was loaded"}},
    {handler_not_mapped,
     CODE_IS("\x0f\x0b"),
     {"#UD is delivered: its handler at 0x10000 is entered", "would be fetched from 0x10000",
      "and so on"}},
    {idt_not_mapped,
     CODE_IS("\x0f\x0b"),
     {"the IDT's entry is read at 0x10060, which is not mapped", "#PF"}},
    {user_without_iopl, CODE_IS("\xfa"), {"ring 3 may not do this: RFLAGS.IOPL is 1"}},
    {wild_stack, CODE_IS("\xc3"), {"it goes to 0x800000000000, which is not canonical"}},
    {wild_selector,
     CODE_IS("\x0f\xa9"),
     {"it loads GS: the segment, selector 0x80, lies outside of the GDT"}},
    {busy_tss, CODE_IS("\x0f\x00\xd8"), {"is a TSS that is busy"}},
    {no_idt, CODE_IS("\x0f\x05"), {"EFER.SCE is 0"}},
    {wild_handler,
     CODE_IS("\x0f\x0b"),
     {"its handler's address, 0x800000008000, is not canonical"}},
    {real_idt,
     CODE_IS("\x0f\x0b"),
     {"its entry in the IDT, at 0x30, is empty", "as after a reset"}},
};

Test(explain_crash, mistakes_are_named)
{
    for (unsigned i = 0; i < MV_COUNT(crashes); i++) {
        struct mv_x86_state state = long_mode();

        stop();
        start();
        crashes[i].tweak(&state);
        crash(&state, crashes[i].code, crashes[i].size);
        for (unsigned j = 0; j < MV_COUNT(crashes[i].words) && crashes[i].words[j]; j++)
            cr_expect(strstr(told, crashes[i].words[j]), "row %u: no \"%s\" in:\n%s", i,
                      crashes[i].words[j], told);
    }
}

/* Whatever bytes the code, the tables and the registers are, it ends, within its bounds. */
Test(explain_crash, nonsense_is_survived)
{
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        struct mv_x86_state state = i % 3 ? long_mode() : protected_mode();
        uint8_t code[15];

        for (unsigned j = 0; j < sizeof(code); j++)
            code[j] = (uint8_t)rand();
        code[0] = (uint8_t)i;
        if (i % 5 == 0)
            code[0] = 0x0f, code[1] = (uint8_t)(i >> 8);
        state.sregs.idt.limit = (uint16_t)rand();
        state.sregs.gdt.limit = (uint16_t)rand();
        state.regs.rsp = (uint64_t)rand() << (rand() % 40);
        state.regs.rax = (uint64_t)rand() << (rand() % 40);
        put(IDT + 8 * ((unsigned)rand() % 64), (uint64_t)rand() << 31 ^ (uint64_t)rand());
        put(TABLES + 0x3000 + 8 * (24 + (unsigned)rand() % 488),
            (uint64_t)rand() << 33 ^ (uint64_t)rand());
        crash(&state, (const char *)code, sizeof(code));
        cr_assert(strstr(told, "what happened"));
    }
}
