/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: the loop around KVM_RUN, in a thread of its own or in somebody else's, and what
 * each exit leads to.
 */
#ifndef MV_VCPU_H
#define MV_VCPU_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "bus.h"
#include "kvm.h"
#include "memory.h"
#include "minivmm/vcpu.h"
#include "pause.h"

struct mv_machine;
struct mv_vcpu;

/*
 * What a part attaches to every vCPU of a machine.  All but init and done is called by whoever
 * runs the vCPU; each may be NULL.  What a part keeps for a vCPU is in vcpu->kept.
 */
struct mv_observer {
    /* Whether it can do what the configuration asks of it: 0 or, by a stub, -ENOSYS, explained. */
    int (*check)(const struct mv_config *config, struct mv_error *err);
    /* The vCPU has the state in which the guest starts it.  Explains its failure. */
    int (*init)(struct mv_vcpu *vcpu, const struct mv_config *config, struct mv_error *err);
    void (*done)(struct mv_vcpu *vcpu); /* also of a vCPU whose init has failed, or never came */
    /* Just before KVM_RUN: an error takes its place.  And just after, with its error or 0. */
    int (*enter)(struct mv_vcpu *vcpu);
    void (*leave)(struct mv_vcpu *vcpu, int error);
    /* An exit, before a device has it.  True: this part has served it.  An exit that the vCPU does
     * not know is MV_EXIT_NONE, until a part gives it a kind. */
    bool (*before)(struct mv_vcpu *vcpu, struct mv_exit *exit);
    void (*after)(struct mv_vcpu *vcpu, const struct mv_exit *exit);
    /* And once more where mv_vcpu_answer comes later. */
    void (*answered)(struct mv_vcpu *vcpu, const struct mv_exit *exit);
    /* Why KVM refuses to run it, in words: a line for each reason, to be freed; or NULL. */
    char *(*explain)(struct mv_vcpu *vcpu);
};

/* The parts that attach here, in the order in which they are asked: each defines its observer, as
 * do its stubs, which keep nothing. */
enum { MV_OBSERVER_DEBUG, MV_OBSERVER_EMBED, MV_OBSERVERS };
extern const struct mv_observer mv_debug_observer, mv_embed_observer;

/* What all vCPUs of a machine share; outlives them. */
struct mv_vcpu_host {
    const struct mv_kvm *kvm;
    const struct mv_mem *mem;
    const struct mv_bus *ports, *mmio;
    struct mv_pause *pause;
    const struct mv_observer *observers[MV_OBSERVERS];
    unsigned cpus;       /* how many vCPUs there are */
    atomic_uint *halted; /* how many of them wait for ever */
    struct mv_machine *machine;
    /* error: a negative errno value when the host failed, else 0. */
    void (*end)(struct mv_machine *machine, enum mv_end_reason reason, int code, int vcpu,
                int error);
    const atomic_bool *ended; /* set by end; a vCPU does not enter the guest again after it */
};

/* How far the last exit is. */
enum mv_vcpu_phase {
    MV_VCPU_READY,   /* its instruction is complete: KVM_RUN goes on with the next */
    MV_VCPU_EXITED,  /* there is more to tell, or KVM_RUN completes its instruction first */
    MV_VCPU_SERVING, /* a part or a device has it now */
    MV_VCPU_TOLD,    /* the runner's caller has it, and may still answer */
};

enum mv_sleep { MV_AWAKE, MV_SLEEP_ASKED, MV_ASLEEP /* no interrupt can wake it */ };

struct mv_vcpu {
    unsigned index;
    int fd;
    struct kvm_run
        *run; /* shared with KVM; used by the vCPU's runner alone, but for immediate_exit */
    const struct mv_vcpu_host *host;
    void *kept[MV_OBSERVERS];
    pthread_t thread; /* its own, where it is started */
    clockid_t clock;  /* of its own thread's time on a processor */
    atomic_int sleep; /* of enum mv_sleep: its thread's answer to the loop's question */
    bool started;

    /* Under pause->lock: */
    bool present;     /* while the runner is at work on it, and can be kicked */
    bool waiting;     /* for what mv_vcpu_wake is called for */
    pthread_t runner; /* its own thread or its caller's */

    pthread_mutex_t use; /* who runs it, or looks inside; recursive, since hooks may look */

    /* Whose that is: */
    bool inside;               /* it may enter KVM; the runner's alone */
    uint64_t mask;             /* signals that do not end KVM_RUN, nor mv_vcpu_wait: bit n - 1 is
                                * n; all of them: KVM has none yet */
    struct mv_device *written; /* it may not have taken yet what the guest wrote: the vCPU waits */
    enum mv_vcpu_phase phase;
    uint32_t parts;          /* what the last exit has to tell: one thing, or many accesses */
    uint32_t served;         /* and how many of them are told */
    struct mv_access access; /* that was served last, as KVM has it; size 0: the exit is none */
    uint64_t pc;             /* of the last exit, or 0 */
    uint64_t left_at; /* mv_counter() at the last exit; 0: it came out without one, or waited,
                       * since: its guest may miss time */
};

/* Creates the vCPU in KVM.  Half-built after an error: destroy it. */
int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host);
void mv_vcpu_done(struct mv_vcpu *vcpu);

/* With its state set: lets the parts attach.  Explains its failure. */
int mv_vcpu_attach_parts(struct mv_vcpu *vcpu, const struct mv_config *config,
                         struct mv_error *err);

/* Starts the thread.  Join returns when it is gone: host->ended is to be set before, and
 * the vCPU kicked. */
int mv_vcpu_start(struct mv_vcpu *vcpu);
void mv_vcpu_join(struct mv_vcpu *vcpu);

/* Makes KVM_RUN return, now or when it is next called, and ends mv_vcpu_wait.  Under
 * pause->lock. */
void mv_vcpu_kick(struct mv_vcpu *vcpu);
int mv_vcpu_kick_signal(void);

/* The same for one that waits only: there may be no reason for it any more. */
void mv_vcpu_wake(struct mv_vcpu *vcpu);

/* For who looks inside: the vCPU itself, to be given back, or NULL if another thread has it. */
struct mv_vcpu *mv_vcpu_borrow(struct mv_vcpu *vcpu);
void mv_vcpu_give_back(struct mv_vcpu *const *vcpu);

#define MV_BORROWED __attribute__((cleanup(mv_vcpu_give_back))) struct mv_vcpu *const

/* Has KVM complete what the last exit's instruction does, so that the registers are those
 * of its end; accesses not yet told go to hooks and devices only.  0 or -errno. */
int mv_vcpu_complete_io(struct mv_vcpu *vcpu);

/* Whether that would take away what is still to be told, or the choice of what the guest reads. */
bool mv_vcpu_is_undecided(const struct mv_vcpu *vcpu);

/* ---- for whoever runs it: its own thread, or mv_vcpu_run ---- */

/* The calling thread is at work on the vCPU, which it kicks from now on; or not any more. */
void mv_vcpu_attach(struct mv_vcpu *vcpu);
void mv_vcpu_detach(struct mv_vcpu *vcpu);

/* Which signals do not end KVM_RUN; others do, pending or new, and stay pending.  The kick is
 * always one that does.  0 or -errno. */
int mv_vcpu_set_mask(struct mv_vcpu *vcpu, const sigset_t *mask);

/*
 * Takes back the kicks that have come, in the vCPU's thread, the signal blocked.  What they were
 * sent for (holds, the end) was set before and is looked at after this: a kick without a reason
 * left, such as a hold that was taken back, ends here.
 */
void mv_vcpu_calm(struct mv_vcpu *vcpu);

/*
 * In, past a pause.  Inside, nobody else can look at the vCPU; who is looking when it goes in is
 * waited for.  False: it is held.
 */
bool mv_vcpu_go_in(struct mv_vcpu *vcpu);

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

/* Takes the next thing to tell out of the last exit, and has it served by parts and devices.
 * False: there is no more, and KVM is to be entered again. */
bool mv_vcpu_next(struct mv_vcpu *vcpu, struct mv_exit *exit);

/* What next has told, and nobody has served, is now with the runner's caller.  Answer: it comes
 * back, served or not, with the value that a read has got. */
void mv_vcpu_tell(struct mv_vcpu *vcpu);
void mv_vcpu_answer(struct mv_vcpu *vcpu, const struct mv_exit *exit);

#endif
