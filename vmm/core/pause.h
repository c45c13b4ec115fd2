/* SPDX-License-Identifier: MIT */
/*
 * The gate between the vCPUs' threads and their guest: each passes it before it enters
 * KVM, and leaves by it.  Whoever holds the gate waits until nobody is inside, and nobody
 * gets in meanwhile; that is how a machine is paused.
 *
 * Nothing is locked on the way of an exit: a vCPU looks at `holds`, and goes out when it is
 * not 0.  A kick (vcpu.h) makes it look.
 */
#ifndef MV_PAUSE_H
#define MV_PAUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mv_gate {
    pthread_mutex_t lock;
    pthread_cond_t left; /* nobody is inside any more */
    atomic_uint holds;   /* raised without the lock, lowered under it; read at each exit */
    unsigned inside;
    const atomic_bool *ended; /* the machine has: the gate stands open */
};

void mv_gate_init(struct mv_gate *gate, const atomic_bool *ended);
void mv_gate_done(struct mv_gate *gate);

/* Whether a vCPU is asked to stay outside. */
static inline bool mv_gate_held(struct mv_gate *gate)
{
    /* pairs with the raise in mv_machine_hold */
    return atomic_load(&gate->holds) > 0 && !atomic_load(gate->ended);
}

/* Goes in, and sets *inside under the lock; or false: it is held. */
bool mv_gate_enter(struct mv_gate *gate, bool *inside);
void mv_gate_leave(struct mv_gate *gate, bool *inside);

/* Waits until nobody is inside. */
void mv_gate_wait(struct mv_gate *gate);

#endif
