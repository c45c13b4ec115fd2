/* SPDX-License-Identifier: MIT */
/* Pausing: see pause.h. */
#include "pause.h"

void mv_pause_init(struct mv_pause *pause, const atomic_bool *ended)
{
    pthread_mutex_init(&pause->lock, NULL);
    pthread_cond_init(&pause->left, NULL);
    pause->ended = ended;
}

void mv_pause_done(struct mv_pause *pause)
{
    pthread_cond_destroy(&pause->left);
    pthread_mutex_destroy(&pause->lock);
}

bool mv_pause_enter(struct mv_pause *pause)
{
    bool enters;

    pthread_mutex_lock(&pause->lock);
    enters = !mv_pause_asked(pause);
    pause->inside += enters;
    pthread_mutex_unlock(&pause->lock);
    return enters;
}

void mv_pause_leave(struct mv_pause *pause)
{
    pthread_mutex_lock(&pause->lock);
    if (--pause->inside == 0)
        pthread_cond_broadcast(&pause->left);
    pthread_mutex_unlock(&pause->lock);
}

void mv_pause_wait(struct mv_pause *pause)
{
    pthread_mutex_lock(&pause->lock);
    while (pause->inside > 0)
        pthread_cond_wait(&pause->left, &pause->lock);
    pthread_mutex_unlock(&pause->lock);
}
