/* SPDX-License-Identifier: MIT */
/*
 * The one thread in which devices do their I/O: epoll, and a call for each
 * file descriptor that is ready, under the lock of the device it belongs to.
 */
#ifndef MV_LOOP_H
#define MV_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded in a device; must not move while it is registered. */
struct mv_loop_source {
    int fd;                /* the device's: it closes it, after the loop has stopped */
    pthread_mutex_t *lock; /* held around fn; NULL: fn shares nothing that needs one */
    void (*fn)(void *context, uint32_t events);
    void *context;
};

/* Embedded like a source. */
struct mv_loop_poller {
    bool (*fn)(void *context); /* without a lock; returns false when it is done */
    void *context;
    bool active; /* it will be called; not while it is being called */
    struct mv_loop_poller *next;
};

struct mv_loop {
    int epoll;
    int wake; /* eventfd: stop */
    pthread_t thread;
    bool started;
    atomic_bool stopping;           /* set by mv_loop_stop, read by the thread */
    struct mv_loop_poller *pollers; /* the active ones; the thread's own */
};

int mv_loop_init(struct mv_loop *loop);
void mv_loop_done(struct mv_loop *loop);

/*
 * events: EPOLLIN and the like, 0 to be quiet for now.  Returns 0 or -errno;
 * -EPERM: this kind of file is always ready and cannot be waited for.
 * Any thread; `watch` for a new source, `change` for one already there.
 */
int mv_loop_watch(struct mv_loop *loop, struct mv_loop_source *source, uint32_t events);
int mv_loop_change(struct mv_loop *loop, struct mv_loop_source *source, uint32_t events);

/*
 * From now on the poller is called again and again, until it is done: to wait for
 * something that comes too soon for sleeping to be worth it.  Between two calls
 * the thread looks at its sources and lets others have its CPU.  Loop thread
 * only, also from within a poller, for another or for itself; an active poller stays as it is.
 */
void mv_loop_poll(struct mv_loop *loop, struct mv_loop_poller *poller);

/* One turn of the loop: waits for events, for at most timeout milliseconds (-1: no
 * limit) and not at all while a poller is active, and makes the calls.  What
 * the thread does; tests do it by hand. */
void mv_loop_turn(struct mv_loop *loop, int timeout);

/* Starts the thread; it takes no signals.  Returns 0 or -errno. */
int mv_loop_start(struct mv_loop *loop);

/* Ends the thread and waits for it; a loop that never started is fine. */
void mv_loop_stop(struct mv_loop *loop);

#endif
