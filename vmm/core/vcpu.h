/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: the loop around KVM_RUN, and how each exit is served.  Its runner is the thread
 * that runs it: its own, or a thread of the embedder's in mv_vcpu_run.
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
 * Functions that a part attaches to every vCPU of a machine; each may be NULL.  The runner calls
 * all but init, done and explain.  vcpu->kept holds what a part keeps for a vCPU.
 */
struct mv_observer {
    /* The vCPU's start state is set.  Fills in *err on failure. */
    int (*init)(struct mv_vcpu *vcpu, const struct mv_config *config, struct mv_error *err);
    void (*done)(struct mv_vcpu *vcpu); /* also if init failed or was never called */
    /* Called just before KVM_RUN, which an error replaces; and just after, with the error or 0. */
    int (*enter)(struct mv_vcpu *vcpu);
    void (*leave)(struct mv_vcpu *vcpu, int error);
    /* Before: an exit, before a device sees it; true if this part has served it.  An exit that the
     * vCPU itself does not know has the kind MV_EXIT_NONE until a part sets one.  After: the same
     * exit, when it has been served or nobody could. */
    bool (*before)(struct mv_vcpu *vcpu, struct mv_exit *exit);
    void (*after)(struct mv_vcpu *vcpu, const struct mv_exit *exit);
    /* Called by mv_vcpu_answer, with the final answer. */
    void (*answered)(struct mv_vcpu *vcpu, const struct mv_exit *exit);
    /* Why KVM refuses to run it, as text: one line per reason, freed by the caller; or NULL. */
    char *(*explain)(struct mv_vcpu *vcpu);
};

/* The parts that attach here, in the order in which they are asked.  Each defines its observer; if
 * a part is left out, its stubs define an empty one. */
enum { MV_OBSERVER_DEBUG, MV_OBSERVER_EMBED, MV_OBSERVERS };
extern const struct mv_observer mv_debug_observer, mv_embed_observer;

/* Shared by all vCPUs of a machine; outlives them. */
struct mv_vcpu_host {
    const struct mv_kvm *kvm;
    const struct mv_mem *mem;
    const struct mv_bus *ports, *mmio;
    struct mv_pause *pause;
    const struct mv_observer *observers[MV_OBSERVERS];
    unsigned cpus;       /* number of vCPUs */
    atomic_uint *halted; /* how many of them have halted for ever */
    struct mv_machine *machine;
    /* error: a negative errno value when the host failed, else 0. */
    void (*end)(struct mv_machine *machine, enum mv_end_reason reason, int code, int vcpu,
                int error);
    const atomic_bool *ended; /* set by end; from then on no vCPU enters the guest */
};

/* How far the last exit has been handled. */
enum mv_vcpu_phase {
    MV_VCPU_READY,   /* its instruction is complete: KVM_RUN continues with the next */
    MV_VCPU_EXITED,  /* there is more to report, or KVM_RUN must complete its instruction */
    MV_VCPU_SERVING, /* a part or a device is serving it */
    MV_VCPU_TOLD,    /* reported to the caller of mv_vcpu_run, which may still answer */
};

enum mv_sleep { MV_AWAKE, MV_SLEEP_ASKED, MV_ASLEEP /* no interrupt can wake it */ };

struct mv_vcpu {
    unsigned index;
    int fd;
    struct kvm_run *run; /* shared with KVM; the runner's alone, except for immediate_exit */
    const struct mv_vcpu_host *host;
    void *kept[MV_OBSERVERS];
    pthread_t thread; /* its own, if started */
    clockid_t clock;  /* CPU time of its own thread */
    atomic_int sleep; /* enum mv_sleep: its own thread answers the loop's question */
    bool started;

    /* Under pause->lock: */
    bool present;     /* has a runner, and can be kicked */
    bool waiting;     /* in mv_vcpu_wait, until mv_vcpu_wake or a kick */
    pthread_t runner; /* the thread that runs it */

    pthread_mutex_t use; /* held while running or inspecting it; recursive: hooks may inspect */

    /* The rest belongs to the thread that holds `use`: */
    bool inside;               /* see pause.h; the runner's alone */
    uint64_t mask;             /* signals that do not end KVM_RUN or mv_vcpu_wait: bit n - 1 is
                                * signal n; all ones: KVM has no mask yet */
    struct mv_device *written; /* may not have taken what the guest wrote: the vCPU waits for it */
    enum mv_vcpu_phase phase;
    uint32_t parts;          /* how many items the last exit reports: one, or many accesses */
    uint32_t served;         /* how many of them have been reported */
    struct mv_access access; /* the last one reported, as KVM has it; size 0: not an access */
    uint64_t pc;             /* program counter at the last exit, or 0 */
    uint64_t left_at;        /* mv_counter() at the last exit; 0: KVM_RUN has failed, or the vCPU
                              * has waited since: its guest may miss time */
};

/* Creates the vCPU in KVM.  After an error it is half-built: call mv_vcpu_done. */
int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host);
void mv_vcpu_done(struct mv_vcpu *vcpu);

/* Attaches the parts, once the vCPU has its start state.  Fills in *err on failure. */
int mv_vcpu_attach_parts(struct mv_vcpu *vcpu, const struct mv_config *config,
                         struct mv_error *err);

/* Starts the thread.  Join waits until it has ended: set host->ended and kick the vCPU before. */
int mv_vcpu_start(struct mv_vcpu *vcpu);
void mv_vcpu_join(struct mv_vcpu *vcpu);

/* Makes KVM_RUN return, now or when it is next called, and ends mv_vcpu_wait.  Under
 * pause->lock. */
void mv_vcpu_kick(struct mv_vcpu *vcpu);
int mv_vcpu_kick_signal(void);

/* Kicks a vCPU only if it is in mv_vcpu_wait: its reason to wait may be gone.  Under
 * pause->lock. */
void mv_vcpu_wake(struct mv_vcpu *vcpu);

/* For inspecting a vCPU: the vCPU, to be given back, or NULL if another thread has it. */
struct mv_vcpu *mv_vcpu_borrow(struct mv_vcpu *vcpu);
void mv_vcpu_give_back(struct mv_vcpu *const *vcpu);

#define MV_BORROWED __attribute__((cleanup(mv_vcpu_give_back))) struct mv_vcpu *const

/* Has KVM complete the instruction of the last exit, so that the registers are those after it.
 * Accesses not yet reported go to hooks and devices only.  0 or -errno. */
int mv_vcpu_complete_io(struct mv_vcpu *vcpu);

/* Whether that would lose what is not yet reported, or the choice of what the guest reads. */
bool mv_vcpu_is_undecided(const struct mv_vcpu *vcpu);

/* ---- for the runner ---- */

/* Makes the calling thread the runner, which receives the kicks; detach ends that. */
void mv_vcpu_attach(struct mv_vcpu *vcpu);
void mv_vcpu_detach(struct mv_vcpu *vcpu);

/* Sets which signals do not end KVM_RUN.  Others do, pending or new, and stay pending.  The kick
 * always ends it.  0 or -errno. */
int mv_vcpu_set_mask(struct mv_vcpu *vcpu, const sigset_t *mask);

/*
 * Consumes the kicks that have arrived.  The runner calls this with the kick signal blocked.  The
 * reason for a kick (`holds`, `ended`) was set before it and is checked after this call; a kick
 * whose reason is gone, such as a hold that was released, has no further effect.
 */
void mv_vcpu_calm(struct mv_vcpu *vcpu);

/*
 * Goes inside (pause.h), after waiting for a thread that is inspecting the vCPU; while it is
 * inside, no other thread can inspect it.  False: a pause keeps it out.
 */
bool mv_vcpu_go_in(struct mv_vcpu *vcpu);

/* Whether the guest may continue: the vCPU is inside, no pause is requested, and what the guest
 * wrote has been taken. */
bool mv_vcpu_may_enter(struct mv_vcpu *vcpu);

/*
 * Takes one step towards that: goes out, waits or goes in, until something has changed or a kick
 * has come.  During a pause, or in a device's backpressure, the vCPU is outside, its last
 * instruction complete.  While it waits for a busy device it is inside, but goes out if a pause is
 * requested.  Returns -EINTR, or an error.
 */
int mv_vcpu_wait(struct mv_vcpu *vcpu);

/* Enters the guest once.  0: there is an exit for mv_vcpu_next; -EINTR; or the error of KVM_RUN. */
int mv_vcpu_enter(struct mv_vcpu *vcpu);

/* Takes the next item to report from the last exit, and has parts and devices serve it.  False:
 * nothing is left to report; call mv_vcpu_enter. */
bool mv_vcpu_next(struct mv_vcpu *vcpu, struct mv_exit *exit);

/* Tell hands an exit from mv_vcpu_next that nobody has served to the caller of mv_vcpu_run.  Answer
 * takes it back, served or not, with the value that a read gets. */
void mv_vcpu_tell(struct mv_vcpu *vcpu);
void mv_vcpu_answer(struct mv_vcpu *vcpu, const struct mv_exit *exit);

#endif
