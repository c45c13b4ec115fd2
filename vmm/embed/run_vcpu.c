/* SPDX-License-Identifier: MIT */
/*
 * Runs a vCPU in its caller's thread: see minivmm/vcpu.h.
 *
 * Pauses and the machine's end kick the vCPU with a signal (core/vcpu.c); the timeout's timer sends
 * the same one.  The thread blocks this signal except in KVM_RUN, and consumes a late one
 * before it restores the caller's mask.
 *
 * The caller's own signals are also blocked, except in KVM_RUN and in waits: a signal that arrives
 * while an exit is handled ends the next KVM_RUN, so none is missed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "debug/step.h"
#include "embed.h"
#include "machine/machine.h"

#ifndef sigev_notify_thread_id /* glibc has no name for it */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* One call of mv_vcpu_run. */
struct drive {
    struct mv_vcpu *vcpu;
    enum mv_until until;
    uint64_t deadline; /* nanoseconds of CLOCK_MONOTONIC; UINT64_MAX: none */
    bool has_timer;
    timer_t timer;
    sigset_t mask; /* the caller's signal mask */
};

static int start_timer(struct drive *drive)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = mv_vcpu_kick_signal()};
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(drive->deadline / 1000000000u),
                                         .tv_nsec = (long)(drive->deadline % 1000000000u)}};

    if (drive->deadline == UINT64_MAX)
        return 0;
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &drive->timer) < 0)
        return -errno;
    drive->has_timer = true;
    return timer_settime(drive->timer, TIMER_ABSTIME, &at, NULL) < 0 ? -errno : 0;
}

/* Returns 0, or -errno, after which finish must not be called. */
static int begin(struct drive *drive)
{
    struct mv_vcpu *vcpu = drive->vcpu;
    struct mv_embedded *embedded = mv_embedded(vcpu);
    sigset_t outer;
    int error;

    if (atomic_exchange(&embedded->driven, true))
        return -EBUSY;
    error = mv_machine_drive(vcpu->host->machine);
    if (error) {
        atomic_store(&embedded->driven, false);
        return error;
    }
    embedded->hypercalls = true; /* the caller answers them */
    mv_outer_signals(&outer);
    pthread_sigmask(SIG_BLOCK, &outer, &drive->mask);
    mv_vcpu_attach(vcpu);
    return 0;
}

/* Restoring the mask runs the handlers of pending signals. */
static void finish(struct drive *drive)
{
    struct mv_vcpu *vcpu = drive->vcpu;

    if (drive->has_timer)
        timer_delete(drive->timer);
    mv_vcpu_detach(vcpu);
    mv_vcpu_calm(vcpu);
    atomic_store(&mv_embedded(vcpu)->driven, false);
    pthread_sigmask(SIG_SETMASK, &drive->mask, NULL);
}

/* Passes the caller's answer to the last exit to the guest, once.  The vCPU is inside (pause.h). */
static int take_answer(struct mv_vcpu *vcpu)
{
    struct mv_embedded *embedded = mv_embedded(vcpu);
    const struct mv_exit *exit = &embedded->answer;
    int error;

    if (embedded->told != MV_TOLD_BACK)
        return 0;
    embedded->told = MV_TOLD_NOTHING;
    mv_vcpu_answer(vcpu, exit);
    if (exit->handled || exit->kind != MV_EXIT_HYPERCALL)
        return 0;
    error = mv_vcpu_complete_io(vcpu);
    return error ? error : mv_hypercall_return(vcpu, exit->hypercall.result);
}

static bool tells(const struct drive *drive, const struct mv_exit *exit)
{
    switch (drive->until) {
    case MV_UNTIL_EXIT: return true;
    case MV_UNTIL_UNHANDLED: return !exit->handled;
    case MV_UNTIL_STEP: return exit->kind == MV_EXIT_DEBUG || !exit->handled;
    default: return exit->kind == MV_EXIT_HALT && !exit->handled; /* handled: it ran past `hlt` */
    }
}

static bool is_late(const struct drive *drive)
{
    return drive->deadline != UINT64_MAX && mv_monotonic_ns() >= drive->deadline;
}

/* Fills in the exit for a return without an exit of the guest.  Returns 0 or -errno. */
static int come_out(const struct drive *drive, struct mv_exit *exit)
{
    struct mv_vcpu *vcpu = drive->vcpu;

    vcpu->left_at = 0;
    *exit = (struct mv_exit){.size = sizeof(*exit), .kind = MV_EXIT_INTERRUPTED};
    if (atomic_load(vcpu->host->ended))
        exit->kind = MV_EXIT_END;
    else if (is_late(drive))
        exit->kind = MV_EXIT_TIMEOUT;
    /* mv_machine_pause promises that the last instruction is complete */
    return vcpu->inside && mv_pause_asked(vcpu->host->pause) ? mv_vcpu_complete_io(vcpu) : 0;
}

/* Whether a signal other than the kick is pending that ends KVM_RUN. */
static bool is_signalled(const struct mv_vcpu *vcpu)
{
    sigset_t pending;
    uint64_t signals;

    sigpending(&pending);
    memcpy(&signals, &pending, sizeof(signals));
    return signals & ~vcpu->mask & ~(1ull << (mv_vcpu_kick_signal() - 1));
}

/* Waits until the vCPU is inside (pause.h); if guest, until it may enter the guest.  Returns 0,
 * -EINTR, or another error. */
static int wait_for(struct drive *drive, bool guest)
{
    struct mv_vcpu *vcpu = drive->vcpu;
    struct mv_pause *pause = vcpu->host->pause;
    int error = 0;

    while (!error && !(guest ? mv_vcpu_may_enter(vcpu) : vcpu->inside)) {
        if (!vcpu->inside && mv_vcpu_go_in(vcpu))
            continue;
        if (vcpu->inside && (mv_pause_asked(pause) || atomic_load(vcpu->host->ended)))
            return -EINTR;
        error = mv_vcpu_wait(vcpu);
        mv_vcpu_calm(vcpu); /* consumes the timer's signal, too */
        if (error == -EINTR && !is_late(drive) && !is_signalled(vcpu))
            error = 0;
    }
    return error;
}

/* Runs the guest until there is an exit to return.  The vCPU is inside (pause.h).  Returns 0,
 * -EINTR, or another error. */
static int go(struct drive *drive, struct mv_exit *exit)
{
    struct mv_vcpu *vcpu = drive->vcpu;
    int error = 0;

    while (!error) {
        while (mv_vcpu_next(vcpu, exit)) {
            if (!tells(drive, exit))
                continue;
            mv_embedded(vcpu)->told = MV_TOLD_CALLER;
            if (!exit->handled)
                mv_vcpu_tell(vcpu);
            return 0;
        }
        if (atomic_load(vcpu->host->ended))
            return -EINTR;
        error = wait_for(drive, true);
        if (!error)
            error = mv_vcpu_enter(vcpu);
    }
    return error;
}

static int run(struct drive *drive, struct mv_exit *exit)
{
    struct mv_vcpu *vcpu = drive->vcpu;
    int error = start_timer(drive);

    if (!error)
        error = wait_for(drive, false);
    if (!error)
        error = take_answer(vcpu);
    if (!error)
        error = go(drive, exit);
    return error == -EINTR ? come_out(drive, exit) : error;
}

int mv_vcpu_run(struct mv_vcpu *vcpu, enum mv_until until, int64_t timeout,
                struct mv_exit *ret_exit)
{
    struct drive drive = {.vcpu = vcpu, .until = until, .deadline = UINT64_MAX};
    struct mv_embedded *embedded;
    struct mv_exit exit;
    int error;

    if (!mv_take(ret_exit, &exit, sizeof(exit)))
        return -EINVAL;
    if (timeout >= 0 && mv_add_overflows(mv_monotonic_ns(), (uint64_t)timeout, &drive.deadline))
        drive.deadline = UINT64_MAX;
    error = begin(&drive);
    if (error)
        return error;
    embedded = mv_embedded(vcpu);
    if (embedded->told == MV_TOLD_CALLER) {
        embedded->answer = exit;
        embedded->told = MV_TOLD_BACK;
    }
    error = mv_vcpu_set_mask(vcpu, &drive.mask);
    if (!error && until == MV_UNTIL_STEP)
        error = mv_vcpu_step(vcpu, true);
    if (!error)
        error = run(&drive, &exit);
    if (until == MV_UNTIL_STEP && !atomic_load(vcpu->host->ended))
        mv_vcpu_step(vcpu, false);
    if (!error && exit.kind == MV_EXIT_END)
        exit.end = vcpu->host->machine->end;
    if (!error)
        mv_give(&exit, sizeof(exit), ret_exit);
    finish(&drive);
    return error;
}
