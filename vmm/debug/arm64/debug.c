/* SPDX-License-Identifier: MIT */
/* Single steps, breakpoints and watchpoints by KVM_SET_GUEST_DEBUG (api.rst, 4.87), and the debug
 * registers that it loads (Arm ARM, D19.3: DBGBCR, DBGWCR). */
#include <errno.h>

#include "core/vcpu.h"
#include "debug/arch_debug.h"

enum {
    CONTROL_ENABLE = 1u << 0,
    CONTROL_EL0_EL1 = 3u << 1,
    BCR_ALL_BYTES = 0xfu << 5,
    WCR_LOAD = 1u << 3,
    WCR_STORE = 2u << 3,
    WCR_BYTES_SHIFT = 5,
    ESR_EC_SHIFT = 26,
    EC_BREAKPOINT = 0x30,
    EC_WATCHPOINT = 0x34,
    EC_BKPT32 = 0x38,
    EC_BRK = 0x3c,
    PSTATE_MODE = 0x1f,
    PSTATE_32 = 0x10,
    MODE_EL1T = 4,
    MODE_EL1H = 5,
    PSTATE_SSBS = 1u << 12,
    PSTATE_PAN = 1u << 22,
    PSTATE_KEPT = 0xf1400000, /* NZCV, DIT, PAN */
    PSTATE_MASKED = 0x3c0,    /* DAIF */
    SCTLR_SPAN = 1u << 23,    /* 0: PAN is set */
};

#define SCTLR_DSSBS (1ull << 44)

static int add_point(struct kvm_guest_debug *to, const struct mv_debug_point *point,
                     unsigned *breaks, unsigned *watches)
{
    uint64_t bytes = (1ull << point->size) - 1;

    if (point->access == MV_BREAK_EXECUTE) {
        if (point->size != 4 || point->address % 4)
            return -EINVAL;
        to->arch.dbg_bvr[*breaks] = point->address;
        to->arch.dbg_bcr[(*breaks)++] = CONTROL_ENABLE | CONTROL_EL0_EL1 | BCR_ALL_BYTES;
        return 0;
    }
    if ((point->size != 1 && point->size != 2 && point->size != 4 && point->size != 8) ||
        point->address % point->size)
        return -EINVAL;
    to->arch.dbg_wvr[*watches] = mv_align_down(point->address, 8);
    to->arch.dbg_wcr[(*watches)++] = CONTROL_ENABLE | CONTROL_EL0_EL1 | WCR_STORE |
                                     (point->access == MV_WATCH_ACCESS ? (uint64_t)WCR_LOAD : 0) |
                                     bytes << (point->address % 8) << WCR_BYTES_SHIFT;
    return 0;
}

static bool has_room(const struct mv_vcpu *vcpu, unsigned breaks, unsigned watches)
{
    const struct mv_kvm *kvm = vcpu->host->kvm;

    return breaks <= (unsigned)mv_kvm_check(kvm, KVM_CAP_GUEST_DEBUG_HW_BPS) &&
           watches <= (unsigned)mv_kvm_check(kvm, KVM_CAP_GUEST_DEBUG_HW_WPS);
}

int mv_arch_set_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug)
{
    struct kvm_guest_debug to = {0};
    unsigned breaks = 0, watches = 0;

    if (debug->count > MV_DEBUG_POINTS)
        return -ENOSPC;
    for (unsigned i = 0; i < debug->count; i++) {
        int error = add_point(&to, &debug->points[i], &breaks, &watches);

        if (error)
            return error;
    }
    if (debug->count && !has_room(vcpu, breaks, watches))
        return -ENOSPC;
    if (debug->step)
        to.control |= KVM_GUESTDBG_SINGLESTEP;
    if (debug->software)
        to.control |= KVM_GUESTDBG_USE_SW_BP;
    if (debug->count)
        to.control |= KVM_GUESTDBG_USE_HW;
    if (to.control)
        to.control |= KVM_GUESTDBG_ENABLE;
    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_GUEST_DEBUG, &to);
}

/* KVM always handles wfi itself, even if no interrupt can arrive. */
uint64_t mv_arch_behind_halt(struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

/* The watchpoint that was hit: the processor may report any address in the same aligned 8 bytes. */
static uint64_t watched(const struct mv_debug *debug, uint64_t far)
{
    for (unsigned i = 0; i < debug->count; i++) {
        const struct mv_debug_point *point = &debug->points[i];

        if (point->access != MV_BREAK_EXECUTE &&
            mv_align_down(point->address, 8) == mv_align_down(far, 8))
            return point->address;
    }
    return far;
}

void mv_arch_debug_stop(struct mv_vcpu *vcpu, const struct mv_debug *asked,
                        struct mv_debug_stop *ret_stop)
{
    const struct kvm_debug_exit_arch *exit = &vcpu->run->debug.arch;

    *ret_stop = (struct mv_debug_stop){.reason = MV_DEBUG_STEP};
    mv_vcpu_get(vcpu, "pc", &ret_stop->address);
    switch (exit->hsr >> ESR_EC_SHIFT) {
    case EC_BREAKPOINT: ret_stop->reason = MV_DEBUG_BREAKPOINT; break;
    case EC_BKPT32:
    case EC_BRK: ret_stop->reason = MV_DEBUG_SOFTWARE; break;
    case EC_WATCHPOINT:
        ret_stop->reason = MV_DEBUG_WATCHPOINT;
        ret_stop->address = watched(asked, exit->far);
        break;
    default: break;
    }
}

/* The offset of the vector of a synchronous exception (Arm ARM, D1.3.1). */
static uint64_t vector_from(uint64_t pstate)
{
    if (pstate & PSTATE_32)
        return 0x600;
    switch (pstate & PSTATE_MODE) {
    case MODE_EL1T: return 0x000;
    case MODE_EL1H: return 0x200;
    default: return 0x400;
    }
}

/* KVM cannot inject this exception, so we set the registers as a processor does on exception entry
 * (Arm ARM, AArch64.TakeException). */
int mv_arch_pass_breakpoint(struct mv_vcpu *vcpu)
{
    uint64_t pc, pstate, vectors, control, entered;

    if (mv_vcpu_get(vcpu, "pc", &pc) < 0 || mv_vcpu_get(vcpu, "pstate", &pstate) < 0 ||
        mv_vcpu_get(vcpu, "vbar_el1", &vectors) < 0 || mv_vcpu_get(vcpu, "sctlr_el1", &control) < 0)
        return -EIO;
    entered = (pstate & PSTATE_KEPT) | PSTATE_MASKED | MODE_EL1H;
    if (!(control & SCTLR_SPAN))
        entered |= PSTATE_PAN;
    if (control & SCTLR_DSSBS)
        entered |= PSTATE_SSBS;
    const struct mv_register_value values[] = {
        {.name = "esr_el1", .value = vcpu->run->debug.arch.hsr},
        {.name = "elr_el1", .value = pc},
        {.name = "spsr_el1", .value = pstate},
        {.name = "pstate", .value = entered},
        {.name = "pc", .value = vectors + vector_from(pstate)},
    };
    return mv_vcpu_set_registers(vcpu, values, MV_COUNT(values), NULL);
}

bool mv_arch_breakpoints_work(void)
{
    return true;
}
