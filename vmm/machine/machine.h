/* SPDX-License-Identifier: MIT */
/*
 * The machine, which owns everything: built from a configuration up to the first instruction,
 * frozen, run, and torn down in reverse.
 */
#ifndef MV_MACHINE_H
#define MV_MACHINE_H

#include <stdatomic.h>

#include "arch/arch.h"
#include "board.h"
#include "core/pause.h"
#include "core/vcpu.h"

/* In whose threads the vCPUs run. */
enum mv_run_mode {
    MV_RUN_NOT, /* has not run yet */
    MV_RUN_THREADS,
    MV_RUN_DRIVEN, /* in the callers of mv_vcpu_run */
    MV_RUN_NEVER,  /* tables only */
};

struct mv_machine {
    struct mv_log log;
    struct mv_timeline timeline;
    struct mv_mem mem;
    struct mv_kvm kvm;
    struct mv_arch *arch;
    struct mv_loop loop;
    struct mv_devices devices;
    struct mv_vcpu_host vcpu_host;
    struct mv_vcpu *vcpus;
    unsigned cpus;    /* as configured */
    unsigned created; /* vCPUs created so far */
    bool bare;
    _Atomic enum mv_run_mode mode;
    struct mv_pause pause;
    atomic_uint halted;

    /* How it ended.  The thread that wins the exchange of `claimed` writes `end` and `error`,
     * stores `ended`, then writes the eventfd `end_source.fd`.  Every caller then writes the
     * eventfd `wake`. */
    atomic_bool claimed, ended;
    struct mv_end end;
    int error;         /* failure of the host: a negative errno value, or 0 */
    atomic_uint stops; /* number of calls of mv_machine_stop */
    int wake;
    atomic_int console_error; /* failure of the host, as `error` */

    /* Detects that all vCPUs sleep for ever; only the loop's thread uses it (sleep.c). */
    struct mv_loop_source sleep_timer;
    uint64_t cpu_time; /* of all vCPUs' threads at the last check, nanoseconds */
    uint64_t asked_at; /* cpu_time when they were last asked */
    bool asked;        /* they were asked; the next check reads the answers */

    struct mv_loop_source end_source; /* eventfd, readable once the machine has ended */
};

/* Ends the machine; only the first call counts.  error: failure of the host, a negative errno
 * value, or 0.  Any thread, and signal handlers. */
void mv_machine_end(struct mv_machine *machine, enum mv_end_reason reason, int code, int vcpu,
                    int error);

/* Makes each waiting vCPU check whether it still has to wait.  context: the machine.  Any thread,
 * also with a device's lock held. */
void mv_machine_wake(void *context);

/* Makes every vCPU check `holds` and `ended`, wherever it is. */
void mv_machine_kick(struct mv_machine *machine);

/* From now on, warns once if all vCPUs halt and no interrupt can wake them.  0 or -errno. */
int mv_machine_watch_sleep(struct mv_machine *machine);

/* From now on vCPUs run in their callers' threads.  0, -EALREADY, or the error of starting the
 * loop. */
int mv_machine_drive(struct mv_machine *machine);

/* Stops whatever still runs, before the machine is destroyed. */
void mv_machine_quit(struct mv_machine *machine);

#endif
