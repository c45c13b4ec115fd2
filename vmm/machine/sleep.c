/* SPDX-License-Identifier: MIT */
/* Detects a guest that sleeps for ever. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define SLEEP_LOOK_SECONDS 2

/*
 * A guest that halts all of its CPUs with interrupts off waits for ever, and the user should be
 * told; KVM does not report it.  So every two seconds the loop's thread checks whether any vCPU's
 * thread has used CPU time since the last check.  If none has, it kicks all vCPUs once, and each
 * notes whether an interrupt can wake it.  An NMI or a debugger still could, so the machine is not
 * ended.
 */
static void look_who_sleeps(void *context, uint32_t events)
{
    struct mv_machine *machine = context;
    uint64_t cpu_time = 0, ticks;
    bool asleep = true;

    (void)events;
    if (read(machine->sleep_timer.fd, &ticks, sizeof(ticks)) < 0 || mv_pause_asked(&machine->pause))
        return;
    for (unsigned i = 0; i < machine->created; i++) {
        struct timespec used = {0}; /* stays 0 if the thread has ended */

        clock_gettime(machine->vcpus[i].clock, &used);
        cpu_time += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
        asleep = asleep && atomic_load(&machine->vcpus[i].sleep) == MV_ASLEEP;
    }
    if (machine->asked) {
        machine->asked = false;
        machine->asked_at = cpu_time;
        if (asleep) {
            mv_loop_change(&machine->loop, &machine->sleep_timer, 0);
            mv_log(&machine->log, MV_LOG_WARNING,
                   "the guest has halted, and no interrupt can wake it");
        }
    } else if (cpu_time == machine->cpu_time && cpu_time != machine->asked_at) {
        machine->asked = true;
        for (unsigned i = 0; i < machine->created; i++)
            atomic_store(&machine->vcpus[i].sleep, MV_SLEEP_ASKED);
        mv_machine_kick(machine);
    }
    machine->cpu_time = cpu_time;
}

int mv_machine_watch_sleep(struct mv_machine *machine)
{
    const struct itimerspec period = {{SLEEP_LOOK_SECONDS, 0}, {SLEEP_LOOK_SECONDS, 0}};

    if (machine->bare) /* there, HLT is an exit */
        return 0;
    machine->sleep_timer =
        (struct mv_loop_source){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                                .fn = look_who_sleeps,
                                .context = machine};
    if (machine->sleep_timer.fd < 0 ||
        timerfd_settime(machine->sleep_timer.fd, 0, &period, NULL) < 0)
        return -errno;
    return mv_loop_watch(&machine->loop, &machine->sleep_timer, EPOLLIN);
}
