/* SPDX-License-Identifier: MIT */
/* Who is inside of KVM, and who may not go in: see gate.h. */
#include "gate.h"

#include <errno.h>
#include <time.h>

#include "util.h"

void mv_gate_init(struct mv_gate *gate, const atomic_bool *ended)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&gate->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->changed, &attr);
    pthread_condattr_destroy(&attr);
    gate->ended = ended;
}

void mv_gate_done(struct mv_gate *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
}

/* False: the deadline has passed. */
static bool wait_for_change(struct mv_gate *gate, uint64_t deadline)
{
    struct timespec at = {.tv_sec = (time_t)(deadline / 1000000000u),
                          .tv_nsec = (long)(deadline % 1000000000u)};

    if (deadline == UINT64_MAX)
        return pthread_cond_wait(&gate->changed, &gate->lock) == 0;
    return pthread_cond_timedwait(&gate->changed, &gate->lock, &at) != ETIMEDOUT;
}

bool mv_gate_enter(struct mv_gate *gate, bool *inside, pthread_t *thread, uint64_t deadline)
{
    bool in_time = true;

    pthread_mutex_lock(&gate->lock);
    while (in_time && mv_gate_held(gate) && !atomic_load(gate->ended))
        in_time = wait_for_change(gate, deadline);
    if (in_time) {
        gate->inside++;
        *inside = true;
        *thread = pthread_self();
    }
    pthread_mutex_unlock(&gate->lock);
    return in_time;
}

void mv_gate_leave(struct mv_gate *gate, bool *inside)
{
    pthread_mutex_lock(&gate->lock);
    gate->inside--;
    *inside = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void mv_gate_wait(struct mv_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->inside > 0)
        wait_for_change(gate, UINT64_MAX);
    pthread_mutex_unlock(&gate->lock);
}
