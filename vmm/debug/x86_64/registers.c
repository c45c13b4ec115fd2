/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by name: see minivmm/vcpu.h. */
#include <errno.h>
#include <string.h>

#include "debug/arch_debug.h"
#include "debug/debug.h"

/* The KVM call that accesses a register. */
enum source { SREGS, ATTRIBUTES, REGS, XSAVE, DEBUGREGS, MSRS };

struct place {
    enum source source;
    uint32_t at; /* offset in struct state, or number of an MSR */
};

/* The XSAVE image, which KVM's struct declares as an array (SDM volume 1, 10.5.1 and 13.4).
 * KVM_GET_FPU is not used, as it leaves out MXCSR. */
struct xsave {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16], xmm[16][16], unused[96];
    uint64_t present; /* XSTATE_BV: components not in their initial state */
};

enum { XSAVE_X87_SSE = 3 };

/* A vCPU's state in KVM, one member for each KVM call. */
struct state {
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    struct kvm_debugregs debug;
    union {
        struct kvm_xsave kvm;
        struct xsave image;
    } xsave; /* must be last: KVM may write more than its type holds */
};

#define AT_SREGS(member) offsetof(struct state, sregs.member)
#define AT_REGS(member)  offsetof(struct state, regs.member)
#define AT_XSAVE(member) offsetof(struct state, xsave.image.member)
#define AT_DEBUG(member) offsetof(struct state, debug.member)

/* clang-format off */
/* Name, group, bits, source and place.  MSRs: SDM volume 4, 2.1; APM volume 2, appendix A. */
#define REGISTERS(X) \
    X("rax", GENERAL, 64, REGS, AT_REGS(rax))                    \
    X("rbx", GENERAL, 64, REGS, AT_REGS(rbx))                    \
    X("rcx", GENERAL, 64, REGS, AT_REGS(rcx))                    \
    X("rdx", GENERAL, 64, REGS, AT_REGS(rdx))                    \
    X("rsi", GENERAL, 64, REGS, AT_REGS(rsi))                    \
    X("rdi", GENERAL, 64, REGS, AT_REGS(rdi))                    \
    X("rbp", GENERAL, 64, REGS, AT_REGS(rbp))                    \
    X("rsp", GENERAL, 64, REGS, AT_REGS(rsp))                    \
    X("r8", GENERAL, 64, REGS, AT_REGS(r8))                      \
    X("r9", GENERAL, 64, REGS, AT_REGS(r9))                      \
    X("r10", GENERAL, 64, REGS, AT_REGS(r10))                    \
    X("r11", GENERAL, 64, REGS, AT_REGS(r11))                    \
    X("r12", GENERAL, 64, REGS, AT_REGS(r12))                    \
    X("r13", GENERAL, 64, REGS, AT_REGS(r13))                    \
    X("r14", GENERAL, 64, REGS, AT_REGS(r14))                    \
    X("r15", GENERAL, 64, REGS, AT_REGS(r15))                    \
    X("rip", GENERAL, 64, REGS, AT_REGS(rip))                    \
    X("rflags", GENERAL, 64, REGS, AT_REGS(rflags))              \
    X("cs", SEGMENT, 16, SREGS, AT_SREGS(cs.selector))           \
    X("cs.base", SEGMENT, 64, SREGS, AT_SREGS(cs.base))          \
    X("cs.limit", SEGMENT, 32, SREGS, AT_SREGS(cs.limit))        \
    X("cs.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(cs))    \
    X("ss", SEGMENT, 16, SREGS, AT_SREGS(ss.selector))           \
    X("ss.base", SEGMENT, 64, SREGS, AT_SREGS(ss.base))          \
    X("ss.limit", SEGMENT, 32, SREGS, AT_SREGS(ss.limit))        \
    X("ss.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(ss))    \
    X("ds", SEGMENT, 16, SREGS, AT_SREGS(ds.selector))           \
    X("ds.base", SEGMENT, 64, SREGS, AT_SREGS(ds.base))          \
    X("ds.limit", SEGMENT, 32, SREGS, AT_SREGS(ds.limit))        \
    X("ds.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(ds))    \
    X("es", SEGMENT, 16, SREGS, AT_SREGS(es.selector))           \
    X("es.base", SEGMENT, 64, SREGS, AT_SREGS(es.base))          \
    X("es.limit", SEGMENT, 32, SREGS, AT_SREGS(es.limit))        \
    X("es.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(es))    \
    X("fs", SEGMENT, 16, SREGS, AT_SREGS(fs.selector))           \
    X("fs.base", SEGMENT, 64, SREGS, AT_SREGS(fs.base))          \
    X("fs.limit", SEGMENT, 32, SREGS, AT_SREGS(fs.limit))        \
    X("fs.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(fs))    \
    X("gs", SEGMENT, 16, SREGS, AT_SREGS(gs.selector))           \
    X("gs.base", SEGMENT, 64, SREGS, AT_SREGS(gs.base))          \
    X("gs.limit", SEGMENT, 32, SREGS, AT_SREGS(gs.limit))        \
    X("gs.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(gs))    \
    X("tr", SEGMENT, 16, SREGS, AT_SREGS(tr.selector))           \
    X("tr.base", SEGMENT, 64, SREGS, AT_SREGS(tr.base))          \
    X("tr.limit", SEGMENT, 32, SREGS, AT_SREGS(tr.limit))        \
    X("tr.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(tr))    \
    X("ldt", SEGMENT, 16, SREGS, AT_SREGS(ldt.selector))         \
    X("ldt.base", SEGMENT, 64, SREGS, AT_SREGS(ldt.base))        \
    X("ldt.limit", SEGMENT, 32, SREGS, AT_SREGS(ldt.limit))      \
    X("ldt.attributes", SEGMENT, 16, ATTRIBUTES, AT_SREGS(ldt))  \
    X("cr0", CONTROL, 64, SREGS, AT_SREGS(cr0))                  \
    X("cr2", CONTROL, 64, SREGS, AT_SREGS(cr2))                  \
    X("cr3", CONTROL, 64, SREGS, AT_SREGS(cr3))                  \
    X("cr4", CONTROL, 64, SREGS, AT_SREGS(cr4))                  \
    X("cr8", CONTROL, 64, SREGS, AT_SREGS(cr8))                  \
    X("efer", CONTROL, 64, SREGS, AT_SREGS(efer))                \
    X("apic_base", CONTROL, 64, SREGS, AT_SREGS(apic_base))      \
    X("gdt.base", CONTROL, 64, SREGS, AT_SREGS(gdt.base))        \
    X("gdt.limit", CONTROL, 16, SREGS, AT_SREGS(gdt.limit))      \
    X("idt.base", CONTROL, 64, SREGS, AT_SREGS(idt.base))        \
    X("idt.limit", CONTROL, 16, SREGS, AT_SREGS(idt.limit))      \
    X("dr0", CONTROL, 64, DEBUGREGS, AT_DEBUG(db[0]))            \
    X("dr1", CONTROL, 64, DEBUGREGS, AT_DEBUG(db[1]))            \
    X("dr2", CONTROL, 64, DEBUGREGS, AT_DEBUG(db[2]))            \
    X("dr3", CONTROL, 64, DEBUGREGS, AT_DEBUG(db[3]))            \
    X("dr6", CONTROL, 64, DEBUGREGS, AT_DEBUG(dr6))              \
    X("dr7", CONTROL, 64, DEBUGREGS, AT_DEBUG(dr7))              \
    X("tsc", MSR, 64, MSRS, 0x10)                                \
    X("sysenter_cs", MSR, 64, MSRS, 0x174)                       \
    X("sysenter_esp", MSR, 64, MSRS, 0x175)                      \
    X("sysenter_eip", MSR, 64, MSRS, 0x176)                      \
    X("misc_enable", MSR, 64, MSRS, 0x1a0)                       \
    X("pat", MSR, 64, MSRS, 0x277)                               \
    X("mtrr_def_type", MSR, 64, MSRS, 0x2ff)                     \
    X("star", MSR, 64, MSRS, 0xc0000081)                         \
    X("lstar", MSR, 64, MSRS, 0xc0000082)                        \
    X("cstar", MSR, 64, MSRS, 0xc0000083)                        \
    X("sfmask", MSR, 64, MSRS, 0xc0000084)                       \
    X("kernel_gs_base", MSR, 64, MSRS, 0xc0000102)               \
    X("tsc_aux", MSR, 64, MSRS, 0xc0000103)                      \
    X("st0", FLOAT, 80, XSAVE, AT_XSAVE(st[0]))                  \
    X("st1", FLOAT, 80, XSAVE, AT_XSAVE(st[1]))                  \
    X("st2", FLOAT, 80, XSAVE, AT_XSAVE(st[2]))                  \
    X("st3", FLOAT, 80, XSAVE, AT_XSAVE(st[3]))                  \
    X("st4", FLOAT, 80, XSAVE, AT_XSAVE(st[4]))                  \
    X("st5", FLOAT, 80, XSAVE, AT_XSAVE(st[5]))                  \
    X("st6", FLOAT, 80, XSAVE, AT_XSAVE(st[6]))                  \
    X("st7", FLOAT, 80, XSAVE, AT_XSAVE(st[7]))                  \
    X("fcw", FLOAT, 16, XSAVE, AT_XSAVE(fcw))                    \
    X("fsw", FLOAT, 16, XSAVE, AT_XSAVE(fsw))                    \
    X("ftw", FLOAT, 8, XSAVE, AT_XSAVE(ftw))                     \
    X("fop", FLOAT, 16, XSAVE, AT_XSAVE(fop))                    \
    X("fip", FLOAT, 64, XSAVE, AT_XSAVE(fip))                    \
    X("fdp", FLOAT, 64, XSAVE, AT_XSAVE(fdp))                    \
    X("mxcsr", FLOAT, 32, XSAVE, AT_XSAVE(mxcsr))                \
    X("xmm0", FLOAT, 128, XSAVE, AT_XSAVE(xmm[0]))               \
    X("xmm1", FLOAT, 128, XSAVE, AT_XSAVE(xmm[1]))               \
    X("xmm2", FLOAT, 128, XSAVE, AT_XSAVE(xmm[2]))               \
    X("xmm3", FLOAT, 128, XSAVE, AT_XSAVE(xmm[3]))               \
    X("xmm4", FLOAT, 128, XSAVE, AT_XSAVE(xmm[4]))               \
    X("xmm5", FLOAT, 128, XSAVE, AT_XSAVE(xmm[5]))               \
    X("xmm6", FLOAT, 128, XSAVE, AT_XSAVE(xmm[6]))               \
    X("xmm7", FLOAT, 128, XSAVE, AT_XSAVE(xmm[7]))               \
    X("xmm8", FLOAT, 128, XSAVE, AT_XSAVE(xmm[8]))               \
    X("xmm9", FLOAT, 128, XSAVE, AT_XSAVE(xmm[9]))               \
    X("xmm10", FLOAT, 128, XSAVE, AT_XSAVE(xmm[10]))             \
    X("xmm11", FLOAT, 128, XSAVE, AT_XSAVE(xmm[11]))             \
    X("xmm12", FLOAT, 128, XSAVE, AT_XSAVE(xmm[12]))             \
    X("xmm13", FLOAT, 128, XSAVE, AT_XSAVE(xmm[13]))             \
    X("xmm14", FLOAT, 128, XSAVE, AT_XSAVE(xmm[14]))             \
    X("xmm15", FLOAT, 128, XSAVE, AT_XSAVE(xmm[15]))
/* clang-format on */

#define REGISTER(name, group, bits, source, at) {name, MV_REGISTERS_##group, bits},
#define PLACE(name, group, bits, source, at)    {source, at},

static const struct mv_register registers[] = {REGISTERS(REGISTER)};
static const struct place places[] = {REGISTERS(PLACE)};

const struct mv_register *mv_arch_registers(size_t *ret_count)
{
    *ret_count = MV_COUNT(registers);
    return registers;
}

static int access_msr(const struct mv_vcpu *vcpu, uint32_t number, bool set, uint64_t *value)
{
    struct { /* struct kvm_msrs, with its entry */
        uint32_t nmsrs, pad;
        struct kvm_msr_entry entry;
    } msrs = {.nmsrs = 1, .entry = {.index = number, .data = *value}};
    const struct mv_kvm *kvm = vcpu->host->kvm;
    int done = set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_MSRS, &msrs)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_MSRS, &msrs);

    if (done < 0)
        return done;
    if (done == 0) /* KVM does not know the MSR, or refuses the value */
        return set ? -EINVAL : -EOPNOTSUPP;
    *value = msrs.entry.data;
    return 0;
}

/* Gets or sets the whole state of a source other than MSRS. */
static int transfer(const struct mv_vcpu *vcpu, enum source source, bool set, struct state *state)
{
    const struct mv_kvm *kvm = vcpu->host->kvm;

    switch (source) {
    case SREGS:
    case ATTRIBUTES:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_SREGS, &state->sregs)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_SREGS, &state->sregs);
    case REGS:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_REGS, &state->regs)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_REGS, &state->regs);
    case XSAVE:
        if (set)
            state->xsave.image.present |= XSAVE_X87_SSE; /* else KVM ignores both */
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_XSAVE, &state->xsave)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_XSAVE, &state->xsave);
    default:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_DEBUGREGS, &state->debug)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_DEBUGREGS, &state->debug);
    }
}

enum {
    ATTRIBUTE_PRESENT = 1u << 7,
    ATTRIBUTES_DERIVED = 1u << 15 | 3, /* G, busy, accessed: KVM on AMD computes them */
};

/* Bits 8 to 23 of a descriptor's second word (SDM volume 3, 3.4.5): type, S, DPL, P, and AVL, L,
 * D/B and G from bit 12 on.  There is no bit for unusable segments. */
static uint16_t pack_attributes(const struct kvm_segment *s)
{
    return (uint16_t)(s->type | s->s << 4 | s->dpl << 5 | s->present << 7 | s->avl << 12 |
                      s->l << 13 | s->db << 14 | s->g << 15);
}

static void unpack_attributes(struct kvm_segment *s, uint16_t packed)
{
    s->type = packed & 0xf;
    s->s = packed >> 4 & 1;
    s->dpl = packed >> 5 & 3;
    s->present = packed >> 7 & 1;
    s->avl = packed >> 12 & 1;
    s->l = packed >> 13 & 1;
    s->db = packed >> 14 & 1;
    s->g = packed >> 15 & 1;
    s->unusable = !s->present;
}

static void pick(const struct state *state, size_t number, void *ret_bytes)
{
    const struct place *place = &places[number];
    const uint8_t *from = (const uint8_t *)state + place->at;
    struct kvm_segment segment;
    uint16_t packed;

    if (place->source != ATTRIBUTES) {
        memcpy(ret_bytes, from, (registers[number].bits + 7) / 8);
        return;
    }
    memcpy(&segment, from, sizeof(segment));
    packed = pack_attributes(&segment);
    memcpy(ret_bytes, &packed, sizeof(packed));
}

static void put(struct state *state, size_t number, const void *bytes)
{
    const struct place *place = &places[number];
    uint8_t *to = (uint8_t *)state + place->at;
    struct kvm_segment segment;
    uint16_t packed;

    if (place->source != ATTRIBUTES) {
        memcpy(to, bytes, (registers[number].bits + 7) / 8);
        return;
    }
    memcpy(&packed, bytes, sizeof(packed));
    memcpy(&segment, to, sizeof(segment));
    unpack_attributes(&segment, packed);
    memcpy(to, &segment, sizeof(segment));
}

int mv_arch_get_register(const struct mv_vcpu *vcpu, size_t number, void *ret_bytes)
{
    const struct place *place = &places[number];
    struct state state;
    uint64_t msr = 0;
    int error = place->source == MSRS ? access_msr(vcpu, place->at, false, &msr)
                                      : transfer(vcpu, place->source, false, &state);

    if (error)
        return error;
    if (place->source == MSRS)
        memcpy(ret_bytes, &msr, sizeof(msr));
    else
        pick(&state, number, ret_bytes);
    return 0;
}

/* Sets all registers of one source with one call. */
static int set_source(struct mv_vcpu *vcpu, enum source source,
                      const struct mv_register_bits *values, size_t count, size_t *ret_failed)
{
    struct state state;
    size_t have = 0, last = 0;
    int error;

    for (size_t i = 0; i < count; i++) {
        enum source of = places[values[i].number].source;

        if (of != source && !(of == ATTRIBUTES && source == SREGS))
            continue;
        error = have++ ? 0 : transfer(vcpu, source, false, &state);
        if (error)
            return error;
        put(&state, values[last = i].number, values[i].bits);
    }
    if (source == SREGS && have) {
        mv_debugger(vcpu)->refused.sregs = state.sregs;
        mv_debugger(vcpu)->refused.have_sregs = true;
    } else if (source == REGS && have) {
        mv_debugger(vcpu)->refused.regs = state.regs;
        mv_debugger(vcpu)->refused.have_regs = true;
    }
    error = have ? transfer(vcpu, source, true, &state) : 0;
    if (error && have == 1)
        *ret_failed = last;
    return error;
}

/* Special registers first: they set the mode, which limits the values of the others. */
int mv_arch_set_registers(struct mv_vcpu *vcpu, const struct mv_register_bits *values, size_t count,
                          size_t *ret_failed)
{
    static const enum source sources[] = {SREGS, REGS, XSAVE, DEBUGREGS};
    int error = 0;

    mv_debugger(vcpu)->refused = (struct mv_synced){0};
    for (unsigned i = 0; !error && i < MV_COUNT(sources); i++)
        error = set_source(vcpu, sources[i], values, count, ret_failed);
    for (size_t i = 0; !error && i < count; i++) {
        const struct place *place = &places[values[i].number];
        uint64_t value = values[i].bits[0];

        if (place->source != MSRS)
            continue;
        error = access_msr(vcpu, place->at, true, &value);
        *ret_failed = error ? i : *ret_failed;
    }
    return error;
}

bool mv_arch_is_kept(const struct mv_register_bits *wanted, const struct mv_register_bits *now)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } free_bits[] = {{"cr0", 1u << 4},    /* ET */
                     {"rflags", 1u << 1}, /* SDM volume 1, 3.4.3 */
                     {"dr6", ~0xe00full}, /* SDM volume 3, 17.2 */
                     {"dr7", 0xdc00},
                     {"tsc", UINT64_MAX}};
    const char *name = registers[now->number].name;
    uint64_t ignored = 0;

    for (unsigned i = 0; i < MV_COUNT(free_bits); i++)
        if (strcmp(name, free_bits[i].name) == 0)
            ignored = free_bits[i].bits;
    if (places[now->number].source == ATTRIBUTES)
        ignored =
            wanted->bits[0] & ATTRIBUTE_PRESENT ? ATTRIBUTES_DERIVED : ~(uint64_t)ATTRIBUTE_PRESENT;
    return !((wanted->bits[0] ^ now->bits[0]) & ~ignored) && wanted->bits[1] == now->bits[1];
}

/* Before the first exit, the shared page has the initial registers (arch/x86_64/cpu.c). */
void mv_arch_keep_regs(const struct kvm_run *run, struct mv_synced *kept)
{
    const struct kvm_sync_regs *shown = &run->s.regs;
    bool is_first = run->exit_reason == KVM_EXIT_UNKNOWN;

    if (!is_first && !run->kvm_valid_regs)
        return;
    kept->regs = shown->regs;
    kept->have_regs = shown->regs.rflags; /* bit 1 is always set */
    kept->have_sregs = shown->sregs.cr0 && (is_first || run->kvm_valid_regs & KVM_SYNC_X86_SREGS);
    if (kept->have_sregs)
        kept->sregs = shown->sregs;
}

void mv_arch_show_all_regs(struct kvm_run *run)
{
    if (run->kvm_valid_regs)
        run->kvm_valid_regs |= KVM_SYNC_X86_SREGS;
}
