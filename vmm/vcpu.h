/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: its thread, the loop around KVM_RUN, and what each exit leads
 * to.
 */
#ifndef MV_VCPU_H
#define MV_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bus.h"
#include "host.h"
#include "kvm.h"

/* One of the last exits, for a report. */
struct mv_exit_record {
    uint32_t reason; /* KVM_EXIT_* */
    uint8_t size;    /* bytes of an access; 0: none */
    bool write;
    uint64_t address, value;
    uint64_t pc;      /* 0: not known */
    uint64_t repeats; /* the same exit again, after the first */
};

#define MV_EXIT_RECORDS 8

/* What all vCPUs of a machine share; outlives them. */
struct mv_vcpu_host {
    const struct mv_kvm *kvm;
    const struct mv_bus *ports, *mmio;
    /* error: a negative errno value when the host failed, else 0. */
    void (*end)(void *context, enum mv_end_reason reason, int code, int vcpu, int error);
    void *context;
    bool single_step;
    atomic_bool *ended; /* set by end; a vCPU does not enter the guest again after it */
};

struct mv_vcpu {
    unsigned index;
    int fd;
    struct kvm_run
        *run; /* shared with KVM; used by the vCPU's thread alone, but for immediate_exit */
    const struct mv_vcpu_host *host;
    pthread_t thread;
    bool started;
    struct mv_exit_record records[MV_EXIT_RECORDS]; /* a ring */
    unsigned long exits;                            /* how many there were, repeats counted once */
    /* Registers at the last exit that was no triple fault: an AMD host clears
     * them then. */
    struct mv_synced last;
};

/* Creates the vCPU in KVM.  Half-built after an error: destroy it. */
int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host);
void mv_vcpu_done(struct mv_vcpu *vcpu);

/* An exit after each instruction.  Explains its failure. */
int mv_vcpu_single_step(struct mv_vcpu *vcpu, struct mv_error *err);

/* Starts and ends the thread.  The kick makes KVM_RUN return, now or when it is
 * next called; host->ended is to be set before.  Join returns when the thread
 * is gone. */
int mv_vcpu_start(struct mv_vcpu *vcpu);
void mv_vcpu_kick(struct mv_vcpu *vcpu);
void mv_vcpu_join(struct mv_vcpu *vcpu);

/* The name of an exit reason, as in linux/kvm.h without KVM_EXIT_. */
const char *mv_exit_name(uint32_t reason);

#endif
