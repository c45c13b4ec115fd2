/* SPDX-License-Identifier: MIT */
/* The observer that debug attaches to a vCPU: records its exits, and handles stops at steps,
 * breakpoints and watchpoints (api.rst, 5: KVM_EXIT_DEBUG). */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "arch_debug.h"
#include "core/util.h"
#include "debug.h"
#include "machine/config.h"
#include "step.h"

static int single_step(struct mv_vcpu *vcpu, struct mv_error *err)
{
    const struct mv_debug steps = {.size = sizeof(steps), .step = true};
    int error = mv_vcpu_debug(vcpu, &steps);

    if (error)
        return mv_fail(err, error, "KVM_SET_GUEST_DEBUG", "run without single steps",
                       "this KVM cannot single-step a guest: %s", strerror(-error));
    mv_arch_show_all_regs(vcpu->run);
    return 0;
}

static int init(struct mv_vcpu *vcpu, const struct mv_config *config, struct mv_error *err)
{
    struct mv_debugger *debugger = calloc(1, sizeof(*debugger));
    size_t records = config->trace_records;
    int error;

    if (!debugger)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for a vCPU's exits");
    vcpu->kept[MV_OBSERVER_DEBUG] = debugger;
    debugger->bare = config->bare;
    debugger->single_step = config->single_step;
    mv_arch_keep_regs(vcpu->run, &debugger->last);
    error = mv_recorder_init(&debugger->recorder, records, records && mv_counter_is_clock());
    if (error)
        return mv_fail(err, error, "mmap", "keep fewer records",
                       "no memory for a trace of %zu records", records);
    return config->single_step ? single_step(vcpu, err) : 0;
}

static void done(struct mv_vcpu *vcpu)
{
    struct mv_debugger *debugger = mv_debugger(vcpu);

    if (debugger)
        mv_recorder_done(&debugger->recorder);
    free(debugger);
    vcpu->kept[MV_OBSERVER_DEBUG] = NULL;
}

static int enter(struct mv_vcpu *vcpu)
{
    struct mv_debugger *debugger = mv_debugger(vcpu);
    int error = 0;

    /* KVM forgets to stop after the next instruction if it emulated the last: ask again. */
    if (debugger->asked.step)
        error = mv_arch_set_debug(vcpu, &debugger->asked);
    /* Some versions of KVM report the step and not the halt: detect the halt ourselves. */
    debugger->behind_halt = 0;
    if (debugger->bare && (debugger->asked.step || debugger->stepping) &&
        vcpu->phase == MV_VCPU_READY)
        debugger->behind_halt = mv_arch_behind_halt(vcpu);
    if (!vcpu->left_at)
        mv_recorder_rest(&debugger->recorder);
    mv_recorder_enter(&debugger->recorder);
    return error;
}

static void leave(struct mv_vcpu *vcpu, int error)
{
    struct mv_debugger *debugger = mv_debugger(vcpu);
    struct mv_recorder *recorder = &debugger->recorder;

    mv_recorder_leave(recorder);
    if (error == -EINTR && recorder->ring)
        mv_recorder_add(recorder, &(struct mv_record){.exit = {.reason = KVM_EXIT_INTR}},
                        recorder->left);
    if (!error && vcpu->run->exit_reason != KVM_EXIT_SHUTDOWN) /* an AMD host has reset them */
        mv_arch_keep_regs(vcpu->run, &debugger->last);
}

static bool before(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_debugger *debugger = mv_debugger(vcpu);

    if (vcpu->run->exit_reason != KVM_EXIT_DEBUG)
        return false;
    exit->kind = MV_EXIT_DEBUG;
    mv_arch_debug_stop(vcpu, &debugger->asked, &exit->debug);
    if (debugger->behind_halt && exit->debug.reason == MV_DEBUG_STEP &&
        exit->debug.address == debugger->behind_halt)
        exit->kind = MV_EXIT_HALT;
    return false;
}

static void after(struct mv_vcpu *vcpu, const struct mv_exit *exit)
{
    struct mv_recorder *recorder = &mv_debugger(vcpu)->recorder;
    const struct mv_access *access = &vcpu->access;
    const struct mv_record record = {
        .exit = {.address = access->address,
                 .value = access->value,
                 .reason = vcpu->run->exit_reason,
                 .size = (uint8_t)access->size,
                 .write = access->write,
                 .more = access->size > 0 && vcpu->served > 1},
        .pc = exit->kind == MV_EXIT_NONE ? 0 : vcpu->pc, /* KVM may have reset it */
    };

    mv_recorder_add(recorder, &record, recorder->ring ? mv_recorder_stamp(recorder) : 0);
}

static void answered(struct mv_vcpu *vcpu, const struct mv_exit *exit)
{
    bool reads = (exit->kind == MV_EXIT_PORT || exit->kind == MV_EXIT_MMIO) && !exit->access.write;

    mv_recorder_answer(&mv_debugger(vcpu)->recorder, reads ? &exit->access : NULL);
}

int mv_debug_check(const struct mv_config *config, struct mv_error *err)
{
    (void)config, (void)err;
    return 0;
}

const struct mv_observer mv_debug_observer = {
    .init = init,
    .done = done,
    .enter = enter,
    .leave = leave,
    .before = before,
    .after = after,
    .answered = answered,
    .explain = mv_vcpu_explain,
};

/* ---- debug settings ---- */

int mv_vcpu_debug(struct mv_vcpu *vcpu, const struct mv_debug *given)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    struct mv_debug debug;
    int error = mv_take(given, &debug, sizeof(debug)) ? 0 : -EINVAL;

    if (!error)
        error = borrowed ? mv_arch_set_debug(vcpu, &debug) : -EBUSY;
    if (!error)
        mv_debugger(vcpu)->asked = debug;
    return error;
}

int mv_vcpu_step(struct mv_vcpu *vcpu, bool on)
{
    struct mv_debug debug = mv_debugger(vcpu)->asked;

    debug.step |= on;
    mv_debugger(vcpu)->stepping = on;
    return mv_arch_set_debug(vcpu, &debug);
}

int mv_vcpu_pass_breakpoint(struct mv_vcpu *vcpu)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    struct mv_debug_stop stop;

    if (!borrowed)
        return -EBUSY;
    if (vcpu->run->exit_reason != KVM_EXIT_DEBUG)
        return -EINVAL;
    mv_arch_debug_stop(vcpu, &mv_debugger(vcpu)->asked, &stop);
    return stop.reason == MV_DEBUG_SOFTWARE ? mv_arch_pass_breakpoint(vcpu) : -EINVAL;
}

bool mv_machine_breakpoints_work(const struct mv_machine *machine)
{
    (void)machine;
    return mv_arch_breakpoints_work();
}
