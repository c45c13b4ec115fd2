/* SPDX-License-Identifier: MIT */
/*
 * The machine: owns everything.  Built from config to first instruction, frozen,
 * run, and torn down in reverse.
 */
#ifndef MV_MACHINE_H
#define MV_MACHINE_H

#include <stdatomic.h>

#include "arch/arch.h"
#include "board.h"
#include "core/pause.h"
#include "core/vcpu.h"

/* Whose threads the vCPUs run in. */
enum mv_run_mode {
    MV_RUN_NOT, /* it has not run */
    MV_RUN_THREADS,
    MV_RUN_DRIVEN, /* their callers' */
    MV_RUN_NEVER,  /* it has only tables */
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
    unsigned created; /* vCPUs that exist */
    bool bare;
    _Atomic enum mv_run_mode mode;
    struct mv_pause pause;
    atomic_uint halted;

    /* How it ended.  Whoever wins the exchange of `claimed` writes `end` and
     * `error`, then stores `ended`, then writes the eventfd `wake`. */
    atomic_bool claimed, ended;
    struct mv_end end;
    int error;         /* the host's failure, a negative errno value, or 0 */
    atomic_uint stops; /* how often mv_machine_stop was called */
    int wake;
    atomic_int console_error; /* the host's: a negative errno value, or 0 */

    /* Whether all vCPUs sleep for ever: the loop's thread's own (sleep.c). */
    struct mv_loop_source sleep_timer;
    uint64_t cpu_time; /* of all vCPUs' threads, nanoseconds, at the last look */
    uint64_t asked_at; /* the same when they were last asked */
    bool asked;        /* and the next look is at their answers */

    struct mv_loop_source end_source; /* its eventfd is readable once it has ended */
};

/* Ends the machine; the first one counts.  error: of the host, a negative errno value, or 0.  Any
 * thread, and signal handlers. */
void mv_machine_end(struct mv_machine *machine, enum mv_end_reason reason, int code, int vcpu,
                    int error);

/* Has each vCPU that waits look whether it still has to.  context is the machine.  Any thread, also
 * under a device's lock. */
void mv_machine_wake(void *context);

/* Has every vCPU look at `holds` and `ended`, wherever it is. */
void mv_machine_kick(struct mv_machine *machine);

/* Warns, once, when all vCPUs have halted and no interrupt can wake them.  0 or -errno. */
int mv_machine_watch_sleep(struct mv_machine *machine);

/* From now on it runs in its callers' threads: 0, -EALREADY, or why the loop did not start. */
int mv_machine_drive(struct mv_machine *machine);

/* Stops what still runs, before it is destroyed. */
void mv_machine_quit(struct mv_machine *machine);

#endif
