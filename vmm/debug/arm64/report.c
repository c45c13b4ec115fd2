/* SPDX-License-Identifier: MIT */
/*
 * The report on a vCPU that crashed: why KVM gave up, the registers, the guest's
 * own last exception in words, and the code at the program counter.
 */
#include <stdio.h>
#include <string.h>

#include "debug/debug.h"
#include "explain.h"

#define CODE_WORDS 4
#define SCTLR_M    1                     /* the MMU is on */
#define UNTOUCHED  0x1de7ec7edbadc0deull /* KVM's initial value if there is no reset value */

static bool get(const struct mv_vcpu *vcpu, uint64_t id, uint64_t *ret_value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)ret_value};

    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_GET_ONE_REG, &reg) == 0;
}

static void report_exit(const struct kvm_run *run, FILE *to)
{
    fprintf(to, "exit: %s", mv_exit_name(run->exit_reason));
    switch (run->exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR: fprintf(to, ", suberror %u", run->internal.suberror); break;
    case KVM_EXIT_FAIL_ENTRY:
        fprintf(to, ", hardware reason %#llx (the processor refuses this state of the vCPU)",
                (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    default: break;
    }
    fputc('\n', to);
}

static uint64_t core_reg(size_t offset)
{
    return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset / sizeof(uint32_t);
}

static void report_regs(const struct mv_vcpu *vcpu, FILE *to)
{
    uint64_t value;

    for (unsigned i = 0; i < 31; i++) {
        if (!get(vcpu, core_reg(offsetof(struct kvm_regs, regs.regs) + 8 * i), &value))
            return;
        fprintf(to, "x%-2u %016llx%s", i, (unsigned long long)value, i % 4 == 3 ? "\n" : "  ");
    }
    fputc('\n', to);
}

/* Op0, Op1, CRn, CRm, Op2, as the manual writes them. */
static const struct {
    const char *name;
    uint64_t id;
} system_regs[] = {
    {"pc", KVM_REG_ARM_CORE | offsetof(struct kvm_regs, regs.pc) / 4},
    {"pstate", KVM_REG_ARM_CORE | offsetof(struct kvm_regs, regs.pstate) / 4},
    {"sp_el0", KVM_REG_ARM_CORE | offsetof(struct kvm_regs, regs.sp) / 4},
    {"sp_el1", KVM_REG_ARM_CORE | offsetof(struct kvm_regs, sp_el1) / 4},
    {"elr_el1", KVM_REG_ARM_CORE | offsetof(struct kvm_regs, elr_el1) / 4},
    {"spsr_el1", KVM_REG_ARM_CORE | offsetof(struct kvm_regs, spsr) / 4},
    {"esr_el1", ARM64_SYS_REG(3, 0, 5, 2, 0)},
    {"far_el1", ARM64_SYS_REG(3, 0, 6, 0, 0)},
    {"vbar_el1", ARM64_SYS_REG(3, 0, 12, 0, 0)},
    {"sctlr_el1", ARM64_SYS_REG(3, 0, 1, 0, 0)},
    {"tcr_el1", ARM64_SYS_REG(3, 0, 2, 0, 2)},
    {"ttbr0_el1", ARM64_SYS_REG(3, 0, 2, 0, 0)},
    {"ttbr1_el1", ARM64_SYS_REG(3, 0, 2, 0, 1)},
    {"mair_el1", ARM64_SYS_REG(3, 0, 10, 2, 0)},
    {"mpidr_el1", ARM64_SYS_REG(3, 0, 0, 0, 5)},
};

/* Reads a register by its name in system_regs; returns 0 on failure. */
static uint64_t system_reg(const struct mv_vcpu *vcpu, const char *name)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < MV_COUNT(system_regs); i++)
        if (strcmp(system_regs[i].name, name) == 0)
            get(vcpu, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | system_regs[i].id, &value);
    return value;
}

static void report_system_regs(const struct mv_vcpu *vcpu, FILE *to)
{
    for (unsigned i = 0; i < MV_COUNT(system_regs); i++)
        fprintf(to, "%-9s %016llx%s", system_regs[i].name,
                (unsigned long long)system_reg(vcpu, system_regs[i].name),
                i % 3 == 2 || i + 1 == MV_COUNT(system_regs) ? "\n" : "  ");
}

/* The exception for which the guest's own vectors were last entered. */
static void report_exception(const struct mv_vcpu *vcpu, FILE *to)
{
    uint64_t esr = system_reg(vcpu, "esr_el1");
    char words[240];

    if (!esr || esr == UNTOUCHED)
        return;
    mv_esr_describe(esr, words, sizeof(words));
    fprintf(to, "the guest's last exception: %s; at %#llx, address %#llx\n", words,
            (unsigned long long)system_reg(vcpu, "elr_el1"),
            (unsigned long long)system_reg(vcpu, "far_el1"));
}

static void report_code(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to)
{
    uint64_t pc = system_reg(vcpu, "pc");
    uint32_t code[CODE_WORDS];

    if (system_reg(vcpu, "sctlr_el1") & SCTLR_M)
        return; /* pc is a virtual address; KVM has no KVM_TRANSLATE on arm64 */
    if (!mv_mem_read(mem, pc, code, sizeof(code))) {
        fprintf(to, "code: the address %#llx is not in memory\n", (unsigned long long)pc);
        return;
    }
    fprintf(to, "code at %#llx:", (unsigned long long)pc);
    for (unsigned i = 0; i < CODE_WORDS; i++)
        fprintf(to, " %08x", code[i]);
    fputc('\n', to);
}

/* ---- in words ---- */

static struct mv_arm64_state get_state(const struct mv_vcpu *vcpu, const struct mv_mem *mem)
{
    const struct mv_translation regs = {
        .sctlr = system_reg(vcpu, "sctlr_el1"),
        .tcr = system_reg(vcpu, "tcr_el1"),
        .ttbr0 = system_reg(vcpu, "ttbr0_el1"),
        .ttbr1 = system_reg(vcpu, "ttbr1_el1"),
    };
    struct mv_arm64_state state = {
        .pc = system_reg(vcpu, "pc"),
        .pstate = system_reg(vcpu, "pstate"),
        .sp_el0 = system_reg(vcpu, "sp_el0"),
        .sp_el1 = system_reg(vcpu, "sp_el1"),
        .sctlr = regs.sctlr,
        .tcr = regs.tcr,
        .vbar = system_reg(vcpu, "vbar_el1"),
        .elr = system_reg(vcpu, "elr_el1"),
        .esr = system_reg(vcpu, "esr_el1"),
        .far = system_reg(vcpu, "far_el1"),
    };

    mv_arm64_walk(mem, &regs, state.pc, &state.vector);
    state.vector_in_memory = mv_mem_host(mem, state.vector.address, sizeof(uint32_t));
    return state;
}

int mv_arch_explain_state(const struct mv_vcpu *vcpu, FILE *to)
{
    struct mv_arm64_state state = get_state(vcpu, vcpu->host->mem);

    if (mv_debugger(vcpu)->refused.have_pstate)
        state.pstate = mv_debugger(vcpu)->refused.pstate;
    return (int)mv_arm64_explain_state(&state, to);
}

static void explain_nisv(const struct kvm_run *run, const struct mv_arm64_state *state, FILE *to)
{
    char words[160];

    mv_esr_describe_data_abort(run->arm_nisv.esr_iss, words, sizeof(words));
    fprintf(to,
            "what happened: %s, at %#llx\n"
            "  the address %#llx is no memory, and a device can be reached only by loads and "
            "stores\n  of one general register without writeback: KVM cannot tell what this one "
            "does\n",
            words, (unsigned long long)state->pc, (unsigned long long)run->arm_nisv.fault_ipa);
}

int mv_arch_explain_end(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to)
{
    struct mv_arm64_state state = get_state(vcpu, mem);
    const struct kvm_run *run = vcpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY: mv_arm64_explain_state(&state, to); break;
    case KVM_EXIT_ARM_NISV: explain_nisv(run, &state, to); break;
    case KVM_EXIT_INTERNAL_ERROR:
        fprintf(to, "what happened: KVM could not go on (internal error, suberror %u)\n",
                run->internal.suberror);
        __attribute__((fallthrough));
    default: mv_arm64_explain_end(&state, to); break;
    }
    return 0;
}

void mv_arch_report(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to)
{
    fprintf(to, "vCPU %u, ", vcpu->index);
    report_exit(vcpu->run, to);
    mv_arch_explain_end(vcpu, mem, to);
    report_regs(vcpu, to);
    report_system_regs(vcpu, to);
    report_exception(vcpu, to);
    report_code(vcpu, mem, to);
}
