/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: see vcpu.h.
 *
 * Stopping without a race (api.rst, 4.10 KVM_RUN, 5 immediate_exit): the kick signal is blocked in
 * the thread, and KVM unblocks it only during KVM_RUN (KVM_SET_SIGNAL_MASK).  So it needs no
 * handler and leaves the process's dispositions alone.  While it is pending, the next KVM_RUN
 * returns at once; since immediate_exit is set first, a kick cannot be lost.
 */
#include "vcpu.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include "arch/arch.h"
#include "host.h"

#define LONG_STOP (1ull << 28) /* counts of mv_counter: on x86-64 about a tenth of a second */

int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host)
{
    pthread_mutexattr_t recursive;
    void *run;
    int fd;

    *vcpu = (struct mv_vcpu){
        .index = index, .fd = -1, .host = host, .mask = UINT64_MAX, .left_at = mv_counter()};
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&vcpu->use, &recursive);
    pthread_mutexattr_destroy(&recursive);
    fd = mv_kvm_create_vcpu(host->kvm, index);
    if (fd < 0)
        return fd;
    vcpu->fd = fd;
    run = mmap(NULL, host->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    vcpu->run = run;
    return 0;
}

int mv_vcpu_attach_parts(struct mv_vcpu *vcpu, const struct mv_config *config, struct mv_error *err)
{
    int error = 0;

    for (unsigned i = 0; i < MV_OBSERVERS && !error; i++)
        if (vcpu->host->observers[i]->init)
            error = vcpu->host->observers[i]->init(vcpu, config, err);
    return error;
}

void mv_vcpu_done(struct mv_vcpu *vcpu)
{
    for (unsigned i = 0; i < MV_OBSERVERS; i++)
        if (vcpu->host->observers[i]->done)
            vcpu->host->observers[i]->done(vcpu);
    if (vcpu->run)
        munmap(vcpu->run, vcpu->host->kvm->run_size);
    vcpu->run = NULL;
    mv_close_fd(&vcpu->fd);
    pthread_mutex_destroy(&vcpu->use);
}

static void end(struct mv_vcpu *vcpu, enum mv_end_reason reason, int error)
{
    vcpu->host->end(vcpu->host->machine, reason, 0, (int)vcpu->index, error);
}

/* ---- who may use it ---- */

bool mv_vcpu_go_in(struct mv_vcpu *vcpu)
{
    vcpu->inside = mv_pause_enter(vcpu->host->pause);
    if (vcpu->inside)
        pthread_mutex_lock(&vcpu->use);
    return vcpu->inside;
}

static void go_out(struct mv_vcpu *vcpu)
{
    vcpu->inside = false;
    pthread_mutex_unlock(&vcpu->use);
    mv_pause_leave(vcpu->host->pause);
}

struct mv_vcpu *mv_vcpu_borrow(struct mv_vcpu *vcpu)
{
    return pthread_mutex_trylock(&vcpu->use) == 0 ? vcpu : NULL;
}

void mv_vcpu_give_back(struct mv_vcpu *const *vcpu)
{
    if (*vcpu)
        pthread_mutex_unlock(&(*vcpu)->use);
}

void mv_vcpu_attach(struct mv_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->host->pause->lock);
    vcpu->runner = pthread_self();
    vcpu->present = true;
    pthread_mutex_unlock(&vcpu->host->pause->lock);
}

void mv_vcpu_detach(struct mv_vcpu *vcpu)
{
    if (vcpu->inside)
        go_out(vcpu);
    pthread_mutex_lock(&vcpu->host->pause->lock);
    vcpu->present = false;
    pthread_mutex_unlock(&vcpu->host->pause->lock);
}

/* ---- the kick ---- */

int mv_vcpu_kick_signal(void)
{
    return SIGRTMIN;
}

void mv_vcpu_kick(struct mv_vcpu *vcpu)
{
    if (!vcpu->present)
        return;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST); /* KVM_RUN reads it */
    pthread_kill(vcpu->runner, mv_vcpu_kick_signal());
}

void mv_vcpu_wake(struct mv_vcpu *vcpu)
{
    if (vcpu->waiting)
        mv_vcpu_kick(vcpu);
}

void mv_vcpu_calm(struct mv_vcpu *vcpu)
{
    const struct timespec now = {0};
    sigset_t kick;

    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    sigemptyset(&kick);
    sigaddset(&kick, mv_vcpu_kick_signal());
    while (sigtimedwait(&kick, NULL, &now) > 0)
        ;
}

/* The kick is never masked, nor are the C library's internal signals below SIGRTMIN: setuid in one
 * thread waits until their handler has run in all others. */
int mv_vcpu_set_mask(struct mv_vcpu *vcpu, const sigset_t *mask)
{
    const uint64_t through = ((1ull << mv_vcpu_kick_signal()) - 1) & ~0x7fffffffull;
    _Alignas(struct kvm_signal_mask) uint8_t to[sizeof(struct kvm_signal_mask) + sizeof(through)];
    const struct kvm_signal_mask head = {.len = sizeof(through)}; /* the kernel's sigset_t */
    uint64_t signals;

    memcpy(&signals, mask, sizeof(signals));
    signals &= ~through;
    if (vcpu->mask == signals)
        return 0;
    memcpy(to, &head, sizeof(head));
    memcpy(to + offsetof(struct kvm_signal_mask, sigset), &signals, sizeof(signals));
    vcpu->mask = signals;
    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_SIGNAL_MASK, to);
}

/* ---- into the guest ---- */

int mv_vcpu_enter(struct mv_vcpu *vcpu)
{
    const struct mv_observer *const *observers = vcpu->host->observers;
    const struct kvm_run *run = vcpu->run;
    int error = 0;

    /* A guest that is stopped from outside (a pause, a debugger, SIGSTOP, a suspend of the host)
     * either leaves KVM_RUN with -EINTR, or is stopped between an exit and the next entry. */
    if (!vcpu->left_at || mv_counter() - vcpu->left_at > LONG_STOP)
        mv_arch_tell_of_stop(vcpu);
    for (unsigned i = 0; i < MV_OBSERVERS && !error; i++)
        error = observers[i]->enter ? observers[i]->enter(vcpu) : 0;
    if (!error)
        error = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    if (error == -EAGAIN)
        error = -EINTR;
    vcpu->left_at = error ? 0 : mv_counter();
    for (unsigned i = 0; i < MV_OBSERVERS; i++)
        if (observers[i]->leave)
            observers[i]->leave(vcpu, error);
    if (error == -EINTR)
        vcpu->phase = MV_VCPU_READY;
    if (error)
        return error;
    vcpu->phase = MV_VCPU_EXITED;
    vcpu->pc = mv_arch_pc(run);
    /* String I/O such as `rep outsb` is one exit with a count. */
    vcpu->parts = run->exit_reason == KVM_EXIT_IO ? run->io.count : 1;
    vcpu->served = 0;
    return 0;
}

int mv_vcpu_complete_io(struct mv_vcpu *vcpu)
{
    struct mv_exit exit;
    int error = 0;

    if (vcpu->phase == MV_VCPU_READY || vcpu->phase == MV_VCPU_SERVING)
        return 0;
    vcpu->phase = MV_VCPU_EXITED;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    /* KVM may report the second half of an access that crosses a page. */
    while (vcpu->phase == MV_VCPU_EXITED && !error)
        if (!mv_vcpu_next(vcpu, &exit) && vcpu->phase == MV_VCPU_EXITED)
            error = mv_vcpu_enter(vcpu);
    /* This may undo the immediate_exit of a kick, but its signal is still pending. */
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    return error == -EINTR ? 0 : error;
}

/* ---- waiting ---- */

static void set_waiting(struct mv_vcpu *vcpu, bool waiting)
{
    pthread_mutex_lock(&vcpu->host->pause->lock);
    vcpu->waiting = waiting;
    pthread_mutex_unlock(&vcpu->host->pause->lock);
}

/* Sleeps until a signal arrives that would end KVM_RUN; it stays pending. */
static void sleep_until_kicked(const struct mv_vcpu *vcpu)
{
    enum { NO_FILE_MS = 10 }; /* if no file descriptor is left: check again after that */
    struct pollfd kicked = {.events = POLLIN};
    sigset_t signals;

    sigemptyset(&signals);
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (!(vcpu->mask >> (signal - 1) & 1))
            sigaddset(&signals, signal);
    kicked.fd = signalfd(-1, &signals, SFD_CLOEXEC);
    poll(&kicked, 1, kicked.fd < 0 ? NO_FILE_MS : -1);
    mv_close_fd(&kicked.fd);
}

static bool is_held_back(struct mv_vcpu *vcpu)
{
    if (vcpu->written && !mv_device_is_busy(vcpu->written))
        vcpu->written = NULL;
    return vcpu->written;
}

bool mv_vcpu_may_enter(struct mv_vcpu *vcpu)
{
    return vcpu->inside && !mv_pause_asked(vcpu->host->pause) && !is_held_back(vcpu);
}

int mv_vcpu_wait(struct mv_vcpu *vcpu)
{
    struct mv_pause *pause = vcpu->host->pause;
    struct mv_device *device = vcpu->written;
    bool holds = device && device->ops->backpressure;
    int error = 0;

    if (vcpu->inside) /* outside, another thread may be inspecting it */
        vcpu->left_at = 0;
    if (vcpu->inside && (holds || mv_pause_asked(pause))) {
        error = mv_vcpu_complete_io(vcpu);
        if (error)
            return error;
        go_out(vcpu);
    }
    if (holds) { /* blocks until the device lets go */
        mv_device_backpressure(device);
        vcpu->written = vcpu->written == device ? NULL : vcpu->written;
    }
    if (!vcpu->inside && mv_vcpu_go_in(vcpu))
        return -EINTR;
    set_waiting(vcpu, true);
    if (!atomic_load(vcpu->host->ended) && (mv_pause_asked(pause) || is_held_back(vcpu)))
        sleep_until_kicked(vcpu);
    set_waiting(vcpu, false);
    return -EINTR;
}

/* ---- the vCPU's own thread ---- */

/* Nothing wakes a vCPU that has halted on a machine without interrupts. */
static void halt(struct mv_vcpu *vcpu)
{
    if (atomic_fetch_add(vcpu->host->halted, 1) + 1 == vcpu->host->cpus)
        end(vcpu, MV_END_HALT, 0);
}

/* Runs the guest until the machine ends, or this vCPU halts for ever. */
static void run(struct mv_vcpu *vcpu)
{
    const struct mv_vcpu_host *host = vcpu->host;
    bool first = vcpu->index == 0;
    struct mv_exit exit;

    /* Pairs with the store in mv_machine_end. */
    while (!atomic_load(host->ended)) {
        int error = mv_vcpu_may_enter(vcpu) ? mv_vcpu_enter(vcpu) : mv_vcpu_wait(vcpu);

        if (error == -EINTR) {
            if (atomic_load(&vcpu->sleep) == MV_SLEEP_ASKED)
                atomic_store(&vcpu->sleep, mv_arch_is_asleep(vcpu) ? MV_ASLEEP : MV_AWAKE);
            mv_vcpu_calm(vcpu);
            continue;
        }
        if (error)
            return end(vcpu, MV_END_INTERNAL_ERROR, error);
        if (first)
            mv_timeline_add(host->kvm->timeline, "first exit", 0);
        first = false;
        while (mv_vcpu_next(vcpu, &exit))
            if (exit.kind == MV_EXIT_HALT && !exit.handled)
                return halt(vcpu);
    }
}

static void *run_vcpu(void *context)
{
    struct mv_vcpu *vcpu = context;

    if (vcpu->index == 0)
        mv_timeline_add(vcpu->host->kvm->timeline, "first KVM_RUN", 0);
    mv_vcpu_attach(vcpu);
    run(vcpu);
    mv_vcpu_detach(vcpu);
    return NULL;
}

int mv_vcpu_start(struct mv_vcpu *vcpu)
{
    sigset_t all;
    int error;

    sigfillset(&all);
    error = mv_vcpu_set_mask(vcpu, &all);
    if (!error)
        error = mv_start_thread(&vcpu->thread, run_vcpu, vcpu);
    vcpu->started = error == 0;
    if (!error)
        pthread_getcpuclockid(vcpu->thread, &vcpu->clock); /* fails if it has ended already */
    return error;
}

void mv_vcpu_join(struct mv_vcpu *vcpu)
{
    if (!vcpu->started)
        return;
    pthread_join(vcpu->thread, NULL);
    vcpu->started = false;
}
