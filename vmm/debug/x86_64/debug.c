/* SPDX-License-Identifier: MIT */
/* Single steps, breakpoints and watchpoints by KVM_SET_GUEST_DEBUG (api.rst, 4.87), and the debug
 * registers that it loads (SDM volume 3, 17.2). */
#include <errno.h>
#include <string.h>

#include "core/vcpu.h"
#include "debug/arch_debug.h"
#include "x86.h"

enum {
    DR6_STEP = 1u << 14,
    DR7_EXACT = 1u << 8 | 1u << 9,
    DR7_RESERVED = 1u << 10,
    EXCEPTION_BP = 3,
};

/* The LEN field of DR7, or -1 for an invalid size. */
static int length_bits(uint32_t size)
{
    switch (size) {
    case 1: return 0;
    case 2: return 1;
    case 4: return 3;
    case 8: return 2;
    default: return -1;
    }
}

static int add_point(struct kvm_guest_debug *to, unsigned number,
                     const struct mv_debug_point *point)
{
    static const unsigned kinds[] = {
        [MV_BREAK_EXECUTE] = 0, [MV_WATCH_WRITE] = 1, [MV_WATCH_ACCESS] = 3};
    int length = length_bits(point->size);

    if ((size_t)point->access >= MV_COUNT(kinds) || length < 0 || point->address % point->size ||
        (point->access == MV_BREAK_EXECUTE && point->size != 1))
        return -EINVAL;
    to->arch.debugreg[number] = point->address;
    to->arch.debugreg[7] |= DR7_EXACT | DR7_RESERVED | 2ull << (2 * number) |
                            (uint64_t)(kinds[point->access] | (unsigned)length << 2)
                                << (16 + 4 * number);
    return 0;
}

int mv_arch_set_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug)
{
    struct kvm_guest_debug to = {0};

    if (debug->count > MV_DEBUG_POINTS)
        return -ENOSPC;
    for (unsigned i = 0; i < debug->count; i++) {
        int error = add_point(&to, i, &debug->points[i]);

        if (error)
            return error;
    }
    if (debug->step)
        to.control |= KVM_GUESTDBG_SINGLESTEP;
    if (debug->software)
        to.control |= KVM_GUESTDBG_USE_SW_BP;
    if (debug->count)
        to.control |= KVM_GUESTDBG_USE_HW_BP;
    if (to.control)
        to.control |= KVM_GUESTDBG_ENABLE;
    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_GUEST_DEBUG, &to);
}

/* SDM volume 2, 2.1.1: hlt may have prefixes, in 64-bit code also REX. */
uint64_t mv_arch_behind_halt(struct mv_vcpu *vcpu)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3};
    uint64_t at, base;
    uint8_t byte;

    if (mv_vcpu_get(vcpu, "rip", &at) < 0 || mv_vcpu_get(vcpu, "cs.base", &base) < 0)
        return 0;
    at += base;
    for (unsigned i = 0; i < 15; i++, at++) {
        if (mv_vcpu_read(vcpu, at, &byte, 1) < 0)
            return 0;
        if (byte == 0xf4)
            return at + 1;
        if (!memchr(prefixes, byte, sizeof(prefixes)) && (byte & 0xf0) != 0x40)
            return 0;
    }
    return 0;
}

/* DR6 says which of the four points was hit. */
void mv_arch_debug_stop(struct mv_vcpu *vcpu, const struct mv_debug *asked,
                        struct mv_debug_stop *ret_stop)
{
    const struct kvm_debug_exit_arch *exit = &vcpu->run->debug.arch;
    unsigned hit = exit->dr6 & 0xf, number = hit ? (unsigned)__builtin_ctz(hit) : 0;

    *ret_stop = (struct mv_debug_stop){.reason = MV_DEBUG_STEP, .address = exit->pc};
    if (asked->step) /* KVM steps by RFLAGS.TF, which popf and iret clear: set it again */
        mv_arch_set_debug(vcpu, asked);
    if (exit->exception == EXCEPTION_BP) {
        ret_stop->reason = MV_DEBUG_SOFTWARE;
    } else if (hit && !(exit->dr6 & DR6_STEP && asked->step)) {
        bool executes = number < asked->count && asked->points[number].access == MV_BREAK_EXECUTE;

        ret_stop->reason = executes ? MV_DEBUG_BREAKPOINT : MV_DEBUG_WATCHPOINT;
        if (!executes && number < asked->count)
            ret_stop->address = asked->points[number].address;
    }
}

/* It is a software exception, so KVM adds the length of the instruction, int3 or int 3, to RIP. */
int mv_arch_pass_breakpoint(struct mv_vcpu *vcpu)
{
    const struct mv_kvm *kvm = vcpu->host->kvm;
    struct kvm_vcpu_events events;
    int error = MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_VCPU_EVENTS, &events);

    if (error)
        return error;
    events.exception.injected = 1;
    events.exception.nr = EXCEPTION_BP;
    events.exception.has_error_code = 0;
    return MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

/* QEMU 7.2's emulated SVM does not intercept int3, and does not load DR7 for the guest. */
bool mv_arch_breakpoints_work(void)
{
    return !mv_emulated_by_tcg();
}
