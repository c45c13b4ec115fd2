/* SPDX-License-Identifier: MIT */
/*
 * The report on a vCPU that crashed: why KVM gave up, an explanation, the
 * registers, and the code at the instruction pointer.
 */
#include <errno.h>
#include <string.h>

#include "debug/debug.h"
#include "explain.h"

#define CODE_BYTES  16
#define LEAVES_MOST 256       /* most entries of a vCPU's CPUID */
#define RESET_VALUE 0xfff0ull /* RIP after INIT */

static void report_exit(const struct kvm_run *run, FILE *to)
{
    fprintf(to, "exit: %s", mv_exit_name(run->exit_reason));
    switch (run->exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR: fprintf(to, ", suberror %u", run->internal.suberror); break;
    case KVM_EXIT_FAIL_ENTRY:
        fprintf(to, ", hardware reason %#llx (the processor refuses this state of the vCPU)",
                (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_SHUTDOWN:
        fprintf(to, " (triple fault: an exception while delivering a double fault)");
        break;
    default: break;
    }
    fputc('\n', to);
}

static void report_regs(const struct kvm_regs *r, FILE *to)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
        {"rax", r->rax}, {"rbx", r->rbx}, {"rcx", r->rcx},    {"rdx", r->rdx}, {"rsi", r->rsi},
        {"rdi", r->rdi}, {"rbp", r->rbp}, {"rsp", r->rsp},    {"r8 ", r->r8},  {"r9 ", r->r9},
        {"r10", r->r10}, {"r11", r->r11}, {"r12", r->r12},    {"r13", r->r13}, {"r14", r->r14},
        {"r15", r->r15}, {"rip", r->rip}, {"rfl", r->rflags},
    };

    for (unsigned i = 0; i < MV_COUNT(all); i++)
        fprintf(to, "%s %016llx%s", all[i].name, (unsigned long long)all[i].value,
                i % 4 == 3 || i + 1 == MV_COUNT(all) ? "\n" : "  ");
}

static void report_segment(const char *name, const struct kvm_segment *s, FILE *to)
{
    fprintf(to, "%s %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u g %u\n", name,
            s->selector, (unsigned long long)s->base, s->limit, s->type, s->s, s->dpl, s->present,
            s->l, s->db, s->g);
}

static void report_sregs(const struct kvm_sregs *s, FILE *to)
{
    report_segment("cs ", &s->cs, to);
    report_segment("ds ", &s->ds, to);
    report_segment("ss ", &s->ss, to);
    report_segment("tr ", &s->tr, to);
    fprintf(to, "gdt %016llx limit %04x  idt %016llx limit %04x\n", (unsigned long long)s->gdt.base,
            s->gdt.limit, (unsigned long long)s->idt.base, s->idt.limit);
    fprintf(to, "cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx  efer %llx\n", (unsigned long long)s->cr0,
            (unsigned long long)s->cr2, (unsigned long long)s->cr3, (unsigned long long)s->cr4,
            (unsigned long long)s->efer);
}

static void report_bytes(const struct mv_mem *mem, uint64_t linear, mv_gpa gpa, FILE *to)
{
    uint8_t code[CODE_BYTES];
    size_t size = mv_min(sizeof(code), MV_PAGE_SIZE - gpa % MV_PAGE_SIZE);

    if (!mv_mem_read(mem, gpa, code, size)) {
        fprintf(to, "code: the address %#llx is not in memory\n", (unsigned long long)linear);
        return;
    }
    fprintf(to, "code at %#llx:", (unsigned long long)linear);
    for (size_t i = 0; i < size; i++)
        fprintf(to, " %02x", code[i]);
    fputc('\n', to);
}

/* Translates the address with the vCPU's current registers. */
static void report_code(const struct mv_vcpu *vcpu, const struct mv_mem *mem, uint64_t linear,
                        FILE *to)
{
    struct kvm_translation translation = {.linear_address = linear};

    if (MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_TRANSLATE, &translation) < 0 ||
        !translation.valid)
        fprintf(to, "code: the address %#llx is not mapped\n", (unsigned long long)linear);
    else
        report_bytes(mem, linear, translation.physical_address, to);
}

/*
 * KVM on AMD resets a vCPU before it reports a triple fault.  Only the registers of
 * the last exit are left; with single steps that was one instruction before.  They
 * are loaded into the vCPU, which will not run again, to translate addresses.
 */
static void report_before_reset(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to)
{
    const struct mv_debugger *debugger = mv_debugger(vcpu);
    bool is_first = mv_recorder_last(&debugger->recorder) <= 1;
    struct mv_synced last = debugger->last;

    fprintf(to, "this host's KVM (AMD) has reset the vCPU's registers; ");
    if (!last.have_regs) {
        fprintf(to, "there was no exit before, so they are not known.\n");
        return;
    }
    fprintf(to, "these are from %s:\n",
            is_first && !debugger->single_step ? "its entry, since it had no exit before"
                                               : "its last exit before that");
    if (!debugger->single_step)
        fprintf(to, "  hint: single steps tell more (minivmm explain takes them; single_step)\n");
    report_regs(&last.regs, to);
    if (!last.have_sregs)
        return;
    report_sregs(&last.sregs, to);
    if (MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_SREGS, &last.sregs) == 0)
        report_code(vcpu, mem, last.sregs.cs.base + last.regs.rip, to);
}

/* ---- explanations ---- */

/* The bits of CR4 that a guest with this CPUID may set. */
static uint64_t offered_cr4(const struct kvm_cpuid2 *cpuid)
{
    enum { EBX, ECX, EDX };
    static const struct {
        uint8_t cr4, reg, bit;
        uint32_t leaf;
    } rows[] = {/* SDM volume 3, 2.5; volume 2, CPUID */
                {0, EDX, 1, 1},   {1, EDX, 1, 1},   {2, EDX, 4, 1},  {3, EDX, 2, 1},
                {4, EDX, 3, 1},   {5, EDX, 6, 1},   {6, EDX, 7, 1},  {7, EDX, 13, 1},
                {9, EDX, 24, 1},  {10, EDX, 25, 1}, {11, ECX, 2, 7}, {12, ECX, 16, 7},
                {13, ECX, 5, 1},  {14, ECX, 6, 1},  {16, EBX, 0, 7}, {17, ECX, 17, 1},
                {18, ECX, 26, 1}, {19, ECX, 23, 7}, {20, EBX, 7, 7}, {21, EBX, 20, 7},
                {22, ECX, 3, 7},  {23, ECX, 7, 7},  {24, ECX, 31, 7}};
    uint64_t cr4 = ~0x1ffffffull | 1u << 8; /* PCE; newer bits are left to KVM */

    for (unsigned i = 0; i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        const uint32_t regs[] = {[EBX] = entry->ebx, [ECX] = entry->ecx, [EDX] = entry->edx};

        for (unsigned j = 0; j < MV_COUNT(rows); j++)
            if (entry->function == rows[j].leaf && entry->index == 0 &&
                regs[rows[j].reg] >> rows[j].bit & 1)
                cr4 |= 1ull << rows[j].cr4;
    }
    return cr4;
}

/* Fills in the members that depend on the vCPU's CPUID. */
static int fit_to_cpuid(const struct mv_vcpu *vcpu, struct mv_x86_state *state)
{
    MV_CLEANUP_FREE struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof(*cpuid) + LEAVES_MOST * sizeof(struct kvm_cpuid_entry2));
    int error;

    if (!cpuid)
        return -ENOMEM;
    cpuid->nent = LEAVES_MOST;
    error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_CPUID2, cpuid);
    if (error)
        return error;
    state->address_bits = mv_cpuid_address_bits(cpuid);
    state->cr4_offered = offered_cr4(cpuid);
    return 0;
}

static int get_state(const struct mv_vcpu *vcpu, struct mv_x86_state *ret_state)
{
    const struct mv_kvm *kvm = vcpu->host->kvm;
    int error = MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_REGS, &ret_state->regs);

    if (!error)
        error = MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_SREGS, &ret_state->sregs);
    return error ? error : fit_to_cpuid(vcpu, ret_state);
}

static bool was_reset(const struct mv_vcpu *vcpu, const struct mv_x86_state *now)
{
    return vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN && now->regs.rip == RESET_VALUE &&
           !(now->sregs.cr0 & 1);
}

int mv_arch_explain_state(const struct mv_vcpu *vcpu, FILE *to)
{
    struct mv_x86_state state;
    int error = get_state(vcpu, &state);

    if (error)
        return error;
    if (mv_debugger(vcpu)->refused.have_regs)
        state.regs = mv_debugger(vcpu)->refused.regs;
    if (mv_debugger(vcpu)->refused.have_sregs)
        state.sregs = mv_debugger(vcpu)->refused.sregs;
    return (int)mv_x86_explain_state(&state, to);
}

/* KVM_EXIT_INTERNAL_ERROR (api.rst, 5): the suberror and its data. */
static void explain_internal(const struct kvm_run *run, FILE *to)
{
    static const char *const words[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "KVM could not emulate the instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "an exception came while another was delivered",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] =
            "an exception or interrupt could not be delivered: is there memory where the IDT and "
            "the stack are?",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "the processor left the guest for a reason "
                                                      "that KVM does not know",
    };
    unsigned suberror = run->internal.suberror;
    const char *what = suberror < MV_COUNT(words) ? words[suberror] : NULL;

    fprintf(to, "what happened: %s (internal error, suberror %u",
            what ? what : "KVM could not go on", suberror);
    for (unsigned i = 0; i < mv_min(run->internal.ndata, MV_COUNT(run->internal.data)); i++)
        fprintf(to, "%s%#llx", i ? " " : ", data ", (unsigned long long)run->internal.data[i]);
    fprintf(to, ")\n");
}

int mv_arch_explain_end(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to)
{
    struct mv_x86_state state;
    int error;

    if (vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY) {
        error = mv_arch_explain_state(vcpu, to);
        return error < 0 ? error : 0;
    }
    if (vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        explain_internal(vcpu->run, to);
    else if (vcpu->run->exit_reason != KVM_EXIT_SHUTDOWN)
        return 0;
    error = get_state(vcpu, &state);
    if (error)
        return error;
    if (vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
        mv_x86_explain_stuck(&state, mem, to);
        if (mv_kvm_is_pvm())
            fprintf(to, "  note: this computer's KVM is the module kvm_pvm, which emulates a "
                        "guest's kernel mode, and not all instructions: a KVM that a processor "
                        "supports knows more\n");
        return 0;
    }
    if (was_reset(vcpu, &state)) {
        const struct mv_debugger *debugger = mv_debugger(vcpu);

        if (!debugger->single_step || !debugger->last.have_regs || !debugger->last.have_sregs)
            return -ENODATA; /* the last exit may have been long before the crash */
        state.regs = debugger->last.regs;
        state.sregs = debugger->last.sregs;
    }
    mv_x86_explain_crash(&state, mem, to);
    return 0;
}

void mv_arch_report(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to)
{
    struct mv_x86_state state;

    fprintf(to, "vCPU %u, ", vcpu->index);
    report_exit(vcpu->run, to);
    mv_arch_explain_end(vcpu, mem, to);
    if (get_state(vcpu, &state) < 0)
        return;
    if (was_reset(vcpu, &state)) {
        report_before_reset(vcpu, mem, to);
        return;
    }
    report_regs(&state.regs, to);
    report_sregs(&state.sregs, to);
    report_code(vcpu, mem, state.sregs.cs.base + state.regs.rip, to);
}
