/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by name: see minivmm/vcpu.h. */
#include <errno.h>
#include <string.h>

#include "vcpu.h"
#include "x86.h"

/* Where KVM keeps a register. */
enum source { REGS, SREGS, ATTRIBUTES, FPU, DEBUGREGS, MSRS };

struct place {
    enum source source;
    uint32_t at; /* the offset in KVM's struct, or the number of an MSR */
};

union state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_fpu fpu;
    struct kvm_debugregs debug;
    uint64_t msr;
};

/* clang-format off */
/* Name, group, bits, where it is.  MSRs: SDM volume 4, 2.1; APM volume 2, appendix A. */
#define REGISTERS(X) \
    X("rax", GENERAL, 64, REGS, offsetof(struct kvm_regs, rax))                   \
    X("rbx", GENERAL, 64, REGS, offsetof(struct kvm_regs, rbx))                   \
    X("rcx", GENERAL, 64, REGS, offsetof(struct kvm_regs, rcx))                   \
    X("rdx", GENERAL, 64, REGS, offsetof(struct kvm_regs, rdx))                   \
    X("rsi", GENERAL, 64, REGS, offsetof(struct kvm_regs, rsi))                   \
    X("rdi", GENERAL, 64, REGS, offsetof(struct kvm_regs, rdi))                   \
    X("rbp", GENERAL, 64, REGS, offsetof(struct kvm_regs, rbp))                   \
    X("rsp", GENERAL, 64, REGS, offsetof(struct kvm_regs, rsp))                   \
    X("r8", GENERAL, 64, REGS, offsetof(struct kvm_regs, r8))                     \
    X("r9", GENERAL, 64, REGS, offsetof(struct kvm_regs, r9))                     \
    X("r10", GENERAL, 64, REGS, offsetof(struct kvm_regs, r10))                   \
    X("r11", GENERAL, 64, REGS, offsetof(struct kvm_regs, r11))                   \
    X("r12", GENERAL, 64, REGS, offsetof(struct kvm_regs, r12))                   \
    X("r13", GENERAL, 64, REGS, offsetof(struct kvm_regs, r13))                   \
    X("r14", GENERAL, 64, REGS, offsetof(struct kvm_regs, r14))                   \
    X("r15", GENERAL, 64, REGS, offsetof(struct kvm_regs, r15))                   \
    X("rip", GENERAL, 64, REGS, offsetof(struct kvm_regs, rip))                   \
    X("rflags", GENERAL, 64, REGS, offsetof(struct kvm_regs, rflags))             \
    X("cs", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, cs.selector))          \
    X("cs.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, cs.base))         \
    X("cs.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, cs.limit))       \
    X("cs.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, cs))   \
    X("ss", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, ss.selector))          \
    X("ss.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, ss.base))         \
    X("ss.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, ss.limit))       \
    X("ss.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, ss))   \
    X("ds", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, ds.selector))          \
    X("ds.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, ds.base))         \
    X("ds.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, ds.limit))       \
    X("ds.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, ds))   \
    X("es", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, es.selector))          \
    X("es.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, es.base))         \
    X("es.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, es.limit))       \
    X("es.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, es))   \
    X("fs", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, fs.selector))          \
    X("fs.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, fs.base))         \
    X("fs.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, fs.limit))       \
    X("fs.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, fs))   \
    X("gs", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, gs.selector))          \
    X("gs.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, gs.base))         \
    X("gs.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, gs.limit))       \
    X("gs.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, gs))   \
    X("tr", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, tr.selector))          \
    X("tr.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, tr.base))         \
    X("tr.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, tr.limit))       \
    X("tr.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, tr))   \
    X("ldt", SEGMENT, 16, SREGS, offsetof(struct kvm_sregs, ldt.selector))        \
    X("ldt.base", SEGMENT, 64, SREGS, offsetof(struct kvm_sregs, ldt.base))       \
    X("ldt.limit", SEGMENT, 32, SREGS, offsetof(struct kvm_sregs, ldt.limit))     \
    X("ldt.attributes", SEGMENT, 16, ATTRIBUTES, offsetof(struct kvm_sregs, ldt)) \
    X("cr0", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, cr0))                 \
    X("cr2", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, cr2))                 \
    X("cr3", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, cr3))                 \
    X("cr4", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, cr4))                 \
    X("cr8", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, cr8))                 \
    X("efer", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, efer))               \
    X("apic_base", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, apic_base))     \
    X("gdt.base", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, gdt.base))       \
    X("gdt.limit", CONTROL, 16, SREGS, offsetof(struct kvm_sregs, gdt.limit))     \
    X("idt.base", CONTROL, 64, SREGS, offsetof(struct kvm_sregs, idt.base))       \
    X("idt.limit", CONTROL, 16, SREGS, offsetof(struct kvm_sregs, idt.limit))     \
    X("dr0", CONTROL, 64, DEBUGREGS, offsetof(struct kvm_debugregs, db[0]))       \
    X("dr1", CONTROL, 64, DEBUGREGS, offsetof(struct kvm_debugregs, db[1]))       \
    X("dr2", CONTROL, 64, DEBUGREGS, offsetof(struct kvm_debugregs, db[2]))       \
    X("dr3", CONTROL, 64, DEBUGREGS, offsetof(struct kvm_debugregs, db[3]))       \
    X("dr6", CONTROL, 64, DEBUGREGS, offsetof(struct kvm_debugregs, dr6))         \
    X("dr7", CONTROL, 64, DEBUGREGS, offsetof(struct kvm_debugregs, dr7))         \
    X("tsc", MSR, 64, MSRS, 0x10)                                                 \
    X("sysenter_cs", MSR, 64, MSRS, 0x174)                                        \
    X("sysenter_esp", MSR, 64, MSRS, 0x175)                                       \
    X("sysenter_eip", MSR, 64, MSRS, 0x176)                                       \
    X("misc_enable", MSR, 64, MSRS, 0x1a0)                                        \
    X("pat", MSR, 64, MSRS, 0x277)                                                \
    X("mtrr_def_type", MSR, 64, MSRS, 0x2ff)                                      \
    X("star", MSR, 64, MSRS, 0xc0000081)                                          \
    X("lstar", MSR, 64, MSRS, 0xc0000082)                                         \
    X("cstar", MSR, 64, MSRS, 0xc0000083)                                         \
    X("sfmask", MSR, 64, MSRS, 0xc0000084)                                        \
    X("kernel_gs_base", MSR, 64, MSRS, 0xc0000102)                                \
    X("tsc_aux", MSR, 64, MSRS, 0xc0000103)                                       \
    X("st0", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[0]))                    \
    X("st1", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[1]))                    \
    X("st2", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[2]))                    \
    X("st3", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[3]))                    \
    X("st4", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[4]))                    \
    X("st5", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[5]))                    \
    X("st6", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[6]))                    \
    X("st7", FLOAT, 80, FPU, offsetof(struct kvm_fpu, fpr[7]))                    \
    X("fcw", FLOAT, 16, FPU, offsetof(struct kvm_fpu, fcw))                       \
    X("fsw", FLOAT, 16, FPU, offsetof(struct kvm_fpu, fsw))                       \
    X("ftw", FLOAT, 8, FPU, offsetof(struct kvm_fpu, ftwx))                       \
    X("fop", FLOAT, 16, FPU, offsetof(struct kvm_fpu, last_opcode))               \
    X("fip", FLOAT, 64, FPU, offsetof(struct kvm_fpu, last_ip))                   \
    X("fdp", FLOAT, 64, FPU, offsetof(struct kvm_fpu, last_dp))                   \
    X("mxcsr", FLOAT, 32, FPU, offsetof(struct kvm_fpu, mxcsr))                   \
    X("xmm0", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[0]))                  \
    X("xmm1", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[1]))                  \
    X("xmm2", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[2]))                  \
    X("xmm3", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[3]))                  \
    X("xmm4", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[4]))                  \
    X("xmm5", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[5]))                  \
    X("xmm6", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[6]))                  \
    X("xmm7", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[7]))                  \
    X("xmm8", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[8]))                  \
    X("xmm9", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[9]))                  \
    X("xmm10", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[10]))                \
    X("xmm11", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[11]))                \
    X("xmm12", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[12]))                \
    X("xmm13", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[13]))                \
    X("xmm14", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[14]))                \
    X("xmm15", FLOAT, 128, FPU, offsetof(struct kvm_fpu, xmm[15]))
/* clang-format on */

#define REGISTER(name, group, bits, source, at) {name, MV_REGISTERS_##group, bits},
#define PLACE(name, group, bits, source, at)    {source, at},

static const struct mv_register registers[] = {REGISTERS(REGISTER)};
static const struct place places[] = {REGISTERS(PLACE)};

const char *const mv_arch_call_registers[MV_CALL_REGISTERS] = {"rdi", "rsi", "rdx", "rcx", "rax"};

bool mv_arch_is_hypercall(const struct mv_exit *exit)
{
    return exit->kind == MV_EXIT_PORT && exit->access.write &&
           exit->access.address == MV_HYPERCALL_PORT && exit->access.size == 4;
}

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
    if (done == 0) /* KVM has skipped it */
        return set ? -EINVAL : -EOPNOTSUPP;
    *value = msrs.entry.data;
    return 0;
}

/* Reads, or writes back, all of what the register is a part of. */
static int transfer(const struct mv_vcpu *vcpu, const struct place *place, bool set,
                    union state *state)
{
    const struct mv_kvm *kvm = vcpu->host->kvm;

    switch (place->source) {
    case REGS:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_REGS, state)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_REGS, state);
    case SREGS:
    case ATTRIBUTES:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_SREGS, state)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_SREGS, state);
    case FPU:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_FPU, state)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_FPU, state);
    case DEBUGREGS:
        return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_DEBUGREGS, state)
                   : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_DEBUGREGS, state);
    default: return access_msr(vcpu, place->at, set, &state->msr);
    }
}

/* Keeps what KVM refuses, so that mv_vcpu_explain can tell why. */
static void note_refused(struct mv_vcpu *vcpu, const struct place *place, int error,
                         const union state *state)
{
    vcpu->refused = (struct mv_synced){0};
    if (error != -EINVAL)
        return;
    if (place->source == REGS) {
        vcpu->refused.regs = state->regs;
        vcpu->refused.have_regs = true;
    } else if (place->source == SREGS || place->source == ATTRIBUTES) {
        vcpu->refused.sregs = state->sregs;
        vcpu->refused.have_sregs = true;
    }
}

/* As in a descriptor's second word, bits 8 to 23, shifted down: type, S, DPL, P, and AVL, L, D/B
 * and G from bit 12 on (SDM volume 3, 3.4.5); bit 16 of the unusable ones is left out. */
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

int mv_arch_get_register(const struct mv_vcpu *vcpu, size_t number, void *ret_bytes)
{
    const struct place *place = &places[number];
    size_t size = (registers[number].bits + 7) / 8;
    union state state = {.msr = 0};
    int error = transfer(vcpu, place, false, &state);

    if (error)
        return error;
    if (place->source == ATTRIBUTES) {
        struct kvm_segment segment;
        uint16_t packed;

        memcpy(&segment, (uint8_t *)&state + place->at, sizeof(segment));
        packed = pack_attributes(&segment);
        memcpy(ret_bytes, &packed, sizeof(packed));
        return 0;
    }
    memcpy(ret_bytes, (uint8_t *)&state + (place->source == MSRS ? 0 : place->at), size);
    return 0;
}

int mv_arch_set_register(struct mv_vcpu *vcpu, size_t number, const void *bytes)
{
    const struct place *place = &places[number];
    size_t size = (registers[number].bits + 7) / 8;
    union state state = {.msr = 0};
    int error = place->source == MSRS ? 0 : transfer(vcpu, place, false, &state);

    if (error)
        return error;
    if (place->source == ATTRIBUTES) {
        struct kvm_segment segment;
        uint16_t packed;

        memcpy(&packed, bytes, sizeof(packed));
        memcpy(&segment, (uint8_t *)&state + place->at, sizeof(segment));
        unpack_attributes(&segment, packed);
        memcpy((uint8_t *)&state + place->at, &segment, sizeof(segment));
    } else {
        memcpy((uint8_t *)&state + (place->source == MSRS ? 0 : place->at), bytes, size);
    }
    error = transfer(vcpu, place, true, &state);
    note_refused(vcpu, place, error, &state);
    return error;
}

#ifdef MV_HAVE_CAPSTONE
#include <capstone/capstone.h>

void mv_arch_instruction_set(struct mv_vcpu *vcpu, unsigned *ret_arch, unsigned *ret_mode)
{
    uint64_t attributes = 0, cr0 = 0;

    mv_vcpu_get(vcpu, "cs.attributes", &attributes);
    mv_vcpu_get(vcpu, "cr0", &cr0);
    *ret_arch = CS_ARCH_X86;
    *ret_mode = cr0 & 1 && attributes & 1u << 13 ? CS_MODE_64
                : attributes & 1u << 14          ? CS_MODE_32
                                                 : CS_MODE_16;
}
#endif
