/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: the loop around KVM_RUN, in a thread of its own or in the caller's
 * (minivmm/vcpu.h), and what each exit leads to.
 */
#ifndef MV_VCPU_H
#define MV_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "bus.h"
#include "debug/recorder.h"
#include "host.h"
#include "kvm.h"
#include "memory.h"
#include "minivmm/vcpu.h"
#include "pause.h"

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
    const struct mv_mem *mem;
    const struct mv_bus *ports, *mmio;
    struct mv_pause *pause;
    const struct mv_hook *hooks;
    size_t hook_count;
    bool hypercalls;     /* somebody wants them */
    unsigned cpus;       /* how many vCPUs there are */
    atomic_uint *halted; /* how many of them wait for ever */
    /* error: a negative errno value when the host failed, else 0. */
    void (*end)(void *context, enum mv_end_reason reason, int code, int vcpu, int error);
    void *context;
    /* Makes the machine one of callers' threads, once: -EALREADY if it runs by its own. */
    int (*drive)(void *context);
    bool single_step;
    bool bare;                /* without interrupts: a halt is an exit */
    const struct mv_end *how; /* valid once it has ended */
    atomic_bool *ended;       /* set by end; a vCPU does not enter the guest again after it */
};

enum mv_sleep { MV_AWAKE, MV_SLEEP_ASKED, MV_ASLEEP /* no interrupt can wake it */ };

struct mv_vcpu {
    unsigned index;
    int fd;
    struct kvm_run
        *run; /* shared with KVM; used by the vCPU's thread alone, but for immediate_exit */
    const struct mv_vcpu_host *host;
    pthread_t thread; /* its own, where it is started */
    clockid_t clock;  /* of its own thread's time on a processor */
    atomic_int sleep; /* of enum mv_sleep: its thread's answer to the loop's question */
    bool started;
    /* Under pause->lock, to `written`: */
    bool present;              /* while the runner is at work on it, and can be kicked */
    bool waiting;              /* for what mv_vcpu_wake is called for */
    pthread_t runner;          /* its own thread or its caller's */
    struct mv_device *written; /* it may not have taken yet what the guest wrote: the vCPU waits */
    pthread_mutex_t use;       /* who runs it, or looks inside; recursive, since hooks may look */
    uint64_t mask;      /* signals that do not end KVM_RUN, nor mv_vcpu_wait: bit n - 1 is n */
    uint64_t last_pc;   /* of the last exit, or 0 */
    uint64_t left_at;   /* mv_counter() at the last exit */
    uint32_t accesses;  /* how many accesses the last exit is */
    uint32_t served;    /* and how many of them are told */
    bool inside;        /* may enter KVM: under pause->lock; read by the runner without it */
    atomic_bool driven; /* a caller runs it, or waits to */
    bool masked;        /* KVM has its signal mask */
    bool stopped;       /* it came out without an exit, or waited: its guest may miss time */
    bool left;          /* the last exit has more to tell */
    bool pending;       /* the last exit's instruction is not completed: KVM does that when it is
                         * entered again */
    bool serving;       /* a hook or a device has the exit now */
    bool told;          /* mv_vcpu_run's caller has it, and may answer */
    bool owed;          /* `answer` has yet to be given to the guest */
    struct mv_exit answer;
    struct mv_debug debug;
    bool stepping;        /* for one instruction, beside debug.step */
    uint64_t behind_halt; /* where a step ends that executes a halt, or 0 */
    struct mv_exit_record records[MV_EXIT_RECORDS]; /* a ring */
    unsigned long exits;                            /* how many there were, repeats counted once */
    struct mv_recorder recorder;                    /* all of them, if somebody asked for a trace */
    /* Registers at the last exit that was no triple fault: an AMD host clears
     * them then. */
    struct mv_synced last;
    struct mv_synced refused; /* what KVM did not take when it was last set */
};

/* Creates the vCPU in KVM.  Half-built after an error: destroy it. */
int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host);
void mv_vcpu_done(struct mv_vcpu *vcpu);

/*
 * In, past a pause, and out again.  Inside, nobody else can look at the vCPU; who is looking when
 * it goes in is waited for.  False: it is held.
 */
bool mv_vcpu_go_in(struct mv_vcpu *vcpu);
void mv_vcpu_go_out(struct mv_vcpu *vcpu);

/* For who looks inside: the vCPU itself, to be given back, or NULL if another thread has it. */
struct mv_vcpu *mv_vcpu_borrow(struct mv_vcpu *vcpu);
void mv_vcpu_give_back(struct mv_vcpu *const *vcpu);

#define MV_BORROWED __attribute__((cleanup(mv_vcpu_give_back))) struct mv_vcpu *const

/* An exit after each instruction.  Explains its failure. */
int mv_vcpu_single_step(struct mv_vcpu *vcpu, struct mv_error *err);

/* Starts the thread.  Join returns when it is gone: host->ended is to be set before, and
 * the vCPU kicked. */
int mv_vcpu_start(struct mv_vcpu *vcpu);
void mv_vcpu_join(struct mv_vcpu *vcpu);

/* Makes KVM_RUN return, now or when it is next called, and ends mv_vcpu_wait.  Under
 * pause->lock. */
void mv_vcpu_kick(struct mv_vcpu *vcpu);

/* The same for one that waits only: there may be no reason for it any more. */
void mv_vcpu_wake(struct mv_vcpu *vcpu);

/* Has KVM complete what the last exit's instruction does, so that the registers are those
 * of its end.  0 or -errno. */
int mv_vcpu_complete_io(struct mv_vcpu *vcpu);

/* Whether the last exit is a read whose value the caller of mv_vcpu_run may still choose. */
bool mv_vcpu_awaits_answer(const struct mv_vcpu *vcpu);

/* ---- for mv_vcpu_run (drive.c) ---- */

/* Which signals do not end KVM_RUN; others do, pending or new, and stay pending.  The kick is
 * always one that does.  0 or -errno. */
int mv_vcpu_set_mask(struct mv_vcpu *vcpu, const sigset_t *mask);
int mv_vcpu_kick_signal(void);

/* Whether one that does is pending, the kick aside. */
bool mv_vcpu_is_signalled(const struct mv_vcpu *vcpu);

/*
 * Takes back the kicks that have come, in the vCPU's thread, the signal blocked.  What they were
 * sent for (holds, the end) was set before and is looked at after this: a kick without a reason
 * left, such as a hold that was taken back, ends here.
 */
void mv_vcpu_calm(struct mv_vcpu *vcpu);

/* The calling thread is at work on the vCPU, which it kicks from now on; or not any more. */
void mv_vcpu_attach(struct mv_vcpu *vcpu);
void mv_vcpu_detach(struct mv_vcpu *vcpu);

/* Whether the guest may go on: the vCPU is inside, nobody asks for a pause, and what it
 * wrote is taken. */
bool mv_vcpu_may_enter(struct mv_vcpu *vcpu);

/*
 * Does a step towards that, by going out, waiting, or going in: until something has changed, or
 * a kick has come.  While it is held the vCPU is outside, its last instruction complete; while it
 * waits for a device it is inside, but goes out when it is to be held.  -EINTR, or an error.
 */
int mv_vcpu_wait(struct mv_vcpu *vcpu);

/* Once into the guest.  0: an exit that next will tell; -EINTR; or KVM's error. */
int mv_vcpu_enter(struct mv_vcpu *vcpu);

/* Takes the next thing to tell out of the last exit, and serves it by hooks and devices.
 * False: there is no more, and KVM is to be entered again. */
bool mv_vcpu_next(struct mv_vcpu *vcpu, struct mv_exit *exit);

/* Puts the answer to a read into what KVM will complete. */
void mv_vcpu_answer(struct mv_vcpu *vcpu, const struct mv_exit *exit);

#endif
