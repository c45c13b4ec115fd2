/* SPDX-License-Identifier: MIT */
/* Who is inside of KVM, and who may not go in: see pause.h. */
#include "pause.h"

void mv_gate_init(struct mv_gate *gate, const atomic_bool *ended)
{
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->left, NULL);
    gate->ended = ended;
}

void mv_gate_done(struct mv_gate *gate)
{
    pthread_cond_destroy(&gate->left);
    pthread_mutex_destroy(&gate->lock);
}

bool mv_gate_enter(struct mv_gate *gate, bool *inside)
{
    pthread_mutex_lock(&gate->lock);
    *inside = !mv_gate_held(gate);
    gate->inside += *inside;
    pthread_mutex_unlock(&gate->lock);
    return *inside;
}

void mv_gate_leave(struct mv_gate *gate, bool *inside)
{
    pthread_mutex_lock(&gate->lock);
    *inside = false;
    if (--gate->inside == 0)
        pthread_cond_broadcast(&gate->left);
    pthread_mutex_unlock(&gate->lock);
}

void mv_gate_wait(struct mv_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->inside > 0)
        pthread_cond_wait(&gate->left, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}
