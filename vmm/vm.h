/* SPDX-License-Identifier: MIT */
/*
 * The machine: owns everything.  Built from config to first instruction, frozen,
 * run, and torn down in reverse.
 */
#ifndef MV_VM_H
#define MV_VM_H

#include <stdatomic.h>

#include "arch/arch.h"
#include "board.h"
#include "vcpu.h"

struct mv_machine {
    struct mv_log log;
    struct mv_timeline timeline;
    struct mv_mem mem;
    struct mv_kvm kvm;
    struct mv_arch *arch;
    struct mv_loop loop;
    struct mv_bus mmio, ports;
    struct mv_board board;
    struct mv_vcpu_host vcpu_host;
    struct mv_vcpu *vcpus;
    unsigned cpus;    /* as configured */
    unsigned created; /* vCPUs that exist */
    bool has_run;

    /* How it ended.  Whoever wins the exchange of `claimed` writes `end` and
     * `error`, then stores `ended`, then writes the eventfd `wake`. */
    atomic_bool claimed, ended;
    struct mv_end end;
    int error;         /* the host's failure, a negative errno value, or 0 */
    atomic_uint stops; /* how often mv_machine_stop was called */
    int wake;

    struct mv_loop_source rescan; /* its fd is an eventfd: mv_machine_rescan */
};

#endif
