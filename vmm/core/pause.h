/* SPDX-License-Identifier: MIT */
/*
 * How a machine is paused: a thread that runs a vCPU goes inside before it enters KVM, and comes
 * out when a pause is requested.  The thread that requests it waits until no vCPU is inside;
 * meanwhile none can go in.
 *
 * Handling an exit takes no lock: the vCPU reads `holds`, and comes out if that is not 0.  A kick
 * (vcpu.h) makes it look.
 */
#ifndef MV_PAUSE_H
#define MV_PAUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mv_pause {
    pthread_mutex_t lock;
    pthread_cond_t left; /* signalled when no vCPU is inside any more */
    atomic_uint holds;   /* pauses in effect; raised without the lock, lowered under it */
    unsigned inside;
    const atomic_bool *ended; /* the machine has ended: from then on no vCPU is kept out */
};

void mv_pause_init(struct mv_pause *pause, const atomic_bool *ended);
void mv_pause_done(struct mv_pause *pause);

/* Whether vCPUs are asked to stay outside. */
static inline bool mv_pause_asked(const struct mv_pause *pause)
{
    /* pairs with the increment in mv_machine_hold */
    return atomic_load(&pause->holds) > 0 && !atomic_load(pause->ended);
}

/* Goes inside; false if a pause keeps the vCPU out. */
bool mv_pause_enter(struct mv_pause *pause);
void mv_pause_leave(struct mv_pause *pause);

/* Waits until no vCPU is inside. */
void mv_pause_wait(struct mv_pause *pause);

#endif
