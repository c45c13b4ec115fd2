/* SPDX-License-Identifier: MIT */
/* A machine from its first instruction to its end: threads, pauses, and how it stops. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "machine.h"

#define STOPPED_FLUSH_MS 100 /* how long a stopped machine waits for its output to progress */

void mv_machine_end(struct mv_machine *machine, enum mv_end_reason reason, int code, int vcpu,
                    int error)
{
    if (!atomic_exchange(&machine->claimed, true)) {
        machine->end = (struct mv_end){.reason = reason, .code = code, .vcpu = vcpu};
        machine->error = error;
        atomic_store(&machine->ended, true); /* pairs with the loads in run and wait_for_end */
        eventfd_write(machine->end_source.fd, 1);
    }
    eventfd_write(machine->wake, 1);
}

/* Waits for `wake`, for at most timeout milliseconds (-1: no limit).  False: timed out. */
static bool wait_for_wake(const struct mv_machine *machine, int timeout)
{
    struct pollfd wake = {.fd = machine->wake, .events = POLLIN};
    eventfd_t count;

    if (poll(&wake, 1, timeout) == 0)
        return false;
    eventfd_read(machine->wake, &count); /* on EINTR and EAGAIN the caller checks again */
    return true;
}

void mv_machine_kick(struct mv_machine *machine)
{
    pthread_mutex_lock(&machine->pause.lock);
    for (unsigned i = 0; i < machine->created; i++)
        mv_vcpu_kick(&machine->vcpus[i]);
    pthread_mutex_unlock(&machine->pause.lock);
}

void mv_machine_wake(void *context)
{
    struct mv_machine *machine = context;

    pthread_mutex_lock(&machine->pause.lock);
    for (unsigned i = 0; i < machine->created; i++)
        mv_vcpu_wake(&machine->vcpus[i]);
    pthread_mutex_unlock(&machine->pause.lock);
}

/* ---- running ---- */

/* Stops all vCPUs when the machine ends: there may be no thread that waits for that. */
static void on_end(void *context, uint32_t events)
{
    struct mv_machine *machine = context;

    (void)events;
    mv_loop_change(&machine->loop, &machine->end_source, 0);
    mv_devices_quiesce(&machine->devices);
    mv_machine_kick(machine);
}

static int watch_end(struct mv_machine *machine)
{
    machine->end_source.fn = on_end;
    machine->end_source.context = machine;
    return mv_loop_watch(&machine->loop, &machine->end_source, EPOLLIN);
}

static int cannot_start(int error, struct mv_error *err)
{
    return mv_fail(err, error, "pthread_create", "raise the limit of processes (ulimit -u)",
                   "cannot start a thread: %s", strerror(-error));
}

static int claim(struct mv_machine *machine, enum mv_run_mode mode, struct mv_error *err)
{
    enum mv_run_mode expected = MV_RUN_NOT;

    if (!atomic_compare_exchange_strong(&machine->mode, &expected, mode))
        return mv_fail(err, -EALREADY, NULL, "create another one", "a machine runs only once");
    return 0;
}

static int start_threads(struct mv_machine *machine, struct mv_error *err)
{
    int error = mv_loop_start(&machine->loop);

    for (unsigned i = 0; !error && i < machine->cpus; i++)
        error = mv_vcpu_start(&machine->vcpus[i]);
    if (!error)
        error = mv_machine_watch_sleep(machine);
    return error ? cannot_start(error, err) : 0;
}

static int start_loop(struct mv_machine *machine)
{
    int error = watch_end(machine);

    return error ? error : mv_loop_start(&machine->loop);
}

/* Several vCPUs may make their first call at once, hence the lock. */
int mv_machine_drive(struct mv_machine *machine)
{
    int error = 0;

    if (atomic_load(&machine->mode) == MV_RUN_DRIVEN)
        return 0;
    pthread_mutex_lock(&machine->pause.lock);
    if (atomic_load(&machine->mode) != MV_RUN_DRIVEN) {
        error = atomic_load(&machine->mode) == MV_RUN_NOT ? start_loop(machine) : -EALREADY;
        if (!error)
            atomic_store(&machine->mode, MV_RUN_DRIVEN);
    }
    pthread_mutex_unlock(&machine->pause.lock);
    return error;
}

/* Delivers the guest's last output, until mv_machine_stop is called (again). */
static void flush_devices(struct mv_machine *machine)
{
    bool stopped = machine->end.reason == MV_END_STOPPED;
    unsigned stops = atomic_load(&machine->stops);

    while (!mv_devices_flush(&machine->devices)) {
        if (!wait_for_wake(machine, stopped ? STOPPED_FLUSH_MS : -1))
            break;
        if (atomic_load(&machine->stops) != stops)
            break;
    }
}

static int explain_host_failure(const struct mv_machine *machine, struct mv_error *err)
{
    const struct mv_observer *debug = machine->vcpu_host.observers[MV_OBSERVER_DEBUG];
    int error = machine->error;
    MV_CLEANUP_FREE char *broken = NULL;

    if (error == -EFAULT)
        return mv_fail(err, error, "KVM_RUN",
                       "is the host out of memory, or was a file that is mapped as guest memory "
                       "truncated?",
                       "guest memory went away under vCPU %d", machine->end.vcpu);
    if (error == -EINVAL && debug->explain)
        broken = debug->explain(&machine->vcpus[machine->end.vcpu]);
    if (broken)
        broken[strcspn(broken, "\n")] = '\0'; /* a hint is one line */
    return mv_fail(err, error, "KVM_RUN",
                   broken && *broken ? broken : "the kernel log of the host may say more (dmesg)",
                   "KVM failed to run vCPU %d: %s", machine->end.vcpu, strerror(-error));
}

/* Ends all threads; `ended` is set. */
static void take_down(struct mv_machine *machine, bool flush)
{
    mv_devices_quiesce(&machine->devices);
    mv_machine_kick(machine);
    for (unsigned i = 0; i < machine->created; i++)
        mv_vcpu_join(&machine->vcpus[i]);
    if (flush)
        flush_devices(machine);
    mv_loop_stop(&machine->loop);
    mv_devices_stop(&machine->devices);
}

static int wait_for_end(struct mv_machine *machine, struct mv_end *ret_end, struct mv_error *err)
{
    while (!atomic_load(&machine->ended)) /* pairs with the store in mv_machine_end */
        wait_for_wake(machine, -1);
    mv_timeline_add(&machine->timeline, "end", 0);
    take_down(machine, true);
    mv_timeline_add(&machine->timeline, "threads gone", 0);
    if (machine->error)
        return explain_host_failure(machine, err);
    *ret_end = machine->end;
    return 0;
}

/* Ends the threads that were started; there may be no loop to deliver output. */
static int give_up(struct mv_machine *machine, int error)
{
    mv_machine_end(machine, MV_END_STOPPED, 0, -1, 0);
    take_down(machine, false);
    return error;
}

int mv_machine_run(struct mv_machine *machine, struct mv_end *ret_end, struct mv_error *err)
{
    int error = claim(machine, MV_RUN_THREADS, err);

    if (error)
        return error;
    error = start_threads(machine, err);
    return error ? give_up(machine, error) : wait_for_end(machine, ret_end, err);
}

int mv_machine_start(struct mv_machine *machine, struct mv_error *err)
{
    int error = claim(machine, MV_RUN_THREADS, err);

    if (error)
        return error;
    error = watch_end(machine);
    error = error ? cannot_start(error, err) : start_threads(machine, err);
    return error ? give_up(machine, error) : 0;
}

int mv_machine_wait(struct mv_machine *machine, struct mv_end *ret_end, struct mv_error *err)
{
    if (atomic_load(&machine->mode) != MV_RUN_THREADS) /* it would wait for ever */
        return mv_fail(err, -EINVAL, NULL, "start it first", "the machine was not started");
    return wait_for_end(machine, ret_end, err);
}

int mv_machine_console_error(struct mv_machine *machine)
{
    return atomic_load(&machine->console_error);
}

int mv_machine_end_fd(const struct mv_machine *machine)
{
    return machine->end_source.fd;
}

/* ---- from other threads ---- */

void mv_machine_stop(struct mv_machine *machine, int code)
{
    atomic_fetch_add(&machine->stops, 1); /* pairs with the loads in flush_devices */
    mv_machine_end(machine, MV_END_STOPPED, code, -1, 0);
}

void mv_machine_rescan(struct mv_machine *machine)
{
    mv_devices_ask_rescan(&machine->devices);
}

void mv_machine_hold(struct mv_machine *machine)
{
    atomic_fetch_add(&machine->pause.holds, 1); /* pairs with mv_pause_asked */
    mv_machine_kick(machine);
}

void mv_machine_pause(struct mv_machine *machine)
{
    mv_machine_hold(machine);
    mv_pause_wait(&machine->pause);
}

void mv_machine_resume(struct mv_machine *machine)
{
    pthread_mutex_lock(&machine->pause.lock);
    if (atomic_load(&machine->pause.holds) > 0)
        atomic_fetch_sub(&machine->pause.holds, 1);
    pthread_mutex_unlock(&machine->pause.lock);
    mv_machine_wake(machine);
}

void mv_machine_quit(struct mv_machine *machine)
{
    if (!machine->loop.started)
        return;
    mv_machine_end(machine, MV_END_STOPPED, 0, -1, 0);
    take_down(machine, false);
}
