/* SPDX-License-Identifier: MIT */
/*
 * The rules for a vCPU's state: those that processors check on VM entry (SDM volume 3, 27.3.1; APM
 * volume 2, 15.5.1), of which KVM reports only that one is violated, and those that KVM checks
 * itself.  Left out: state that is not in KVM's general and special registers.
 */
#include "core/util.h"
#include "explain.h"

enum {
    CR0_PE = 1u << 0,
    CR0_NW = 1u << 29,
    CR0_CD = 1u << 30,
    CR0_PG = 1u << 31,
    CR4_PAE = 1u << 5,
    CR4_PCIDE = 1u << 17,
    EFER_LME = 1u << 8,
    EFER_LMA = 1u << 10,
    RFLAGS_ONE = 1u << 1,
    RFLAGS_VM = 1u << 17,
    RFLAGS_RESERVED = 0xffc08028u, /* also all bits above 31 */
    TYPE_CODE = 8,
    TYPE_CONFORMING = 4,
    TYPE_RIGHT = 2, /* data: writable; code: readable */
    TYPE_ACCESSED = 1,
};

#define CR4_DEFINED  0x11bff7fffull
#define EFER_DEFINED 0x36fd01ull
#define V86_LIMIT    0xffffu
#define RESET_CS     0xffff0000ull

struct view {
    const struct mv_x86_state *s;
    uint64_t cr0, cr4, efer, rflags;
    const struct kvm_segment *cs, *ss, *tr, *ldt;
    bool protected, v86, is_long, code64;
};

static const char *yes(bool broken)
{
    return broken ? "" : NULL;
}

static bool is_canonical(uint64_t address, uint64_t cr4)
{
    unsigned shift = cr4 & 1u << 12 ? 7 : 16; /* LA57 */

    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* ---- segments ---- */

enum { ES = 1, CS = 2, SS = 4, DS = 8, FS = 16, GS = 32, TR = 64, LDTR = 128 };

/* The name of the first of these segments that is usable and violates the rule, or NULL. */
static const char *first(const struct view *v, unsigned which,
                         bool (*wrong)(const struct view *v, const struct kvm_segment *segment))
{
    const struct kvm_sregs *s = &v->s->sregs;
    const struct {
        const char *name;
        const struct kvm_segment *segment;
    } all[] = {{"ES", &s->es}, {"CS", &s->cs}, {"SS", &s->ss}, {"DS", &s->ds},
               {"FS", &s->fs}, {"GS", &s->gs}, {"TR", &s->tr}, {"LDTR", &s->ldt}};

    for (unsigned i = 0; i < MV_COUNT(all); i++)
        if (which & 1u << i && !all[i].segment->unusable && wrong(v, all[i].segment))
            return all[i].name;
    return NULL;
}

/* G must match the limit (27.3.1.2, "G"). */
static bool grain_wrong(const struct view *v, const struct kvm_segment *s)
{
    (void)v;
    return (s->limit & 0xfff) != 0xfff ? s->g : s->limit >> 20 && !s->g;
}

static bool base_high(const struct view *v, const struct kvm_segment *s)
{
    (void)v;
    return s->base >> 32;
}

static bool base_not_canonical(const struct view *v, const struct kvm_segment *s)
{
    return !is_canonical(s->base, v->cr4);
}

static bool not_present(const struct view *v, const struct kvm_segment *s)
{
    (void)v;
    return !s->present;
}

static bool no_data(const struct view *v, const struct kvm_segment *s)
{
    (void)v;
    return !s->s || !(s->type & TYPE_ACCESSED) || (s->type & TYPE_CODE && !(s->type & TYPE_RIGHT));
}

static bool v86_base(const struct view *v, const struct kvm_segment *s)
{
    (void)v;
    return s->base != (uint64_t)s->selector << 4;
}

static bool v86_kind(const struct view *v, const struct kvm_segment *s)
{
    (void)v;
    return s->limit != V86_LIMIT || s->type != 3 || !s->s || s->dpl != 3 || !s->present;
}

static bool cs_dpl_wrong(const struct kvm_segment *cs, const struct kvm_segment *ss)
{
    return cs->type & TYPE_CODE && cs->type & TYPE_CONFORMING ? cs->dpl > ss->dpl
                                                              : cs->dpl != ss->dpl;
}

/* ---- control registers ---- */

/* The name of the first bit of CR4 that is set without the feature in CPUID, or NULL. */
static const char *cr4_not_offered(const struct view *v)
{
    static const char *const names[] = {
        "VME",     "PVI",        "TSD",  "DE",   "PSE",  "PAE",  "MCE", "PGE",      "PCE",
        "OSFXSR",  "OSXMMEXCPT", "UMIP", "LA57", "VMXE", "SMXE", NULL,  "FSGSBASE", "PCIDE",
        "OSXSAVE", "KL",         "SMEP", "SMAP", "PKE",  "CET",  "PKS", "UINTR"};
    uint64_t wrong = v->cr4 & CR4_DEFINED & ~v->s->cr4_offered;
    unsigned bit = wrong ? (unsigned)__builtin_ctzll(wrong) : 0;

    if (!wrong)
        return NULL;
    return bit < MV_COUNT(names) && names[bit] ? names[bit] : "one above bit 25";
}

/* clang-format off */
/* Name, section, text, and what violates the rule, for a view v. */
#define RULES(X) \
    X("cr0-pg-pe", "SDM 27.3.1.1", "CR0.PG (paging) is set without CR0.PE (protected mode)", \
      yes(v->cr0 & CR0_PG && !v->protected)) \
    X("cr0-nw-cd", "SDM 2.5, APM 15.5.1", "CR0.NW is set without CR0.CD", \
      yes(v->cr0 & CR0_NW && !(v->cr0 & CR0_CD))) \
    X("cr0-upper", "APM 15.5.1", "CR0 has bits above bit 31", yes(v->cr0 >> 32)) \
    X("cr3-width", "SDM 27.3.1.1", "CR3 has bits above the width of a physical address", \
      yes(v->s->address_bits < 64 && v->s->sregs.cr3 >> v->s->address_bits)) \
    X("cr4-reserved", "SDM 2.5, APM 15.5.1", "CR4 has reserved bits set", yes(v->cr4 & ~CR4_DEFINED)) \
    X("cr4-cpuid", "SDM 27.3.1.1", "is set in CR4, and this vCPU's CPUID does not have it", cr4_not_offered(v)) \
    X("cr4-pcide", "SDM 27.3.1.1", "CR4.PCIDE is set outside of long mode (EFER.LMA is 0)", \
      yes(v->cr4 & CR4_PCIDE && !v->is_long)) \
    X("cr8-range", "SDM 10.8.6", "CR8 (the priority of tasks) is more than 15", yes(v->s->sregs.cr8 > 15)) \
    X("efer-reserved", "SDM 27.3.1.1, APM 15.5.1", "EFER has reserved bits set", yes(v->efer & ~EFER_DEFINED)) \
    X("efer-lma-pg", "SDM 27.3.1.1", "EFER.LMA (long mode is active) is set without CR0.PG (paging)", \
      yes(v->is_long && !(v->cr0 & CR0_PG))) \
    X("efer-lma-lme", "SDM 27.3.1.1", "EFER.LMA (long mode is active) is set without EFER.LME (long mode is enabled)", \
      yes(v->is_long && !(v->efer & EFER_LME))) \
    X("efer-lme-lma", "SDM 27.3.1.1", "EFER.LME and CR0.PG are set, so EFER.LMA (long mode is active) has to be, and is not", \
      yes(v->efer & EFER_LME && v->cr0 & CR0_PG && !v->is_long)) \
    X("efer-lme-pae", "SDM 4.1.2, APM 15.5.1", "EFER.LME (long mode) and CR0.PG (paging) are set without CR4.PAE", \
      yes(v->efer & EFER_LME && v->cr0 & CR0_PG && !(v->cr4 & CR4_PAE))) \
    X("rflags-one", "SDM 27.3.1.4", "bit 1 of RFLAGS is 0, and has to be 1", yes(!(v->rflags & RFLAGS_ONE))) \
    X("rflags-reserved", "SDM 27.3.1.4", "RFLAGS has reserved bits set", \
      yes(v->rflags >> 32 || v->rflags & RFLAGS_RESERVED)) \
    X("rflags-vm-long", "SDM 27.3.1.4", "RFLAGS.VM (virtual-8086 mode) is set in long mode", \
      yes(v->rflags & RFLAGS_VM && v->is_long)) \
    X("rflags-vm-pe", "SDM 27.3.1.4", "RFLAGS.VM (virtual-8086 mode) is set without CR0.PE (protected mode)", \
      yes(v->rflags & RFLAGS_VM && !v->protected)) \
    X("rip-canonical", "SDM 27.3.1.4", "RIP is not canonical: its upper bits differ", \
      yes(v->code64 && !is_canonical(v->s->regs.rip, v->cr4))) \
    X("rip-32", "SDM 27.3.1.4", "RIP is above 4 GiB outside of 64-bit mode", yes(!v->code64 && v->s->regs.rip >> 32)) \
    X("cs-l-d", "SDM 27.3.1.2, APM 15.5.1", "CS.L (64-bit code) and CS.D (32-bit code) are both set", \
      yes(v->is_long && v->cs->l && v->cs->db)) \
    X("cs-l", "SDM 3.4.5", "CS.L (64-bit code) is set outside of long mode (EFER.LMA is 0)", yes(v->cs->l && !v->is_long)) \
    X("cs-type", "SDM 27.3.1.2", "CS is no code segment that was accessed", \
      yes(v->protected && !v->v86 && v->cs->type != 3 && \
          (!v->cs->s || !(v->cs->type & TYPE_CODE) || !(v->cs->type & TYPE_ACCESSED)))) \
    X("cs-present", "SDM 27.3.1.2", "CS is not present, or unusable", yes(v->cs->unusable || !v->cs->present)) \
    X("cs-dpl", "SDM 27.3.1.2", "CS.DPL does not fit to SS.DPL, the privilege level", \
      yes(v->protected && !v->v86 && cs_dpl_wrong(v->cs, v->ss))) \
    X("ss-type", "SDM 27.3.1.2", "SS is no data segment that may be written and was accessed", \
      yes(v->protected && !v->v86 && !v->ss->unusable && (!v->ss->s || (v->ss->type & ~4) != 3))) \
    X("data-type", "SDM 27.3.1.2", "is no data segment, or code that may be read, that was accessed", \
      v->protected && !v->v86 ? first(v, ES | DS | FS | GS, no_data) : NULL) \
    X("present", "SDM 27.3.1.2", "is usable and not present", first(v, 255 & ~(CS | TR), not_present)) \
    X("granularity", "SDM 27.3.1.2", "has a limit that its G bit (counted in pages) does not fit", first(v, 255, grain_wrong)) \
    X("base-32", "SDM 27.3.1.2", "has a base above 4 GiB", first(v, CS | SS | DS | ES, base_high)) \
    X("base-canonical", "SDM 27.3.1.2", "has a base that is not canonical", \
      first(v, FS | GS | TR | LDTR, base_not_canonical)) \
    X("v86-base", "SDM 27.3.1.2", "has a base that is not its selector * 16, in virtual-8086 mode", \
      v->v86 ? first(v, 63, v86_base) : NULL) \
    X("v86-kind", "SDM 27.3.1.2", "is not a data segment of 64 KiB and DPL 3, in virtual-8086 mode", \
      v->v86 ? first(v, 63, v86_kind) : NULL) \
    X("real-base", "SDM 20.1.1", "CS's base is not its selector * 16, in real mode", \
      yes(!v->protected && v86_base(v, v->cs) && v->cs->base != RESET_CS)) \
    X("tr-present", "SDM 27.3.1.2", "TR (the task register) is not present, or unusable", \
      yes(!v->tr->present || v->tr->unusable)) \
    X("tr-type", "SDM 27.3.1.2", "TR is no busy TSS; in long mode, no 64-bit one", \
      yes(v->tr->s || (v->tr->type != 11 && (v->is_long || v->tr->type != 3)))) \
    X("tr-gdt", "SDM 27.3.1.2", "TR's selector is one of the LDT", yes(v->tr->selector & 4)) \
    X("ldtr-type", "SDM 27.3.1.2", "LDTR is no LDT of the GDT", \
      yes(!v->ldt->unusable && v->ldt->present && (v->ldt->s || v->ldt->type != 2 || v->ldt->selector & 4))) \
    X("gdtr-base", "SDM 27.3.1.3", "the GDT's base is not canonical", yes(!is_canonical(v->s->sregs.gdt.base, v->cr4))) \
    X("idtr-base", "SDM 27.3.1.3", "the IDT's base is not canonical", yes(!is_canonical(v->s->sregs.idt.base, v->cr4)))
/* clang-format on */

#define RULE(name, section, words, broken)   {name, section, words},
#define BROKEN(name, section, words, broken) broken,

static const struct mv_x86_rule rules[] = {RULES(RULE)};

const struct mv_x86_rule *mv_x86_rules(unsigned *ret_count)
{
    *ret_count = MV_COUNT(rules);
    return rules;
}

const char *mv_x86_rule_broken(unsigned rule, const struct mv_x86_state *state)
{
    const struct kvm_sregs *s = &state->sregs;
    const struct view view = {
        .s = state,
        .cr0 = s->cr0,
        .cr4 = s->cr4,
        .efer = s->efer,
        .rflags = state->regs.rflags,
        .cs = &s->cs,
        .ss = &s->ss,
        .tr = &s->tr,
        .ldt = &s->ldt,
        .protected = s->cr0 & CR0_PE,
        .v86 = s->cr0 & CR0_PE && state->regs.rflags & RFLAGS_VM && !(s->efer & EFER_LMA),
        .is_long = s->efer & EFER_LMA,
        .code64 = s->efer & EFER_LMA && s->cs.l,
    };
    const struct view *v = &view;
    const char *const broken[] = {RULES(BROKEN)};

    return broken[rule];
}

unsigned mv_x86_explain_state(const struct mv_x86_state *state, FILE *to)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MV_COUNT(rules); i++) {
        const char *what = mv_x86_rule_broken(i, state);

        if (!what)
            continue;
        fprintf(to, "%s%s%s (%s)\n", what, *what ? " " : "", rules[i].words, rules[i].section);
        count++;
    }
    return count;
}
