/* SPDX-License-Identifier: MIT */
/*
 * A vCPU in its caller's thread: see minivmm/vcpu.h.
 *
 * Whoever wants it back kicks it by a signal (core/vcpu.c), which is blocked in the thread but
 * for KVM_RUN; so is the timer's, which is the same.  What comes too late is taken back
 * before the caller has its own mask again.
 *
 * The caller's own signals are blocked, too, but for KVM_RUN and for waits: one that comes while
 * an exit is served ends the next KVM_RUN, and is not missed.
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
    uint64_t deadline; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    bool has_timer;
    timer_t timer;
    sigset_t mask; /* the caller's */
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

/* 0, or -errno with nothing to finish. */
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
    embedded->hypercalls = true; /* the caller sees to them */
    mv_outer_signals(&outer);
    pthread_sigmask(SIG_BLOCK, &outer, &drive->mask);
    mv_vcpu_attach(vcpu);
    return 0;
}

/* The handlers of the signals that have come run at its end. */
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

/* What the caller answered to the last exit; once, and inside (pause.h). */
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
    default: return exit->kind == MV_EXIT_HALT && !exit->handled; /* else it ran over the `hlt` */
    }
}

static bool is_late(const struct drive *drive)
{
    return drive->deadline != UINT64_MAX && mv_monotonic_ns() >= drive->deadline;
}

/* Why the guest is left, or not entered, without an exit.  0 or an error. */
static int come_out(const struct drive *drive, struct mv_exit *exit)
{
    struct mv_vcpu *vcpu = drive->vcpu;

    vcpu->left_at = 0;
    *exit = (struct mv_exit){.size = sizeof(*exit), .kind = MV_EXIT_INTERRUPTED};
    if (atomic_load(vcpu->host->ended))
        exit->kind = MV_EXIT_END;
    else if (is_late(drive))
        exit->kind = MV_EXIT_TIMEOUT;
    /* whoever holds it finds the last instruction complete */
    return vcpu->inside && mv_pause_asked(vcpu->host->pause) ? mv_vcpu_complete_io(vcpu) : 0;
}

/* Whether a signal is pending that ends KVM_RUN, the kick aside. */
static bool is_signalled(const struct mv_vcpu *vcpu)
{
    sigset_t pending;
    uint64_t signals;

    sigpending(&pending);
    memcpy(&signals, &pending, sizeof(signals));
    return signals & ~vcpu->mask & ~(1ull << (mv_vcpu_kick_signal() - 1));
}

/* Until the vCPU is inside (pause.h), or even may enter the guest.  0, -EINTR, or an error. */
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
        mv_vcpu_calm(vcpu); /* the timer's kick, too */
        if (error == -EINTR && !is_late(drive) && !is_signalled(vcpu))
            error = 0;
    }
    return error;
}

/* Inside (pause.h), until there is something to tell.  0, -EINTR, or an error. */
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
