/* SPDX-License-Identifier: MIT */
/*
 * The gate between the vCPUs' threads and their guest: each passes it before it enters
 * KVM, and leaves by it.  Whoever holds the gate waits until nobody is inside, and nobody
 * gets in meanwhile; that is how a machine is paused.
 *
 * Nothing is locked on the way of an exit: a vCPU looks at `holds`, and goes out when it is
 * not 0.  A kick (vcpu.h) makes it look.
 */
#ifndef MV_GATE_H
#define MV_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mv_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* `inside`, `holds` or `ended`; on CLOCK_MONOTONIC */
    atomic_uint holds;      /* raised without the lock, lowered under it; read at each exit */
    unsigned inside;
    const atomic_bool *ended; /* the machine has: the gate stands open */
};

void mv_gate_init(struct mv_gate *gate, const atomic_bool *ended);
void mv_gate_done(struct mv_gate *gate);

/* Whether a vCPU inside is asked to leave. */
static inline bool mv_gate_held(struct mv_gate *gate)
{
    return atomic_load(&gate->holds) > 0; /* pairs with the raise in mv_machine_hold */
}

/*
 * Goes in, with *inside and *thread set under the lock; waits while the gate is held, to
 * the deadline (CLOCK_MONOTONIC in nanoseconds, or UINT64_MAX).  False: it has passed, and
 * nobody went in.
 */
bool mv_gate_enter(struct mv_gate *gate, bool *inside, pthread_t *thread, uint64_t deadline);
void mv_gate_leave(struct mv_gate *gate, bool *inside);

/* Waits until nobody is inside. */
void mv_gate_wait(struct mv_gate *gate);

#endif
