/* SPDX-License-Identifier: MIT */
/*
 * How a machine is paused: a vCPU's thread goes in before it enters KVM, and comes out when
 * a pause is asked for.  Whoever asks waits until nobody is inside, and nobody gets in meanwhile.
 *
 * Nothing is locked on the way of an exit: a vCPU looks at `holds`, and goes out when it is
 * not 0.  A kick (vcpu.h) makes it look.
 */
#ifndef MV_PAUSE_H
#define MV_PAUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mv_pause {
    pthread_mutex_t lock;
    pthread_cond_t left; /* nobody is inside any more */
    atomic_uint holds;   /* raised without the lock, lowered under it; read at each exit */
    unsigned inside;
    const atomic_bool *ended; /* the machine has: nobody is kept out any more */
};

void mv_pause_init(struct mv_pause *pause, const atomic_bool *ended);
void mv_pause_done(struct mv_pause *pause);

/* Whether a vCPU is asked to stay outside. */
static inline bool mv_pause_asked(const struct mv_pause *pause)
{
    /* pairs with the raise in mv_machine_hold */
    return atomic_load(&pause->holds) > 0 && !atomic_load(pause->ended);
}

/* Goes in; or false: it is held. */
bool mv_pause_enter(struct mv_pause *pause);
void mv_pause_leave(struct mv_pause *pause);

/* Waits until nobody is inside. */
void mv_pause_wait(struct mv_pause *pause);

#endif
