/* SPDX-License-Identifier: MIT */
/*
 * The one thread in which devices do their I/O: waits in epoll and calls a function for each file
 * descriptor that is ready, under the lock of the device it belongs to.
 */
#ifndef MV_LOOP_H
#define MV_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded in a device; must not move while registered. */
struct mv_loop_source {
    int fd;                /* the device closes it, after the loop has stopped */
    pthread_mutex_t *lock; /* held around fn; NULL: fn needs no lock */
    void (*fn)(void *context, uint32_t events);
    void *context;
};

/* Embedded in a device, like a source. */
struct mv_loop_poller {
    bool (*fn)(void *context); /* called without a lock; returns false when done */
    void *context;
    bool active; /* queued to be called; false during the call */
    struct mv_loop_poller *next;
};

struct mv_loop {
    int epoll;
    int wake; /* eventfd: stop */
    pthread_t thread;
    bool started;
    atomic_bool stopping;           /* set by mv_loop_stop, read by the thread */
    struct mv_loop_poller *pollers; /* the active ones; only the thread uses the list */
};

int mv_loop_init(struct mv_loop *loop);
void mv_loop_done(struct mv_loop *loop);

/*
 * events: EPOLLIN and the like, 0 to disable the source for now.  Returns 0 or -errno; -EPERM: this
 * kind of file is always ready and cannot be waited for.  Any thread.  `watch` registers a new
 * source, `change` updates a registered one.
 */
int mv_loop_watch(struct mv_loop *loop, struct mv_loop_source *source, uint32_t events);
int mv_loop_change(struct mv_loop *loop, struct mv_loop_source *source, uint32_t events);

/*
 * Calls the poller repeatedly from now on, until it is done: for events expected so soon that
 * sleeping does not pay.  Between two calls the thread checks its sources and yields its CPU.  Loop
 * thread only; a poller may start others, or itself again.  An active poller is left as it is.
 */
void mv_loop_poll(struct mv_loop *loop, struct mv_loop_poller *poller);

/* One turn of the loop: waits for events, for at most timeout milliseconds (-1: no limit) and not
 * at all while a poller is active, and dispatches them.  The thread repeats this; tests call it
 * directly. */
void mv_loop_turn(struct mv_loop *loop, int timeout);

/* Starts the thread, as mv_start_thread does.  Returns 0 or -errno. */
int mv_loop_start(struct mv_loop *loop);

/* Stops the thread and joins it; a loop that never started is fine. */
void mv_loop_stop(struct mv_loop *loop);

#endif
