/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: see vcpu.h.
 *
 * Stopping without a race (api.rst, 4.10 KVM_RUN, 5 immediate_exit): the kick
 * signal is blocked in the thread and unblocked by KVM for the time of KVM_RUN
 * only (KVM_SET_SIGNAL_MASK).  So it needs no handler and leaves the process's
 * dispositions alone; pending, it makes the next KVM_RUN return at once.  With
 * immediate_exit set before, it cannot be lost.
 */
#include "vcpu.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include "arch/arch.h"
#include "debug/arch_debug.h"

int mv_vcpu_kick_signal(void)
{
    return SIGRTMIN;
}

int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host)
{
    pthread_mutexattr_t recursive;
    void *run;
    int fd;

    *vcpu = (struct mv_vcpu){.index = index, .fd = -1, .host = host};
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

void mv_vcpu_done(struct mv_vcpu *vcpu)
{
    mv_recorder_done(&vcpu->recorder);
    if (vcpu->run)
        munmap(vcpu->run, vcpu->host->kvm->run_size);
    vcpu->run = NULL;
    mv_close_fd(&vcpu->fd);
    pthread_mutex_destroy(&vcpu->use);
}

bool mv_vcpu_go_in(struct mv_vcpu *vcpu)
{
    if (!mv_pause_enter(vcpu->host->pause, &vcpu->inside))
        return false;
    pthread_mutex_lock(&vcpu->use);
    return true;
}

void mv_vcpu_go_out(struct mv_vcpu *vcpu)
{
    pthread_mutex_unlock(&vcpu->use);
    mv_pause_leave(vcpu->host->pause, &vcpu->inside);
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

int mv_vcpu_single_step(struct mv_vcpu *vcpu, struct mv_error *err)
{
    int error =
        mv_vcpu_debug(vcpu, &(struct mv_debug){.size = sizeof(struct mv_debug), .step = true});

    if (error)
        return mv_fail(err, error, "KVM_SET_GUEST_DEBUG", "run without single steps",
                       "this KVM cannot single-step a guest: %s", strerror(-error));
    return 0;
}

/* For the trace, until `now`. */
static void trace(struct mv_vcpu *vcpu, const struct mv_exit_record *what, uint64_t now)
{
    const struct mv_trace_record record = {
        .address = what->address,
        .value = what->value,
        .reason = what->reason,
        .size = what->size,
        .write = what->write,
        .more = what->size > 0 && vcpu->served > 1,
    };

    mv_recorder_add(&vcpu->recorder, &record, now);
}

static void record(struct mv_vcpu *vcpu, const struct mv_exit_record *now)
{
    struct mv_exit_record *last =
        &vcpu->records[(vcpu->exits + MV_EXIT_RECORDS - 1) % MV_EXIT_RECORDS];

    if (vcpu->exits && last->reason == now->reason && last->address == now->address &&
        last->write == now->write && last->pc == now->pc && last->value == now->value) {
        last->repeats++;
        return;
    }
    vcpu->records[vcpu->exits++ % MV_EXIT_RECORDS] = *now;
}

static void end(struct mv_vcpu *vcpu, enum mv_end_reason reason, int error)
{
    vcpu->host->end(vcpu->host->context, reason, 0, (int)vcpu->index, error);
}

/* ---- accesses ---- */

static bool is_access(const struct mv_exit *exit)
{
    return exit->kind == MV_EXIT_PORT || exit->kind == MV_EXIT_MMIO;
}

/* `rep outsb` and the like come as one exit with a count. */
static uint32_t count_accesses(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO     ? run->io.count
           : run->exit_reason == KVM_EXIT_MMIO ? 1
                                               : 0;
}

/* Where KVM has, or wants, the bytes of the access that is served now. */
static uint8_t *access_data(struct mv_vcpu *vcpu, uint32_t number)
{
    struct kvm_run *run = vcpu->run;

    if (run->exit_reason == KVM_EXIT_MMIO)
        return run->mmio.data;
    return (uint8_t *)run + run->io.data_offset + (size_t)number * run->io.size;
}

static void take_access(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct kvm_run *run = vcpu->run;
    bool is_mmio = run->exit_reason == KVM_EXIT_MMIO;
    struct mv_access access = {
        .address = is_mmio ? run->mmio.phys_addr : run->io.port,
        .size = is_mmio ? run->mmio.len : run->io.size,
        .write = is_mmio ? run->mmio.is_write : run->io.direction == KVM_EXIT_IO_OUT,
    };

    if (access.write)
        memcpy(&access.value, access_data(vcpu, vcpu->served), access.size);
    else
        access.value = mv_size_mask(access.size); /* a bus on which nobody answers */
    exit->kind = is_mmio ? MV_EXIT_MMIO : MV_EXIT_PORT;
    exit->access = access;
}

/* Whether the guest waits for a value. */
static bool is_read(const struct kvm_run *run)
{
    if (run->exit_reason == KVM_EXIT_MMIO)
        return !run->mmio.is_write;
    return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN;
}

/* By what KVM says of the access, whatever has become of exit meanwhile. */
void mv_vcpu_answer(struct mv_vcpu *vcpu, const struct mv_exit *exit)
{
    const struct kvm_run *run = vcpu->run;
    size_t size = run->exit_reason == KVM_EXIT_MMIO ? run->mmio.len : run->io.size;
    uint64_t value = is_access(exit) ? exit->access.value : UINT64_MAX;

    if (is_read(run))
        memcpy(access_data(vcpu, vcpu->served - 1), &value, size);
}

bool mv_vcpu_awaits_answer(const struct mv_vcpu *vcpu)
{
    return vcpu->owed && is_read(vcpu->run);
}

/* ---- serving ---- */

static bool wants(const struct mv_hook *hook, const struct mv_exit *exit)
{
    if (hook->kind == MV_EXIT_ANY)
        return true;
    if (hook->kind != exit->kind)
        return false;
    if (!is_access(exit))
        return true;
    return exit->access.address >= hook->first && exit->access.address <= hook->last;
}

static bool ask_hooks(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_vcpu_host *host = vcpu->host;

    bool served = false;

    if (host->hook_count == 0)
        return false;
    pthread_mutex_unlock(&vcpu->use); /* a hook may look inside, or have another thread do so */
    for (size_t i = 0; i < host->hook_count && !served; i++)
        served =
            wants(&host->hooks[i], exit) && host->hooks[i].fn(host->hooks[i].context, vcpu, exit);
    pthread_mutex_lock(&vcpu->use);
    return served;
}

static bool access_devices(struct mv_vcpu *vcpu, const struct mv_bus *bus, struct mv_access *access)
{
    struct mv_device *device;

    if (!access->write)
        return mv_bus_read(bus, access->address, access->size, &access->value);
    device = mv_bus_write(bus, access->address, access->size, access->value);
    if (device && (device->inner || device->ops->backpressure))
        vcpu->written = device;
    return device;
}

static bool ask_devices(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_vcpu_host *host = vcpu->host;
    const struct mv_bus *bus = exit->kind == MV_EXIT_PORT ? host->ports : host->mmio;

    return is_access(exit) && access_devices(vcpu, bus, &exit->access);
}

/* A write to the hypercalls' address is one, if anybody wants them. */
static void take_hypercall(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct mv_hypercall call = {.number = exit->access.value};

    for (unsigned i = 0; i < MV_COUNT(call.arguments); i++)
        mv_vcpu_get(vcpu, mv_arch_call_registers[i], &call.arguments[i]);
    exit->kind = MV_EXIT_HYPERCALL;
    exit->hypercall = call;
}

static void serve(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct mv_exit_record now = {.reason = vcpu->run->exit_reason, .pc = exit->pc};

    if (is_access(exit)) {
        now.address = exit->access.address;
        now.value = exit->access.value;
        now.size = (uint8_t)exit->access.size;
        now.write = exit->access.write;
    }
    if (vcpu->host->hypercalls && mv_arch_is_hypercall(exit))
        take_hypercall(vcpu, exit);
    vcpu->serving = true;
    exit->handled = ask_hooks(vcpu, exit) || ask_devices(vcpu, exit);
    if (exit->handled && exit->kind == MV_EXIT_HYPERCALL)
        mv_vcpu_set(vcpu, mv_arch_call_registers[MV_CALL_RESULT], exit->hypercall.result);
    vcpu->serving = false;
    mv_vcpu_answer(vcpu, exit);
    if (is_access(exit))
        now.value = exit->access.value;
    if (vcpu->recorder.ring)
        trace(vcpu, &now, mv_recorder_stamp(&vcpu->recorder));
    if (exit->kind != MV_EXIT_DEBUG) /* no exit of the guest's own */
        record(vcpu, &now);
}

/* ---- exits ---- */

/* What the guest asked of firmware that KVM itself plays, such as PSCI. */
static void do_system_event(struct mv_vcpu *vcpu)
{
    switch (vcpu->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN: end(vcpu, MV_END_POWER_OFF, 0); break;
    case KVM_SYSTEM_EVENT_RESET: end(vcpu, MV_END_REBOOT, 0); break;
    case KVM_SYSTEM_EVENT_CRASH: end(vcpu, MV_END_PANIC, 0); break;
    default: end(vcpu, MV_END_INTERNAL_ERROR, 0); break;
    }
}

/* What ends the machine, and is told as that. */
static void do_last(struct mv_vcpu *vcpu)
{
    struct mv_exit_record now = {.reason = vcpu->run->exit_reason};

    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_SHUTDOWN: end(vcpu, MV_END_TRIPLE_FAULT, 0); break;
    case KVM_EXIT_SYSTEM_EVENT: do_system_event(vcpu); break;
    default: end(vcpu, MV_END_INTERNAL_ERROR, 0); break;
    }
    record(vcpu, &now);
    if (vcpu->recorder.ring)
        trace(vcpu, &now, mv_recorder_stamp(&vcpu->recorder));
}

#define LONG_STOP (1ull << 28) /* counts of mv_counter: on x86-64 about a tenth of a second */

/*
 * Whatever stops the guest without its doing (a pause, a debugger, SIGSTOP, a suspend of the host)
 * comes out of KVM_RUN as -EINTR or lies between an exit and the next entry.
 */
static void tell_of_stop(struct mv_vcpu *vcpu)
{
    if (vcpu->stopped || (vcpu->left_at && mv_counter() - vcpu->left_at > LONG_STOP))
        mv_arch_tell_of_stop(vcpu);
    vcpu->stopped = false;
}

int mv_vcpu_enter(struct mv_vcpu *vcpu)
{
    bool shut_down; /* its registers may be gone */
    int error = 0;

    /* Where KVM has emulated the last instruction, it has forgotten to stop after the next. */
    if (vcpu->debug.step)
        error = mv_arch_set_debug(vcpu, &vcpu->debug);
    /* Some KVMs tell of the step, and not of the halt. */
    vcpu->behind_halt = vcpu->host->bare && (vcpu->debug.step || vcpu->stepping) && !vcpu->pending
                            ? mv_arch_behind_halt(vcpu)
                            : 0;
    tell_of_stop(vcpu);
    mv_recorder_enter(&vcpu->recorder);
    if (!error)
        error = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    mv_recorder_leave(&vcpu->recorder);
    if (error == -EAGAIN)
        error = -EINTR;
    if (error && error != -EINTR)
        return error;
    vcpu->pending = false;
    vcpu->stopped = error != 0;
    vcpu->left_at = mv_counter();
    if (error) {
        trace(vcpu, &(struct mv_exit_record){.reason = KVM_EXIT_INTR}, vcpu->recorder.left);
        return error;
    }
    shut_down = vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN;
    vcpu->last_pc = 0;
    mv_arch_synced_regs(vcpu->run, shut_down ? NULL : &vcpu->last, &vcpu->last_pc);
    vcpu->left = true;
    vcpu->served = 0;
    vcpu->accesses = count_accesses(vcpu->run);
    vcpu->pending = vcpu->accesses > 0;
    return 0;
}

bool mv_vcpu_next(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    if (!vcpu->left)
        return false;
    *exit = (struct mv_exit){.size = sizeof(*exit), .pc = vcpu->last_pc};
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
    case KVM_EXIT_MMIO: take_access(vcpu, exit); break;
    case KVM_EXIT_HLT: exit->kind = MV_EXIT_HALT; break;
    case KVM_EXIT_DEBUG:
        exit->kind = MV_EXIT_DEBUG;
        mv_arch_debug_stop(vcpu, &exit->debug);
        if (vcpu->behind_halt && exit->debug.reason == MV_DEBUG_STEP &&
            exit->debug.address == vcpu->behind_halt)
            exit->kind = MV_EXIT_HALT;
        break;
    case KVM_EXIT_INTR: vcpu->left = false; return false;
    default:
        vcpu->left = false;
        do_last(vcpu);
        return false;
    }
    vcpu->served++;
    vcpu->left = vcpu->served < vcpu->accesses;
    serve(vcpu, exit);
    return true;
}

int mv_vcpu_complete_io(struct mv_vcpu *vcpu)
{
    struct mv_exit exit = {.size = sizeof(exit)};
    int error = 0;

    if (vcpu->serving || !vcpu->pending)
        return 0;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    /* KVM may come with the second half of an access that crosses a page. */
    while (vcpu->pending && !error) {
        error = mv_vcpu_enter(vcpu);
        while (!error && mv_vcpu_next(vcpu, &exit))
            ;
    }
    /* A kick that came meanwhile has left its signal. */
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    return error == -EINTR ? 0 : error;
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

/* ---- waiting ---- */

static void set_waiting(struct mv_vcpu *vcpu, bool waiting)
{
    pthread_mutex_lock(&vcpu->host->pause->lock);
    vcpu->waiting = waiting;
    pthread_mutex_unlock(&vcpu->host->pause->lock);
}

bool mv_vcpu_is_signalled(const struct mv_vcpu *vcpu)
{
    sigset_t pending;
    uint64_t signals;

    sigpending(&pending);
    memcpy(&signals, &pending, sizeof(signals));
    return signals & ~vcpu->mask & ~(1ull << (mv_vcpu_kick_signal() - 1));
}

/* Until a signal has come that would end KVM_RUN; it stays pending. */
static void sleep_until_kicked(const struct mv_vcpu *vcpu)
{
    enum { NO_FILE_MS = 10 }; /* where no descriptor is left: look again after that */
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

/* Out for a pause, with the last instruction complete. */
static int leave(struct mv_vcpu *vcpu)
{
    int error = mv_vcpu_complete_io(vcpu);

    if (!error)
        mv_vcpu_go_out(vcpu);
    return error;
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

    if (vcpu->inside) { /* outside somebody else may look at it */
        vcpu->stopped = true;
        mv_recorder_rest(&vcpu->recorder);
    }
    if (vcpu->inside && (holds || mv_pause_asked(pause)))
        error = leave(vcpu);
    if (error)
        return error;
    if (holds) { /* waits by itself */
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

/* Nothing wakes a vCPU that has halted on a machine without interrupts. */
static void halt(struct mv_vcpu *vcpu)
{
    if (atomic_fetch_add(vcpu->host->halted, 1) + 1 == vcpu->host->cpus)
        end(vcpu, MV_END_HALT, 0);
}

/* Until the machine ends, or this vCPU halts for ever. */
static void run(struct mv_vcpu *vcpu)
{
    const struct mv_vcpu_host *host = vcpu->host;
    bool first = vcpu->index == 0;
    struct mv_exit exit = {.size = sizeof(exit)};

    /* Pairs with the store in the machine's end function. */
    while (!atomic_load(host->ended)) {
        int error = mv_vcpu_may_enter(vcpu) ? mv_vcpu_enter(vcpu) : mv_vcpu_wait(vcpu);

        if (error == -EINTR) {
            if (atomic_load(&vcpu->sleep) == MV_SLEEP_ASKED)
                atomic_store(&vcpu->sleep, mv_arch_is_asleep(vcpu) ? MV_ASLEEP : MV_AWAKE);
            mv_vcpu_calm(vcpu);
            continue;
        }
        if (error) {
            end(vcpu, MV_END_INTERNAL_ERROR, error);
            break;
        }
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

/* The kick gets through, and what the C library keeps below SIGRTMIN for itself: setuid in one
 * thread waits for a handler in all others. */
int mv_vcpu_set_mask(struct mv_vcpu *vcpu, const sigset_t *mask)
{
    const uint64_t through = ((1ull << mv_vcpu_kick_signal()) - 1) & ~0x7fffffffull;
    _Alignas(struct kvm_signal_mask) uint8_t to[sizeof(struct kvm_signal_mask) + sizeof(through)];
    const struct kvm_signal_mask head = {.len = sizeof(through)}; /* of the kernel's sigset_t */
    uint64_t signals;

    memcpy(&signals, mask, sizeof(signals));
    signals &= ~through;
    if (vcpu->masked && vcpu->mask == signals)
        return 0;
    memcpy(to, &head, sizeof(head));
    memcpy(to + offsetof(struct kvm_signal_mask, sigset), &signals, sizeof(signals));
    vcpu->mask = signals;
    vcpu->masked = true;
    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_SIGNAL_MASK, to);
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
        pthread_getcpuclockid(vcpu->thread, &vcpu->clock); /* fails where it has ended already */
    return error;
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
        mv_vcpu_go_out(vcpu);
    pthread_mutex_lock(&vcpu->host->pause->lock);
    vcpu->present = false;
    pthread_mutex_unlock(&vcpu->host->pause->lock);
}

void mv_vcpu_wake(struct mv_vcpu *vcpu)
{
    if (vcpu->waiting)
        mv_vcpu_kick(vcpu);
}

void mv_vcpu_kick(struct mv_vcpu *vcpu)
{
    if (!vcpu->present)
        return;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST); /* read by KVM_RUN */
    pthread_kill(vcpu->runner, mv_vcpu_kick_signal());
}

void mv_vcpu_join(struct mv_vcpu *vcpu)
{
    if (!vcpu->started)
        return;
    pthread_join(vcpu->thread, NULL);
    vcpu->started = false;
}
